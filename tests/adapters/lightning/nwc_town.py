"""Three wallets on one ledger, each served by our own service and used by our own client."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import trio
from attrs import define, field

from pylon.adapters.home import find_home
from pylon.adapters.keys import LocalSigner
from pylon.adapters.lightning.ledger.settlement import Terms
from pylon.adapters.lightning.ledger.wallet import LedgerWallet
from pylon.adapters.lightning.nwc import open_nwc
from pylon.adapters.memory.budget import MemoryBudget
from pylon.adapters.memory.clock import MemoryClock
from pylon.adapters.memory.cursors import MemoryCursors
from pylon.adapters.memory.wallet import MemoryMarket
from pylon.app.purse import Purse
from pylon.app.relays import open_pool
from pylon.app.wallet_service import SCOPE, Spending, client_uri
from pylon.config import Config
from pylon.core.relay_rules import DEFAULT_RULES, RelayRules
from pylon.model.budget import NODE, Purpose
from pylon.model.ids import PaymentHash, RelayUrl
from pylon.model.money import Msat, Network
from pylon.model.wallet import PaymentResult
from pylon.ports.budget import Caps
from pylon.ports.wallet import Wallet
from pylon.services.nwc_service import NwcService
from pylon.wire.nwc.uri import WalletUri, write_uri
from pylon.wire.relay_info import RelayInfo
from pylon.wire.secp import KeyPair
from tests.adapters.wallet_contract import AMOUNT, FUNDS
from tests.memory_relay import MemoryRelay, MemoryWire

URL = RelayUrl("ws://relay.test")
TERMS = Terms()


async def no_info(url: RelayUrl) -> RelayInfo | None:
    await trio.lowlevel.checkpoint()
    return None


@define(eq=False)
class ServedWallet:
    """A wallet of the ledger, the service in front of it, and what reaches its client."""

    home: Path
    ledger: LedgerWallet
    relay: MemoryRelay
    clock: MemoryClock
    secret: bytes
    caps: Caps = field(factory=Caps)
    budget: MemoryBudget = field(factory=MemoryBudget)
    lose_next_pay: bool = False
    deaf: bool = False  # the client hears no answer
    client: Wallet = field(init=False)
    _scope: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    @property
    def uri(self) -> WalletUri:
        return client_uri(self.secret, [URL])

    def spending(self) -> "LossySpending":
        limits = {NODE: Caps(), SCOPE: self.caps}
        purpose = Purpose(scopes=(NODE, SCOPE))
        home = find_home({}, asked=self.home)
        purse = Purse(self.ledger, self.budget, home, limits, self.clock, purpose)
        return LossySpending(self, Spending(purse, Config()))

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        signer = LocalSigner(KeyPair(self.secret))
        async with open_pool(
            [URL],
            signer=signer,
            cursors=MemoryCursors(),
            clock=self.clock,
            dial=self.relay.dial,
            fetch_info=no_info,
            fraction=lambda: 0.0,
        ) as pool:
            pool.outcomes.close()
            client = self.uri.keys().public_key
            service = NwcService(
                self.ledger, self.spending(), signer, client, self.clock, pool.heard, pool.commands
            )
            await service.run(task_status=task_status)

    async def connect(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Let a client be there until `disconnect`."""
        with trio.CancelScope() as self._scope:
            async with open_nwc(
                write_uri(self.uri),
                network=Network.REGTEST,
                dial=self.dial,
                clock=self.clock,
                fraction=lambda: 0.0,
            ) as self.client:
                task_status.started()
                await trio.sleep_forever()

    def disconnect(self) -> None:
        self._scope.cancel("restarting")

    def dial(self, url: str) -> AbstractAsyncContextManager[MemoryWire]:
        return self.relay.connect(url, self._hears)

    def _hears(self, text: str) -> bool:
        lost = self.deaf and '"kind":23195' in text
        self.deaf = self.deaf and not lost
        return not lost


@define(eq=False)
class LossySpending:
    """Spends, and can see to it that the answer about a payment is lost on its way."""

    _served: ServedWallet
    _spending: Spending

    async def pay(
        self, text: str, payment_hash: PaymentHash, amount: Msat, *, seconds: float
    ) -> PaymentResult:
        result = await self._spending.pay(text, payment_hash, amount, seconds=seconds)
        if self._served.lose_next_pay:
            self._served.lose_next_pay, self._served.deaf = False, True
        return result

    async def settle(self) -> None:
        await self._spending.settle()


@define(eq=False)
class NwcTown:
    """The town of the wallet contract."""

    clock: MemoryClock
    served: list[ServedWallet]
    relay: MemoryRelay
    nursery: trio.Nursery
    fee: Msat = field(factory=lambda: TERMS.fee(AMOUNT))
    hold_seconds: int = TERMS.hold_seconds

    @property
    def payee(self) -> Wallet:
        return self.served[0].client

    @property
    def payer(self) -> Wallet:
        return self.served[1].client

    @property
    def rival(self) -> Wallet:
        return self.served[2].client

    async def restart(self) -> None:
        for served in self.served:
            served.disconnect()
            await self.nursery.start(served.connect)

    async def give(self, wallet: Wallet, amount: Msat) -> None:
        await self.behind(wallet).ledger.fund(amount)

    async def lose_next_answer(self, wallet: Wallet) -> None:
        self.behind(wallet).lose_next_pay = True

    def behind(self, wallet: Wallet) -> ServedWallet:
        return next(served for served in self.served if served.client is wallet)


@asynccontextmanager
async def nwc_town(
    folder: Path, *, rules: RelayRules = DEFAULT_RULES
) -> AsyncGenerator[NwcTown, None]:
    clock = MemoryClock()
    market = MemoryMarket(clock)
    async with trio.open_nursery() as nursery:
        relay = MemoryRelay(clock, nursery, rules)
        served = []
        for number in (1, 2, 3):
            home = folder / f"home {number}"
            home.mkdir(mode=0o700)
            ledger = market.wallet(KeyPair(bytes([number]) * 32))
            one = ServedWallet(home, ledger, relay, clock, bytes([number + 100]) * 32)
            served.append(one)
            await nursery.start(one.serve)
            await nursery.start(one.connect)
        town = NwcTown(clock, served, relay, nursery)
        for one in served[1:]:
            await one.ledger.fund(FUNDS)
        yield town
        assert await served[0].ledger.audit() == []
        nursery.cancel_scope.cancel("the test is over")
