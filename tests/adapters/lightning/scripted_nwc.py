"""A wallet of somebody else's behind NIP-47: it says what a test wants it to, right or wrong."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import trio
from attrs import define, field

from pylon.adapters.lightning.nwc import open_nwc
from pylon.adapters.lightning.nwc.wallet import NwcWallet
from pylon.adapters.memory.clock import MemoryClock
from pylon.core.relay_rules import DEFAULT_RULES, RelayRules
from pylon.errors import RelayLost
from pylon.model.event import Draft, Event
from pylon.model.filter import Filter
from pylon.model.ids import RelayUrl
from pylon.model.money import Network
from pylon.wire import event as events
from pylon.wire import frames, nip04, nip44
from pylon.wire.frames import Found, Req, Submit
from pylon.wire.nwc.uri import WalletUri, write_uri
from pylon.wire.secp import KeyPair
from tests.memory_relay import MemoryRelay, MemoryWire

WALLET, CLIENT, STRANGER = KeyPair(b"\x71" * 32), KeyPair(b"\x72" * 32), KeyPair(b"\x73" * 32)
URL = RelayUrl("ws://one.test")
SECRET = (b"\x72" * 32).hex()
PLAIN = "pay_invoice make_invoice lookup_invoice list_transactions get_balance get_info"
HOLD = f"{PLAIN} make_hold_invoice settle_hold_invoice cancel_hold_invoice"
NOT_FOUND = {"error": {"code": "NOT_FOUND", "message": "no such thing"}}
NONCE = b"\x05" * 32  # the same for all: nothing here is a secret

Answer = Mapping[str, Any] | None  # None: silence


@define(eq=False)
class ScriptedWallet:
    """Answers each method with what `says` has for it; every request is kept in `asked`."""

    relay: MemoryRelay
    clock: MemoryClock
    methods: str = PLAIN
    encryption: str | None = "nip44_v2 nip04"
    notifications: str = ""
    says: dict[str, Answer | Callable[[Any], Answer]] = field(factory=dict)
    asked: list[tuple[str, Any]] = field(factory=list)
    requests: list[Event] = field(factory=list)
    author: KeyPair = WALLET
    before: Callable[[Any], Awaitable[None]] | None = None  # what it does before it answers
    _wire: MemoryWire = field(init=False)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until its connection is lost."""
        with suppress(RelayLost):
            await self._serve(task_status)

    async def _serve(self, task_status: trio.TaskStatus[None]) -> None:
        async with self.relay.dial(URL) as self._wire:
            wanted = Filter(kinds=(23194,), tags={"p": (WALLET.public_key,)})
            await self._wire.send([frames.encode(Req("requests", (wanted,)))])
            await self.announce()
            task_status.started()
            while True:
                for text in await self._wire.receive():
                    match frames.decode_relay(text):
                        case Found(event=event):
                            await self._answer(event)

    async def announce(self) -> None:
        tags = [] if self.encryption is None else [("encryption", self.encryption)]
        tags += [("notifications", self.notifications)] if self.notifications else []
        await self.publish(13194, tuple(tags), self.methods)

    async def publish(self, kind: int, tags: tuple[tuple[str, ...], ...], content: str) -> None:
        event = events.sign(Draft(kind, int(self.clock.now()), tags, content), self.author)
        await self._wire.send([frames.encode(Submit(event))])

    async def notify(self, kind: int, value: Any) -> None:
        """Tell something, in the encryption of the kind."""
        content = self.hide(json.dumps(value), legacy=kind == 23196)
        await self.publish(kind, (("p", CLIENT.public_key),), content)

    def count(self, method: str) -> int:
        return [name for name, _ in self.asked].count(method)

    async def _answer(self, event: Event) -> None:
        legacy = nip04.is_nip04(event.content)
        text = (
            nip04.decrypt(WALLET.shared_x(event.pubkey), event.content)
            if legacy
            else nip44.decrypt(nip44.conversation_key(WALLET, event.pubkey), event.content)
        )
        request = json.loads(text)
        self.requests.append(event)
        self.asked.append((request["method"], request["params"]))
        if self.before is not None:
            await self.before(request)
        said = self.says.get(request["method"])
        answer = said(request["params"]) if callable(said) else said
        if answer is not None:
            tags = (("p", event.pubkey), ("e", event.id))
            await self.publish(23195, tags, self.hide(json.dumps(answer), legacy=legacy))

    def hide(self, text: str, *, legacy: bool = False) -> str:
        if legacy:
            return nip04.encrypt(WALLET.shared_x(CLIENT.public_key), text, iv=NONCE[:16])
        return nip44.encrypt(nip44.conversation_key(WALLET, CLIENT.public_key), text, nonce=NONCE)


@define(eq=False)
class Scene:
    """A scripted wallet, our client of it, and the relay between them."""

    wallet: ScriptedWallet
    client: NwcWallet
    relay: MemoryRelay
    clock: MemoryClock
    nursery: trio.Nursery


@asynccontextmanager
async def scene(
    *,
    relays: tuple[RelayUrl, ...] = (URL,),
    running: bool = True,
    rules: RelayRules = DEFAULT_RULES,
    network: Network = Network.REGTEST,
    **how: Any,
) -> AsyncGenerator[Scene, None]:
    """Open a scene; with `running` unset the wallet is not there."""
    clock = MemoryClock()
    with trio.fail_after(10_000):
        async with trio.open_nursery() as nursery:
            relay = MemoryRelay(clock, nursery, rules)
            wallet = ScriptedWallet(relay, clock, **how)
            if running:
                await nursery.start(wallet.run)
            uri = write_uri(WalletUri(WALLET.public_key, relays, SECRET))
            async with open_nwc(
                uri, network=network, dial=relay.dial, clock=clock, fraction=lambda: 0.0
            ) as client:
                yield Scene(wallet, client, relay, clock, nursery)
            nursery.cancel_scope.cancel("the test is over")
