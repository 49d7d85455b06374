"""Our wallet service, asked by a client that says whatever a test wants it to."""

import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from attrs import define, evolve, field
from trio.testing import MockClock

from pylon.adapters.lightning.ledger.faults import Fault, FaultKind
from pylon.adapters.lightning.ledger.wallet import LedgerWallet
from pylon.adapters.lightning.nwc.reading import hash_of
from pylon.adapters.memory.clock import MemoryClock
from pylon.adapters.memory.wallet import MemoryMarket
from pylon.app.wallet_service import SCOPE
from pylon.errors import RelayLost, WalletUnavailable
from pylon.model.budget import NODE, Purpose
from pylon.model.event import Draft, Event
from pylon.model.filter import Filter
from pylon.model.ids import Preimage, PublicKey
from pylon.model.money import Msat, Network, from_sats
from pylon.model.wallet import PaymentInFlight, PaymentSettled
from pylon.ports.budget import Caps, Span
from pylon.wire import event as events
from pylon.wire import frames, nip04, nip44
from pylon.wire.bolt11 import decode, encode
from pylon.wire.frames import Found, Req, Submit
from pylon.wire.nwc import events as nwc
from pylon.wire.secp import KeyPair
from tests.adapters.lightning.nwc_town import URL, ServedWallet
from tests.adapters.wallet_contract import AMOUNT, FUNDS, HASH, PREIMAGE
from tests.memory_relay import MemoryRelay, MemoryWire

PURPOSE = Purpose(scopes=(NODE, SCOPE))
FEE = Msat(101)
QUIET_SECONDS = 20.0  # nothing is said in so long


@define(eq=False)
class RawClient:
    """Speaks NIP-47 without minding its manners."""

    wire: MemoryWire
    keys: KeyPair
    wallet: PublicKey
    clock: MemoryClock
    heard: list[Event] = field(factory=list)
    _came: trio.Event = field(factory=trio.Event)

    async def listen(self) -> None:
        with suppress(RelayLost):
            while True:
                for text in await self.wire.receive():
                    match frames.decode_relay(text):
                        case Found(event=event):
                            self.heard.append(event)
                self._came.set()
                self._came = trio.Event()

    def request(
        self, method: str, params: Any = None, *, legacy: bool = False, **how: Any
    ) -> Event:
        text = json.dumps({"method": method, "params": params or {}})
        hidden = (
            nip04.encrypt(self.keys.shared_x(self.wallet), text, iv=b"\x01" * 16)
            if legacy
            else nip44.encrypt(self._conversation, text, nonce=b"\x01" * 32)
        )
        spoken = () if legacy else (("encryption", how.get("encryption", "nip44_v2")),)
        at = how.get("at", int(self.clock.now()))
        tags = (("p", self.wallet), *spoken, *how.get("tags", ()))
        return events.sign(Draft(nwc.REQUEST_KIND, at, tags, hidden), how.get("by", self.keys))

    async def send(self, event: Event) -> None:
        await self.wire.send([frames.encode(Submit(event))])

    async def ask(self, method: str, params: Any = None, **how: Any) -> Any:
        """Ask, and return the answer in clear."""
        request = self.request(method, params, **how)
        await self.send(request)
        return await self.answer(request)

    async def answer(self, request: Event) -> Any:
        with trio.fail_after(300):
            while not (found := self.answers(request)):
                await self._came.wait()
        (event,) = found
        return json.loads(self.read(event))

    def answers(self, request: Event) -> list[Event]:
        return [e for e in self.heard if e.kind == nwc.RESPONSE_KIND and e.tag("e") == request.id]

    async def told(self, kind: int = 23197) -> list[tuple[str, Any]]:
        """Return what was told unasked in one encryption, in order."""
        await trio.sleep(1)
        said = [json.loads(self.read(e)) for e in self.heard if e.kind == kind]
        return [(each["notification_type"], each["notification"]) for each in said]

    def read(self, event: Event) -> str:
        if nip04.is_nip04(event.content):
            return nip04.decrypt(self.keys.shared_x(self.wallet), event.content)
        return nip44.decrypt(self._conversation, event.content)

    @property
    def _conversation(self) -> bytes:
        return nip44.conversation_key(self.keys, self.wallet)


