"""Trouble on order: what a payer and a payee see, and that the books stay straight."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import trio
import trio.testing

from pylon.adapters.lightning.ledger.faults import Fault, FaultKind
from pylon.adapters.lightning.ledger.opening import open_ledger
from pylon.adapters.memory.clock import MemoryClock
from pylon.adapters.memory.wallet import MemoryMarket
from pylon.errors import WalletUnavailable
from pylon.model.ids import PaymentHash
from pylon.model.money import ZERO, Msat, from_sats
from pylon.model.wallet import (
    InvoiceState,
    IssuedInvoice,
    PaymentFailed,
    PaymentInFlight,
    PaymentResult,
    PaymentSettled,
)
from pylon.wire.secp import KeyPair
from tests.adapters.lightning.town import PAYER_SECRET, ledger_town

AMOUNT = from_sats(20)
FUNDS = from_sats(1000)
FEE = Msat(102)  # 100 and a ten-thousandth


class Pair:
    """A payee and a payer with funds, in memory."""

    def __init__(self) -> None:
        self.clock = MemoryClock()
        market = MemoryMarket(self.clock)
        self.payee = market.wallet(KeyPair(b"\1" * 32))
        self.payer = market.wallet(KeyPair(b"\2" * 32))

    async def invoice(self, amount: Msat = AMOUNT) -> IssuedInvoice:
        return await self.payee.make_invoice(amount, description="", expiry_seconds=60)

    async def pay(self, made: IssuedInvoice, *, deadline: float = 5) -> PaymentResult:
        with trio.fail_after(deadline + 1):
            return await self.payer.pay(
                made.bolt11, max_fee=from_sats(1), deadline_seconds=deadline
            )

    async def payee_sees(self, made: IssuedInvoice) -> InvoiceState:
        status = await self.payee.lookup(made.payment_hash)
        assert status is not None
        return status.state


@pytest.fixture
async def pair() -> AsyncGenerator[Pair, None]:
    pair = Pair()
    await pair.payer.fund(FUNDS)
    yield pair
    assert await pair.payee.audit() == []


async def test_payments_fail_as_often_as_ordered_and_can_be_tried_again(pair: Pair) -> None:
    await pair.payer.inject(Fault(FaultKind.FAIL, reason="channel on fire", times=2))
    made = await pair.invoice()

    failed = PaymentFailed(made.payment_hash, "channel on fire")
    assert [await pair.pay(made) for _ in range(2)] == [failed, failed]
    assert await pair.payer.balance() == FUNDS
    assert isinstance(await pair.pay(made), PaymentSettled)


async def test_a_fault_is_its_owners_alone(pair: Pair) -> None:
    await pair.payee.inject(Fault(FaultKind.FAIL))
    assert isinstance(await pair.pay(await pair.invoice()), PaymentSettled)


async def test_there_is_no_route_above_an_amount(pair: Pair) -> None:
    await pair.payer.inject(Fault(FaultKind.NO_ROUTE, value=AMOUNT))

    assert isinstance(await pair.pay(await pair.invoice()), PaymentSettled)
    larger = await pair.invoice(Msat(AMOUNT + 1))
    assert await pair.pay(larger) == PaymentFailed(larger.payment_hash, "no route")


async def test_a_route_is_missing_as_often_as_ordered(pair: Pair) -> None:
    await pair.payer.inject(Fault(FaultKind.NO_ROUTE, times=1))
    made = await pair.invoice()
    assert isinstance(await pair.pay(made), PaymentFailed)
    assert isinstance(await pair.pay(made), PaymentSettled)


async def test_a_payment_whose_answer_is_lost_has_happened(pair: Pair) -> None:
    await pair.payer.inject(Fault(FaultKind.LOSE_PAYMENT, times=1))
    made = await pair.invoice()
    with pytest.raises(WalletUnavailable):
        await pair.pay(made)

    assert await pair.payee_sees(made) is InvoiceState.SETTLED
    assert await pair.payee.balance() == AMOUNT


async def test_an_invoice_whose_answer_is_lost_is_found_again_by_its_key(pair: Pair) -> None:
    async def make() -> IssuedInvoice:
        return await pair.payee.make_invoice(
            AMOUNT, description="", expiry_seconds=60, idempotency_key="job"
        )

    await pair.payee.inject(Fault(FaultKind.LOSE_INVOICE, times=1))
    with pytest.raises(WalletUnavailable):
        await make()
    await make()
    assert len(await pair.payee.history(limit=9)) == 1


async def test_an_answer_that_takes_its_time_comes(
    autojump_clock: trio.testing.MockClock, pair: Pair
) -> None:
    await pair.payer.inject(Fault(FaultKind.LATENCY, value=3000))
    assert isinstance(await pair.pay(await pair.invoice(), deadline=5), PaymentSettled)
    assert trio.current_time() == pytest.approx(3)


async def test_an_answer_that_takes_too_long_is_not_a_failure(
    autojump_clock: trio.testing.MockClock, pair: Pair
) -> None:
    await pair.payer.inject(Fault(FaultKind.LATENCY, value=60_000, times=1))
    made = await pair.invoice()

    assert await pair.pay(made, deadline=5) == PaymentInFlight(made.payment_hash)
    assert isinstance(await pair.payer.payment(made.payment_hash), PaymentSettled)


@pytest.mark.parametrize("deliver", [True, False])
async def test_a_stuck_payment_holds_its_money_until_it_arrives_or_comes_back(
    autojump_clock: trio.testing.MockClock, pair: Pair, deliver: bool
) -> None:
    await pair.payer.inject(Fault(FaultKind.STUCK))
    made = await pair.invoice()
    for _ in range(2):  # paying anew does not send it twice
        assert await pair.pay(made, deadline=1) == PaymentInFlight(made.payment_hash)
    assert await pair.payee_sees(made) is InvoiceState.OPEN
    assert await pair.payer.balance() == FUNDS - AMOUNT - FEE
    assert await pair.payee.audit() == []

    await pair.payer.clear_faults(deliver=deliver)

    result = await pair.payer.payment(made.payment_hash)
    if deliver:
        assert isinstance(result, PaymentSettled)
        assert (await pair.payer.balance(), await pair.payee.balance()) == (
            FUNDS - AMOUNT - FEE,
            AMOUNT,
        )
    else:
        assert result == PaymentFailed(made.payment_hash, "timed out on its way")
        assert (await pair.payer.balance(), await pair.payee.balance()) == (FUNDS, ZERO)
        assert isinstance(await pair.pay(made), PaymentSettled)  # the fault has gone


async def test_a_stuck_payment_may_arrive_after_the_invoice_has_expired(
    autojump_clock: trio.testing.MockClock, pair: Pair
) -> None:
    await pair.payer.inject(Fault(FaultKind.STUCK, times=1))
    made = await pair.invoice()
    await pair.pay(made, deadline=1)
    pair.clock.jump(3600)
    assert await pair.payee_sees(made) is InvoiceState.EXPIRED

    await pair.payer.clear_faults()
    assert await pair.payee_sees(made) is InvoiceState.SETTLED


async def test_a_stuck_payment_of_an_invoice_that_is_gone_comes_back(
    autojump_clock: trio.testing.MockClock, pair: Pair
) -> None:
    await pair.payer.inject(Fault(FaultKind.STUCK))
    made = await pair.invoice()
    await pair.pay(made, deadline=1)
    await pair.payee.cancel_invoice(made.payment_hash)

    await pair.payer.clear_faults()
    assert isinstance(await pair.payer.payment(made.payment_hash), PaymentFailed)
    assert await pair.payer.balance() == FUNDS


async def test_a_stuck_payment_of_a_hold_invoice_arrives_at_the_hold(
    autojump_clock: trio.testing.MockClock, pair: Pair
) -> None:
    await pair.payer.inject(Fault(FaultKind.STUCK))
    made = await pair.payee.make_hold_invoice(
        PaymentHash("ab" * 32), AMOUNT, description="", expiry_seconds=60, hold_seconds=60
    )
    await pair.pay(made, deadline=1)
    await pair.payer.clear_faults()

    assert await pair.payee_sees(made) is InvoiceState.ACCEPTED
    assert isinstance(await pair.payer.payment(made.payment_hash), PaymentInFlight)
    assert await pair.payer.balance() == FUNDS - AMOUNT - FEE
    await pair.payee.cancel_invoice(made.payment_hash)
    assert await pair.payer.balance() == FUNDS


async def test_a_change_may_be_told_twice_and_the_cursor_is_the_same(pair: Pair) -> None:
    await pair.payee.inject(Fault(FaultKind.DUPLICATE))
    await pair.pay(await pair.invoice())
    with trio.fail_after(5):
        async with pair.payee.watch(after=0) as watch:
            first, second = await anext(watch), await anext(watch)
    assert first == second


async def test_a_fault_ordered_at_one_door_is_met_at_another(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with ledger_town(path) as town:
        async with open_ledger(path, KeyPair(PAYER_SECRET), clock=town.clock) as same_wallet:
            await same_wallet.inject(Fault(FaultKind.FAIL, reason="from elsewhere"))

        made = await town.payee.make_invoice(AMOUNT, description="", expiry_seconds=60)
        result = await town.payer.pay(made.bolt11, max_fee=AMOUNT, deadline_seconds=5)
        assert result == PaymentFailed(made.payment_hash, "from elsewhere")
