"""Payments that went wrong in systems like ours, and are harmless here.

Those of the catalogue that are proved elsewhere are named in `failures.py`.
"""

import subprocess
import sys
from itertools import permutations
from pathlib import Path
from typing import Any, Self

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from pylon.adapters.lightning.ledger.faults import Fault, FaultKind
from pylon.adapters.lightning.ledger.settlement import Terms
from pylon.adapters.memory.wallet import MemoryMarket
from pylon.core.job_machine import (
    Answered,
    CancelAsked,
    CancelInvoice,
    Held,
    InvoiceClosed,
    InvoiceMade,
    News,
    Published,
    SettleHold,
    TimePassed,
    Undeliverable,
    WorkFailed,
    advance,
    begin,
    is_final,
)
from pylon.core.proof import believed
from pylon.errors import GenerationFailed
from pylon.model.event import Event
from pylon.model.ids import EventId, PaymentHash, Preimage
from pylon.model.job import Failed, FeedbackStatus, Refunded, Refunding, Settled
from pylon.model.money import Msat, PayMode
from pylon.model.order import Done, Unknown
from pylon.model.wallet import (
    IssuedInvoice,
    PaymentFailed,
    PaymentInFlight,
    PaymentSettled,
)
from pylon.wire.locked import hash_of
from tests.adapters.wallet_contract import PREIMAGE
from tests.market.actors import a_job
from tests.market.backend import ScriptedBackend
from tests.market.customer import Customer, one_customer
from tests.market.nodes import (
    FUNDS,
    SELLER,
    funded,
    is_one_paid_job,
    job_becomes,
    node,
    one_of_each,
    selling,
    shopping,
)
from tests.market.trouble import Trouble
from tests.market.words import an_offer
from tests.market.world import STRANGER, open_world
from tests.nostr import NOW, keys, note

ROOT = Path(__file__).parents[2]
ZAP_KIND = 9735


async def test_a_fresh_invoice_for_the_same_job_is_not_paid_while_the_old_hash_is_in_flight(
    autojump_clock: MockClock,
) -> None:
    async with one_of_each(ScriptedBackend(seconds=5)) as (world, seller, shopper):
        await shopper.home.ledger.inject(Fault(FaultKind.STUCK, times=1))
        order = shopper.home.order(provider=seller.home.key, timeout_seconds=500)
        await shopper.buyer.submit(order)
        unknown = await shopper.reaches(order, Unknown)
        assert isinstance(unknown, Unknown)

        fresh = await seller.home.ledger.make_invoice(
            Msat(1_000), description="cheaper, and at once", expiry_seconds=3_600
        )
        await world.publish(an_offer(order, fresh, by=SELLER))
        await trio.sleep(100)
        assert await shopper.home.ledger.payment(fresh.payment_hash) is None

        await shopper.home.ledger.clear_faults(deliver=True)
        end = await shopper.ends(order)
        assert isinstance(end, Done)
        assert end.offer is not None
        assert end.offer.payment_hash == unknown.offer.payment_hash
        assert await shopper.home.ledger.payment(fresh.payment_hash) is None
        await shopper.home.no_rows()
        spent = end.offer.amount + end.fee
        assert await shopper.home.ledger.balance() == FUNDS - spent
        assert await shopper.home.store.budget.committed() == spent


