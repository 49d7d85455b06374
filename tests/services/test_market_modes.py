"""Each way of paying, as a customer meets it that any program could be."""

import pytest
import trio
from trio.testing import MockClock

from pylon.errors import GenerationFailed
from pylon.model.job import (
    Cancelled,
    Delivered,
    Failed,
    FeedbackStatus,
    Refunded,
    Settled,
    Working,
)
from pylon.model.money import PayMode
from pylon.model.wallet import InvoiceState, PaymentFailed
from pylon.wire import bolt11
from tests.market.backend import ScriptedBackend
from tests.market.customer import one_customer
from tests.market.nodes import FUNDS, job_becomes

BROKEN = GenerationFailed("out of memory")


async def test_a_hold_is_settled_when_a_relay_has_the_result(autojump_clock: MockClock) -> None:
    async with one_customer(ScriptedBackend(seconds=1)) as (world, seller, customer):
        request = await customer.asks(seller.home, PayMode.HOLD)
        offer = await customer.hears(request, FeedbackStatus.PAYMENT_REQUIRED)
        assert offer.mode is PayMode.HOLD
        payment = await customer.paid(offer.bolt11)
        assert (await customer.gets(request)).content == "four"
        assert payment.payment_hash == bolt11.decode(offer.bolt11 or "").payment_hash
        state = await job_becomes(seller.home, request.id, Settled)
        assert isinstance(state, Settled)
        assert state.paid == payment.payment_hash
        await seller.home.no_rows()
        assert (await seller.home.store.earnings.total()).amount == offer.amount
        assert await world.ledger_audit() == []


async def test_what_is_held_for_work_that_fails_goes_back(autojump_clock: MockClock) -> None:
    async with one_customer(ScriptedBackend((BROKEN,))) as (world, seller, customer):
        request = await customer.asks(seller.home, PayMode.HOLD)
        offer = await customer.hears(request, FeedbackStatus.PAYMENT_REQUIRED)
        assert isinstance(await customer.pays(offer.bolt11), PaymentFailed)
        assert isinstance(await job_becomes(seller.home, request.id, Failed), Failed)
        said = await customer.hears(request, FeedbackStatus.ERROR)
        assert (said.text, said.refund) == ("out of memory", None)
        assert await customer.wallet.balance() == FUNDS
        assert await world.ledger_audit() == []


async def test_a_locked_result_is_opened_by_the_payment_and_by_nothing_else(
    autojump_clock: MockClock,
) -> None:
    async with one_customer() as (world, seller, customer):
        request = await customer.asks(seller.home, PayMode.LOCKED)
        result = await customer.gets(request)
        assert result.locked is not None
        assert (result.mode, "four" in result.content) == (PayMode.LOCKED, False)
        assert bolt11.decode(result.bolt11 or "").payment_hash == result.locked.payment_hash
        await job_becomes(seller.home, request.id, Delivered)
        payment = await customer.paid(result.bolt11)
        assert customer.opens(result, payment) == "four"
        await job_becomes(seller.home, request.id, Settled)
        await seller.home.no_rows()
        assert (await seller.home.store.earnings.total()).amount == result.amount
        assert await world.ledger_audit() == []


async def test_a_held_payment_reveals_the_key_when_a_relay_has_the_locked_result(
    autojump_clock: MockClock,
) -> None:
    async with one_customer(ScriptedBackend(seconds=1)) as (world, seller, customer):
        request = await customer.asks(seller.home, PayMode.HOLD_LOCKED)
        offer = await customer.hears(request, FeedbackStatus.PAYMENT_REQUIRED)
        assert offer.mode is PayMode.HOLD_LOCKED
        payment = await customer.paid(offer.bolt11)
        result = await customer.gets(request)
        assert result.locked is not None
        assert result.bolt11 is None
        assert result.locked.payment_hash == payment.payment_hash
        assert customer.opens(result, payment) == "four"
        await job_becomes(seller.home, request.id, Settled)
        assert await world.ledger_audit() == []


async def test_prepaid_work_that_fails_is_paid_back_for_the_customers_invoice(
    autojump_clock: MockClock,
) -> None:
    async with one_customer(ScriptedBackend((BROKEN,))) as (world, seller, customer):
        request = await customer.asks(seller.home, PayMode.PREPAY)
        offer = await customer.hears(request, FeedbackStatus.PAYMENT_REQUIRED)
        payment = await customer.paid(offer.bolt11)
        said = await customer.hears(request, FeedbackStatus.ERROR)
        assert said.refund == offer.amount
        assert said.refund is not None
        await seller.home.ledger.fund(FUNDS)
        invoice = await customer.asks_back(request, seller.home, said.refund)
        state = await job_becomes(seller.home, request.id, Refunded)
        assert isinstance(state, Refunded)
        assert (state.refund, state.owed) == (invoice.payment_hash, offer.amount)
        status = await customer.wallet.lookup(invoice.payment_hash)
        assert status is not None
        assert status.state is InvoiceState.SETTLED
        assert await customer.wallet.balance() == FUNDS - payment.fee
        assert await world.ledger_audit() == []


async def test_a_cancel_in_mid_run_gives_back_what_is_held(autojump_clock: MockClock) -> None:
    async with one_customer(ScriptedBackend(seconds=100)) as (_, seller, customer):
        request = await customer.asks(seller.home, PayMode.HOLD)
        offer = await customer.hears(request, FeedbackStatus.PAYMENT_REQUIRED)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(customer.pays, offer.bolt11)
            await job_becomes(seller.home, request.id, Working)
            await customer.calls_off(request)
        await job_becomes(seller.home, request.id, Cancelled)
        await seller.home.no_rows()
        assert await customer.wallet.balance() == FUNDS
        assert seller.backend.cut_off == 1


@pytest.mark.parametrize(
    ("pay", "mode"),
    [
        ((), PayMode.HOLD),
        ((PayMode.PREPAY, PayMode.HOLD), PayMode.PREPAY),
        ((PayMode.HOLD, PayMode.PREPAY), PayMode.HOLD),
        ((PayMode.HOLD_LOCKED, PayMode.PREPAY), PayMode.HOLD_LOCKED),
    ],
    ids=["a stranger", "prepay first", "hold first", "hold+locked first"],
)
async def test_the_customers_order_decides_and_strangers_get_what_any_wallet_can_pay(
    autojump_clock: MockClock, pay: tuple[PayMode, ...], mode: PayMode
) -> None:
    async with one_customer() as (_, seller, customer):
        request = await customer.asks(seller.home, *pay)
        offer = await customer.hears(request, FeedbackStatus.PAYMENT_REQUIRED)
        assert offer.mode is mode