@define(eq=False)
class Desk:
    """A served wallet with `FUNDS` in it, its raw client, and another wallet of the same ledger."""

    served: ServedWallet
    client: RawClient
    shop: LedgerWallet
    nursery: trio.Nursery
    scope: trio.CancelScope = field(factory=trio.CancelScope)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.CancelScope() as self.scope:
            await self.served.serve(task_status=task_status)

    async def restart(self) -> None:
        self.scope.cancel("killed")
        await trio.sleep(5)
        await self.nursery.start(self.serve)

    async def bill(self, amount: Msat = AMOUNT) -> str:
        made = await self.shop.make_invoice(amount, description="tea", expiry_seconds=600)
        return made.bolt11

    async def committed(self) -> Msat:
        return await self.served.budget.committed()


@asynccontextmanager
async def desk(folder: Path, *, budget: Msat | None = None) -> AsyncGenerator[Desk, None]:
    clock = MemoryClock()
    market = MemoryMarket(clock)
    with trio.fail_after(100_000):
        async with trio.open_nursery() as nursery:
            relay = MemoryRelay(clock, nursery)
            served = ServedWallet(
                folder, market.wallet(KeyPair(b"\1" * 32)), relay, clock, b"\x65" * 32
            )
            served.caps = Caps(total=budget)
            await served.ledger.fund(FUNDS)
            async with relay.dial(URL) as wire:
                keys, wallet = served.uri.keys(), served.uri.wallet
                client = RawClient(wire, keys, wallet, clock)
                about_me = Filter(tags={"p": (keys.public_key,)})
                info = Filter(kinds=(nwc.INFO_KIND,))
                await wire.send([frames.encode(Req("all", (about_me, info)))])
                nursery.start_soon(client.listen)
                it = Desk(served, client, market.wallet(KeyPair(b"\2" * 32)), nursery)
                await nursery.start(it.serve)
                yield it
                assert await served.ledger.audit() == []
                nursery.cancel_scope.cancel("the test is over")


# Who is answered