async def test_a_retry_that_sticks_is_not_the_failure_that_the_same_hash_met_earlier(
    autojump_clock: MockClock,
) -> None:
    """A refund is what we pay again under the hash that failed."""
    backend = ScriptedBackend((GenerationFailed("out of memory"),))
    async with one_customer(backend) as (world, seller, customer):
        wallet, home = seller.home.ledger, seller.home
        await wallet.fund(FUNDS)
        request = await customer.asks(home, PayMode.PREPAY)
        offer = await customer.hears(request, FeedbackStatus.PAYMENT_REQUIRED)
        payment = await customer.paid(offer.bolt11)
        said = await customer.hears(request, FeedbackStatus.ERROR)
        assert said.refund == offer.amount

        await wallet.inject(Fault(FaultKind.FAIL, reason="no route", times=1))
        invoice = await customer.asks_back(request, home, said.refund or Msat(0))
        await trio.sleep(60)
        assert isinstance(await wallet.payment(invoice.payment_hash), PaymentFailed)
        await wallet.inject(Fault(FaultKind.STUCK, times=1))
        await trio.sleep(600)
        assert await wallet.payment(invoice.payment_hash) == PaymentInFlight(invoice.payment_hash)
        refunding = await job_becomes(home, request.id, Refunding)
        assert isinstance(refunding, Refunding)
        assert refunding.retry_at is None, "it would be paid again"
        assert await customer.wallet.balance() == FUNDS - payment.amount - payment.fee

        await wallet.clear_faults(deliver=True)
        refunded = await job_becomes(home, request.id, Refunded)
        assert isinstance(refunded, Refunded)
        assert refunded.refund == invoice.payment_hash
        assert await customer.wallet.balance() == FUNDS - payment.fee
        outgoing = [e for e in await wallet.history(limit=9) if e.direction == "outgoing"]
        assert [(e.payment_hash, e.state) for e in outgoing] == [(invoice.payment_hash, "settled")]
        assert await world.ledger_audit() == []


# Settling

RESULT = EventId("00" * 32)
HASH = hash_of(PREIMAGE)
INVOICE = IssuedInvoice("lnbcrt1", HASH, Msat(12_000), NOW, NOW + 600, PREIMAGE)
BOTH_PATHS: tuple[News, ...] = (
    Answered(Event(RESULT, keys(SELLER).public_key, NOW, 6050, (), "four", "")),
    Published(RESULT),
    Undeliverable(RESULT, "blocked"),
    WorkFailed("out of memory"),
    CancelAsked(),
    TimePassed(),
    InvoiceClosed(HASH),
)


@pytest.mark.parametrize("mode", [PayMode.HOLD, PayMode.HOLD_LOCKED])
def test_a_hold_is_settled_once_and_never_by_both_the_abort_and_the_success_path(
    mode: PayMode,
) -> None:
    job = a_job(mode=mode, price=INVOICE.amount)
    settled = cancelled = 0
    for order in permutations(BOTH_PATHS):
        state, acts = begin(job, NOW).state, []
        told = [news for news in order for _ in range(2)]  # everything is heard twice
        for news in (InvoiceMade(INVOICE), Held(HASH, NOW + 3_600), *told, *told):
            late = NOW + 100_000 if isinstance(news, TimePassed) else NOW
            step = advance(job, state, news, late)
            state = step.state
            acts += [act for act in step.acts if isinstance(act, SettleHold | CancelInvoice)]
        assert len(acts) <= 1, order
        assert is_final(state)
        settled += acts == [SettleHold(PREIMAGE)]
        cancelled += acts == [CancelInvoice(HASH)]
    assert settled, "no order of events leads to success"
    assert cancelled, "no order of events leads to an abort"


class Impatient(Trouble):
    """A wallet that says nothing of deadlines, and holds for less long than it was asked to."""

    HOLD_SECONDS = 120

    async def make_hold_invoice(self, *args: Any, **kwargs: Any) -> Any:
        asked = kwargs | {"hold_seconds": self.HOLD_SECONDS}
        return await self._port.make_hold_invoice(*args, **asked)

    async def lookup(self, payment_hash: PaymentHash) -> Any:
        return _without_deadline(await self._port.lookup(payment_hash))

    def watch(self, *, after: int) -> Any:
        return _Telling(self._port.watch(after=after))


class _Telling:
    """A watch that leaves deadlines out."""

    def __init__(self, watch: Any) -> None:
        self._watch = watch

    async def __aenter__(self) -> Self:
        self._statuses = await self._watch.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._watch.__aexit__(*error)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return _without_deadline(await self._statuses.__anext__())


def _without_deadline(status: Any) -> Any:
    return None if status is None else evolve(status, settle_deadline=None)


async def test_an_htlc_deadline_that_passes_while_working_stops_the_work_and_costs_nothing(
    autojump_clock: MockClock,
) -> None:
    backend = ScriptedBackend(("late",), seconds=250)
    async with open_world() as world:
        world.ledger = MemoryMarket(world.clock, Terms(hold_seconds=Impatient.HOLD_SECONDS))
        home, customer = node(world, SELLER), Customer(world)
        home.wallet = Impatient(home.wallet)
        await customer.wallet.fund(FUNDS)
        async with selling(home, backend):
            request = await customer.asks(home, PayMode.HOLD)
            offer = await customer.hears(request, FeedbackStatus.PAYMENT_REQUIRED)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(customer.pays, offer.bolt11)
                failed = await job_becomes(home, request.id, Failed)
            assert isinstance(failed, Failed)
            assert failed.reason == "the payment went back before the answer was there"
            assert failed.owed == 0
            await trio.sleep(500)
            assert (backend.cut_off, backend.at_work, len(backend.prompts)) == (1, 0, 1)
        assert await world.published(kinds=(6050,)) == []
        assert await customer.wallet.balance() == FUNDS
        assert await world.ledger_audit() == []


@pytest.mark.parametrize("mode", [PayMode.HOLD, PayMode.HOLD_LOCKED])
async def test_a_hold_whose_htlc_deadline_passed_while_its_daemon_was_dead_goes_back(
    autojump_clock: MockClock, mode: PayMode
) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        home = node(world, SELLER)
        order = shopper.home.order(provider=home.key, modes=(mode,), timeout_seconds=50_000)
        async with selling(home, ScriptedBackend(seconds=100)) as seller:
            await shopper.buyer.submit(order)
            await shopper.reaches(order, Unknown)
            assert seller.backend.at_work == 1
        await trio.sleep(2 * Terms().hold_seconds)
        async with selling(home) as seller:
            failed = await job_becomes(home, order, Failed)
            assert isinstance(failed, Failed)
            assert failed.owed == 0
            await home.no_rows()
            assert seller.backend.prompts == []
        assert not isinstance(await shopper.home.order_state(order), Done)
        assert await shopper.home.ledger.balance() == FUNDS
        assert await world.published(kinds=(6050,)) == []


# Preimages


class DiesWithTheInvoice(Trouble):
    """A wallet that makes an invoice, of which nobody hears any more."""

    def __init__(self, port: Any) -> None:
        super().__init__(port)
        self.made = trio.Event()

    async def make_invoice(self, *args: Any, **kwargs: Any) -> Any:
        await self._port.make_invoice(*args, **kwargs)
        self.made.set()
        await trio.sleep_forever()

    async def make_hold_invoice(self, *args: Any, **kwargs: Any) -> Any:
        await self._port.make_hold_invoice(*args, **kwargs)
        self.made.set()
        await trio.sleep_forever()


@pytest.mark.parametrize("mode", [PayMode.HOLD, PayMode.LOCKED, PayMode.HOLD_LOCKED])
async def test_a_preimage_lost_with_the_sellers_process_is_found_again(
    autojump_clock: MockClock, mode: PayMode
) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        home = node(world, SELLER)
        wallet, dying = home.wallet, DiesWithTheInvoice(home.wallet)
        order = shopper.home.order(provider=home.key, modes=(mode,), timeout_seconds=900)
        home.wallet = dying
        async with selling(home):
            await shopper.buyer.submit(order)
            await dying.made.wait()
        home.wallet = wallet
        async with selling(home):
            assert isinstance(await shopper.ends(order), Done)
            assert await shopper.home.result_text(order) == "four"
            await is_one_paid_job(world, home, shopper.home, order)


class DiesWithThePreimage(Trouble):
    """A wallet that pays, and nobody hears of the preimage."""

    def __init__(self, port: Any) -> None:
        super().__init__(port)
        self.paid = trio.Event()

    async def pay(self, *args: Any, **kwargs: Any) -> Any:
        await self._port.pay(*args, **kwargs)
        self.paid.set()
        await trio.sleep_forever()