async def test_the_service_says_what_can_be_asked(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with desk(tmp_path) as it:
        await it.client.ask("get_balance")
        (event,) = [e for e in it.client.heard if e.kind == nwc.INFO_KIND]
        info = nwc.read_info(event)
        said = (await it.client.ask("get_info"))["result"]

        assert set(said["methods"]) == info.methods
        assert set(said["notifications"]) == info.notifications
        assert "settle_hold_invoice" in info.methods
        assert len(info.encryptions) == 2
        assert said["network"] == "regtest"
        assert said["pubkey"] == (await it.served.ledger.info()).node_key


async def test_an_answer_is_hidden_as_the_question_was(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with desk(tmp_path) as it:
        for legacy in (True, False):
            request = it.client.request("get_balance", legacy=legacy)
            await it.client.send(request)
            assert (await it.client.answer(request))["result"] == {"balance": FUNDS}
            (event,) = it.client.answers(request)
            assert nip04.is_nip04(event.content) is legacy


async def test_strangers_the_late_and_the_unreadable_are_not_answered(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with desk(tmp_path) as it:
        client, now = it.client, int(it.client.clock.now())
        stranger = KeyPair(b"\x09" * 32)
        unreadable = Draft(
            nwc.REQUEST_KIND, now, (("p", client.wallet), ("encryption", "nip44_v2")), "x"
        )
        requests = [
            client.request("get_balance", by=stranger),
            client.request("get_balance", tags=(("expiration", str(now - 1)),)),
            client.request("get_balance", at=now - 700),
            events.sign(unreadable, client.keys),
        ]
        for request in requests:
            await client.send(request)
        await trio.sleep(QUIET_SECONDS)
        assert [e for e in client.heard if e.kind == nwc.RESPONSE_KIND] == []
        assert (await client.ask("get_balance"))["result"] == {"balance": FUNDS}


async def test_an_unknown_encryption_is_refused_in_a_known_one(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with desk(tmp_path) as it:
        said = await it.client.ask("get_balance", encryption="nip99")
        assert said["error"]["code"] == "UNSUPPORTED_ENCRYPTION"
        assert said["result"] is None


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("pay_keysend", {}, "NOT_IMPLEMENTED"),
        ("pay_invoice", {}, "OTHER"),
        ("pay_invoice", {"invoice": "lnbc1"}, "OTHER"),
        ("make_invoice", {"amount": 1, "description": "a" * 5_000}, "OTHER"),
        ("make_invoice", {"amount": 1, "description_hash": "ab" * 32}, "NOT_IMPLEMENTED"),
        (
            "make_hold_invoice",
            {"amount": 1, "payment_hash": HASH, "description_hash": "ab" * 32},
            "NOT_IMPLEMENTED",
        ),
        (
            "make_hold_invoice",
            {"amount": 1, "payment_hash": HASH, "min_cltv_expiry_delta": 999},
            "OTHER",
        ),
        ("lookup_invoice", {}, "OTHER"),
        ("lookup_invoice", {"payment_hash": "ee" * 32}, "NOT_FOUND"),
        ("settle_hold_invoice", {"preimage": "ee" * 32}, "NOT_FOUND"),
        ("cancel_hold_invoice", {"payment_hash": "ee" * 32}, "NOT_FOUND"),
    ],
)
async def test_what_cannot_be_done_is_answered_with_its_reason(
    autojump_clock: MockClock, tmp_path: Path, method: str, params: dict[str, Any], code: str
) -> None:
    async with desk(tmp_path) as it:
        said = await it.client.ask(method, params)
        assert (said["result_type"], said["result"]) == (method, None)
        assert said["error"]["code"] == code
        assert said["error"]["message"]


# Paying


async def test_a_payment_is_answered_with_its_proof_and_counted(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with desk(tmp_path) as it:
        bill = await it.bill()
        said = await it.client.ask("pay_invoice", {"invoice": bill})

        assert said["error"] is None
        found = (await it.client.ask("lookup_invoice", {"invoice": bill}))["result"]
        assert (found["state"], found["type"], found["amount"]) == ("settled", "outgoing", AMOUNT)
        assert said["result"] == {"preimage": found["preimage"], "fees_paid": FEE}
        usage = await it.served.budget.usage(PURPOSE, now=int(it.client.clock.now()))
        assert {scope: used[Span.TOTAL].spent for scope, used in usage.items()} == {
            NODE: AMOUNT + FEE,
            SCOPE: AMOUNT + FEE,
        }


async def test_paying_twice_is_paying_once_and_is_counted_once(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with desk(tmp_path) as it:
        bill = await it.bill()
        requests = [
            it.client.request(
                "pay_invoice", {"invoice": bill}, tags=(("n", str(n)),), legacy=n == 2
            )
            for n in range(3)
        ]
        for request in requests:
            await it.client.send(request)
        said = [await it.client.answer(request) for request in requests]
        assert said[0]["result"]["preimage"]
        assert said[0] == said[1] == said[2]
        assert await it.served.ledger.balance() == FUNDS - AMOUNT - FEE
        assert await it.committed() == AMOUNT + FEE


async def test_a_request_that_is_repeated_is_answered_once_and_paid_once_across_a_restart(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with desk(tmp_path) as it:
        request = it.client.request("pay_invoice", {"invoice": await it.bill()})
        for _ in range(3):
            await it.client.send(request)
        first = await it.client.answer(request)
        await trio.sleep(QUIET_SECONDS)
        assert len(it.client.answers(request)) == 1

        it.client.heard.clear()
        await it.restart()
        await it.client.send(request)
        assert await it.client.answer(request) == first
        assert await it.served.ledger.balance() == FUNDS - AMOUNT - FEE
        assert await it.committed() == AMOUNT + FEE


async def test_the_budget_of_the_connection_is_kept(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    most_fee = from_sats(5)
    async with desk(tmp_path, budget=Msat(2 * AMOUNT + most_fee + FEE)) as it:
        for code in (None, None, "QUOTA_EXCEEDED"):
            said = await it.client.ask("pay_invoice", {"invoice": await it.bill()})
            assert (said["error"] and said["error"]["code"]) == code
        assert await it.served.ledger.balance() == FUNDS - 2 * (AMOUNT + FEE)
        assert await it.committed() == 2 * (AMOUNT + FEE)


async def test_a_pause_stops_spending_at_once(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        await it.served.budget.pause(now=1)
        said = await it.client.ask("pay_invoice", {"invoice": await it.bill()})
        assert said["error"]["code"] == "QUOTA_EXCEEDED"
        assert "paused" in said["error"]["message"]
        await it.served.budget.resume()
        assert (await it.client.ask("pay_invoice", {"invoice": await it.bill()}))["result"]


async def test_a_payment_that_fails_gives_its_budget_back(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with desk(tmp_path) as it:
        await it.served.ledger.inject(Fault(FaultKind.FAIL, reason="no liquidity", times=1))
        said = await it.client.ask("pay_invoice", {"invoice": await it.bill()})
        assert said["error"] == {"code": "PAYMENT_FAILED", "message": "no liquidity"}
        said = await it.client.ask("pay_invoice", {"invoice": await it.bill(Msat(FUNDS + 1))})
        assert said["error"]["code"] == "INSUFFICIENT_BALANCE"
        assert await it.committed() == 0


async def test_an_invoice_that_leaves_the_amount_open_is_not_paid(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with desk(tmp_path) as it:
        shop = KeyPair(b"\2" * 32)
        asked = decode(await it.bill())
        open_amount = encode(evolve(asked, amount=None), shop)
        said = await it.client.ask("pay_invoice", {"invoice": open_amount, "amount": 5})
        assert said["error"]["code"] == "NOT_IMPLEMENTED"
        other = {"invoice": await it.bill(), "amount": AMOUNT + 1}
        assert (await it.client.ask("pay_invoice", other))["error"]["code"] == "OTHER"
        far = encode(evolve(asked, network=Network.MAINNET), shop)
        assert (await it.client.ask("pay_invoice", {"invoice": far}))["error"]["code"] == "OTHER"
        same = {"invoice": await it.bill(), "amount": AMOUNT}
        assert (await it.client.ask("pay_invoice", same))["error"] is None


async def test_what_is_held_is_answered_when_it_is_known(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with desk(tmp_path) as it:
        for settle in (True, False):
            preimage = PREIMAGE if settle else "44" * 32
            hash_ = hash_of(Preimage(preimage))
            made = await it.shop.make_hold_invoice(
                hash_, AMOUNT, description="", expiry_seconds=600, hold_seconds=600
            )
            request = it.client.request("pay_invoice", {"invoice": made.bolt11})
            await it.client.send(request)
            await trio.sleep(100)
            assert it.client.answers(request) == []
            assert await it.committed() > 0
            if settle:
                await it.shop.settle_hold(Preimage(preimage))
                assert (await it.client.answer(request))["result"]["preimage"] == preimage
            else:
                await it.shop.cancel_invoice(hash_)
                said = await it.client.answer(request)
                assert said["error"]["code"] == "PAYMENT_FAILED"
        await trio.sleep(10)
        assert await it.committed() == AMOUNT + FEE


async def test_what_was_in_flight_at_a_crash_is_counted_at_the_next_start(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with desk(tmp_path) as it:
        made = await it.shop.make_hold_invoice(
            HASH, AMOUNT, description="", expiry_seconds=600, hold_seconds=600
        )
        await it.client.send(it.client.request("pay_invoice", {"invoice": made.bolt11}))
        await trio.sleep(10)
        assert isinstance(await it.served.ledger.payment(HASH), PaymentInFlight)
        it.scope.cancel("killed")
        await trio.sleep(1)
        await it.shop.settle_hold(PREIMAGE)
        assert set(await it.served.budget.reserved()) == {HASH}

        await it.restart()
        assert await it.served.budget.reserved() == {}
        assert await it.committed() == AMOUNT + FEE
        assert isinstance(await it.served.ledger.payment(HASH), PaymentSettled)


async def test_a_lost_answer_of_the_wallet_is_found(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with desk(tmp_path) as it:
        await it.served.ledger.inject(Fault(FaultKind.LOSE_PAYMENT, times=1))
        said = await it.client.ask("pay_invoice", {"invoice": await it.bill()})
        assert said["result"]["fees_paid"] == FEE
        assert await it.committed() == AMOUNT + FEE


async def test_too_much_at_once_is_refused(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        made = await it.shop.make_hold_invoice(
            HASH, AMOUNT, description="", expiry_seconds=600, hold_seconds=600
        )
        flood = [
            it.client.request("pay_invoice", {"invoice": made.bolt11}, tags=(("n", str(n)),))
            for n in range(64)
        ]
        for request in flood:
            await it.client.send(request)
        await trio.sleep(2)
        said = await it.client.ask("get_balance")
        assert said["error"]["code"] == "RATE_LIMITED"

        await it.shop.settle_hold(PREIMAGE)
        for request in flood:
            assert (await it.client.answer(request))["result"]["preimage"] == PREIMAGE
        assert (await it.client.ask("get_balance"))["error"] is None
        assert await it.committed() == AMOUNT + FEE


# Being paid


async def test_an_invoice_that_is_paid_is_told_in_both_encryptions(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with desk(tmp_path) as it:
        await it.shop.fund(FUNDS)
        made = (await it.client.ask("make_invoice", {"amount": AMOUNT, "description": "tea"}))[
            "result"
        ]
        assert (made["state"], made["amount"], made["description"]) == ("pending", AMOUNT, "tea")
        await it.shop.pay(made["invoice"], max_fee=AMOUNT, deadline_seconds=5)
        for kind in (23197, 23196):
            ((what, tx),) = await it.client.told(kind)
            assert what == "payment_received"
            assert (tx["payment_hash"], tx["state"]) == (made["payment_hash"], "settled")
            assert tx["settled_at"] >= tx["created_at"]
        found = await it.client.ask("lookup_invoice", {"payment_hash": made["payment_hash"]})
        assert found["result"]["preimage"]


async def test_a_hold_is_told_with_its_deadline_and_ended_as_asked(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with desk(tmp_path) as it:
        await it.shop.fund(FUNDS)
        asked = {"amount": AMOUNT, "payment_hash": HASH, "description": "held"}
        made = (await it.client.ask("make_hold_invoice", asked))["result"]
        early = await it.client.ask("settle_hold_invoice", {"preimage": PREIMAGE})
        assert early["error"]["code"] == "OTHER"
        await it.shop.pay(made["invoice"], max_fee=AMOUNT, deadline_seconds=1)
        ((what, tx),) = await it.client.told()
        assert (what, tx["state"]) == ("hold_invoice_accepted", "accepted")
        assert tx["settle_by"] == pytest.approx(it.client.clock.now() + 3_600, abs=60)
        assert tx["settle_deadline"] == tx["settle_by"] // 600
        late = await it.client.ask("settle_hold_invoice", {"preimage": PREIMAGE})
        assert (late["error"], late["result"]) == (None, {})
        refused = await it.client.ask("cancel_hold_invoice", {"payment_hash": HASH})
        assert refused["error"]["code"] == "OTHER"
        assert [what for what, _ in await it.client.told()] == [
            "hold_invoice_accepted",
            "payment_received",
        ]


async def test_what_is_sent_is_told_too(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        await it.client.ask("pay_invoice", {"invoice": await it.bill()})
        ((what, tx),) = await it.client.told()
        assert (what, tx["type"], tx["fees_paid"]) == ("payment_sent", "outgoing", FEE)


async def test_what_was_over_before_the_start_is_no_news(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with desk(tmp_path) as it:
        await it.shop.fund(FUNDS)
        for _ in range(2):
            made = (await it.client.ask("make_invoice", {"amount": AMOUNT}))["result"]
            await it.shop.pay(made["invoice"], max_fee=AMOUNT, deadline_seconds=5)
        it.client.heard.clear()
        await it.restart()
        assert await it.client.told() == []


async def test_one_request_makes_one_invoice(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        request = it.client.request("make_invoice", {"amount": AMOUNT})
        await it.client.send(request)
        first = await it.client.answer(request)
        it.client.heard.clear()
        await it.restart()
        await it.client.send(request)
        again = await it.client.answer(request)
        assert again["result"]["invoice"] == first["result"]["invoice"]


async def test_the_past_is_listed_with_its_invoices(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with desk(tmp_path) as it:
        bills = [await it.bill() for _ in range(3)]
        for bill in bills:
            await it.client.ask("pay_invoice", {"invoice": bill})
            await trio.sleep(2)
        await it.client.ask("make_invoice", {"amount": AMOUNT})
        listed = (await it.client.ask("list_transactions", {}))["result"]["transactions"]
        assert [tx["invoice"] for tx in listed] == bills[::-1]
        assert all(tx["preimage"] and tx["settled_at"] for tx in listed)
        every = (await it.client.ask("list_transactions", {"unpaid": True}))["result"]
        assert len(every["transactions"]) == 4


# Trouble


@define(eq=False)
class Failing:
    """A wallet that starts well, and then answers nothing."""

    _ledger: LedgerWallet

    def __getattr__(self, name: str) -> Any:
        if name in ("info", "history", "watch"):
            return getattr(self._ledger, name)
        return self._fail

    async def _fail(self, *_args: Any, **_how: Any) -> Any:
        await trio.lowlevel.checkpoint()
        raise WalletUnavailable("gone fishing")


async def test_a_wallet_that_does_not_answer_is_an_internal_error(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with desk(tmp_path) as it:
        ledger, failing = it.served.ledger, Failing(it.served.ledger)
        it.served.ledger = cast("LedgerWallet", failing)
        await it.restart()
        for method, params in (
            ("get_balance", {}),
            ("pay_invoice", {"invoice": await it.bill()}),
            ("make_invoice", {"amount": 1}),
            ("lookup_invoice", {"payment_hash": HASH}),
        ):
            said = await it.client.ask(method, params)
            assert (said["error"]["code"], said["error"]["message"]) == ("INTERNAL", "gone fishing")
        assert await it.committed() == 0
        it.served.ledger = ledger


async def test_nothing_secret_is_logged(
    autojump_clock: MockClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with desk(tmp_path) as it:
        await it.client.ask("pay_invoice", {"invoice": await it.bill()})
        await it.client.send(it.client.request("get_balance", legacy=True))
        draft = Draft(nwc.REQUEST_KIND, int(it.client.clock.now()), (("p", it.client.wallet),), "x")
        await it.client.send(events.sign(draft, it.client.keys))
        await trio.sleep(QUIET_SECONDS)
    assert "cannot be read" in caplog.text
    for secret in (it.served.uri.secret, it.served.secret.hex()):
        assert secret not in caplog.text