@pytest.mark.parametrize("mode", [PayMode.PREPAY, PayMode.LOCKED])
async def test_a_preimage_lost_with_the_buyers_process_is_asked_of_the_wallet_again(
    autojump_clock: MockClock, mode: PayMode
) -> None:
    async with open_world() as world, selling(node(world, SELLER)) as seller:
        home = await funded(world)
        wallet, dying = home.wallet, DiesWithThePreimage(home.wallet)
        order = home.order(provider=seller.home.key, modes=(mode,), timeout_seconds=900)
        home.wallet = dying
        async with shopping(home) as shopper:
            await shopper.buyer.submit(order)
            await dying.paid.wait()
        home.wallet = wallet
        async with shopping(home) as shopper:
            await shopper.buyer.resume(order.id)
            end = await shopper.ends(order)
            assert isinstance(end, Done)
            assert end.offer is not None
            assert end.preimage is not None
            assert hash_of(end.preimage) == end.offer.payment_hash
            assert await home.result_text(order) == "four"
            await is_one_paid_job(world, seller.home, home, order)


# What is taken for a payment

TRUTHY = """
async def is_paid() -> bool:
    return False

async def work() -> None:
    if is_paid():
        print("worked for nothing")
"""


def type_check(file: Path, program: str) -> tuple[int, str]:
    """Check a program as strictly as our own; return the exit status and what was said."""
    file.write_text(program)
    config = ("--config-file", "pyproject.toml", "--cache-dir", str(file.parent / "cache"))
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "mypy", *config, str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_paid_because_a_coroutine_is_truthy_does_not_pass_the_type_check(tmp_path: Path) -> None:
    status, said = type_check(tmp_path / "truthy.py", TRUTHY)
    assert (status, "[truthy-bool]" in said) == (1, True), said
    awaited = TRUTHY.replace("if is_paid", "if await is_paid")
    assert type_check(tmp_path / "awaited.py", awaited)[0] == 0


def test_a_payment_is_believed_for_its_preimage_and_for_nothing_else() -> None:
    paid = PaymentSettled(HASH, PREIMAGE, Msat(12_000), Msat(0))
    assert believed(paid, HASH) == paid
    for preimage in ("00" * 32, ""):
        claim = evolve(paid, preimage=Preimage(preimage))
        assert believed(claim, HASH) == PaymentInFlight(HASH)
    other = PaymentHash("22" * 32)
    assert believed(paid, other) == PaymentInFlight(other)


async def test_a_zap_and_the_invoice_do_not_both_trigger_work(autojump_clock: MockClock) -> None:
    async with one_customer() as (world, seller, customer):
        request = await customer.asks(seller.home, PayMode.PREPAY)
        offer = await customer.hears(request, FeedbackStatus.PAYMENT_REQUIRED)
        about = (("e", request.id), ("p", seller.home.key))
        zapped = await seller.home.ledger.make_invoice(
            Msat(12_000), description="a zap", expiry_seconds=600
        )
        proof = await customer.paid(zapped.bolt11)
        for bolt11 in (zapped.bolt11, offer.bolt11 or ""):  # the second one was never paid
            receipt = (*about, ("bolt11", bolt11), ("preimage", proof.preimage))
            await world.publish(
                note("", *receipt, kind=ZAP_KIND, at=world.now(), by=STRANGER),
            )
        await trio.sleep(60)
        assert seller.backend.prompts == []

        payment = await customer.paid(offer.bolt11)
        assert (await customer.gets(request)).content == "four"
        await world.publish(note("", *about, kind=ZAP_KIND, at=world.now(), by=STRANGER))
        await trio.sleep(60)
        assert len(seller.backend.prompts) == 1
        settled = await job_becomes(seller.home, request.id, Settled)
        assert isinstance(settled, Settled)
        assert settled.paid == payment.payment_hash
        total = await seller.home.store.earnings.total()
        assert (total.amount, total.jobs) == (offer.amount, 1)
