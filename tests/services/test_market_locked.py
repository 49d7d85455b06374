"""Locked results on the provider's side: work on credit, for as much as one customer is trusted."""

from typing import Any

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from pylon.config import BackendsConfig, Config, ProviderConfig
from pylon.core.open_jobs import UNPAID_SECONDS
from pylon.errors import GenerationFailed
from pylon.model.event import Event
from pylon.model.job import (
    Cancelled,
    Delivered,
    Failed,
    FeedbackStatus,
    Settled,
    Unpaid,
    Working,
)
from pylon.model.money import PayMode
from pylon.model.wallet import Capabilities, PaymentFailed, WalletInfo
from pylon.services.wallet_watch import EVERY_SECONDS
from pylon.wire.handlers import read_handler
from pylon.wire.locked import MAX_TEXT
from tests.market.backend import ScriptedBackend
from tests.market.customer import Customer, one_customer
from tests.market.nodes import FUNDS, RIVAL, SELLER, NodeHome, job_becomes, node, selling
from tests.market.trouble import Trouble
from tests.market.world import open_world

TRUST = 2
WARY = Config(
    provider=ProviderConfig(max_unpaid_per_buyer=TRUST, offer_expiry_seconds=60),
    backends=BackendsConfig(job_timeout_seconds=60),
)


async def on_credit(customer: Customer, seller: NodeHome) -> Event:
    """Have a job done, and do not pay for it yet."""
    request = await customer.asks(seller, PayMode.LOCKED)
    await job_becomes(seller, request.id, Delivered)
    return request


async def is_refused(customer: Customer, seller: NodeHome) -> None:
    request = await customer.asks(seller, PayMode.LOCKED)
    said = await customer.hears(request, FeedbackStatus.ERROR)
    assert said.text == f"you have {TRUST} jobs here that are not paid; {TRUST} are allowed"


async def test_who_does_not_pay_is_trusted_with_no_more_work(autojump_clock: MockClock) -> None:
    async with one_customer(seller=WARY) as (_, seller, customer):
        debts = [await on_credit(customer, seller.home) for _ in range(TRUST)]
        await is_refused(customer, seller.home)
        result = await customer.gets(debts[0])
        assert customer.opens(result, await customer.paid(result.bolt11)) == "four"
        await job_becomes(seller.home, debts[0].id, Settled)
        await on_credit(customer, seller.home)
        await is_refused(customer, seller.home)


async def test_what_was_never_paid_is_remembered_for_a_day_and_over_restarts(
    autojump_clock: MockClock,
) -> None:
    async with open_world(seconds=200_000) as world:
        customer, home = Customer(world), node(world, SELLER, WARY)
        await customer.wallet.fund(FUNDS)
        async with selling(home):
            debts = [await on_credit(customer, home) for _ in range(TRUST)]
            for debt in debts:
                await job_becomes(home, debt.id, Unpaid)
            await is_refused(customer, home)
        async with selling(home):
            await is_refused(customer, home)
            rival = Customer(world, RIVAL)
            await on_credit(rival, home)
        await trio.sleep(UNPAID_SECONDS)
        async with selling(home):
            await on_credit(customer, home)


async def test_who_calls_off_what_is_worked_on_by_credit_is_trusted_with_no_more_work(
    autojump_clock: MockClock,
) -> None:
    """Also over a restart: or else a customer keeps us computing for nothing, and for ever."""
    async with open_world() as world:
        customer, home = Customer(world), node(world, SELLER, WARY)
        async with selling(home, ScriptedBackend(seconds=5)):
            for _ in range(TRUST):
                request = await customer.asks(home, PayMode.LOCKED)
                await job_becomes(home, request.id, Working)
                await customer.calls_off(request)
                await job_becomes(home, request.id, Cancelled)
            await is_refused(customer, home)
        async with selling(home):
            await is_refused(customer, home)
            await on_credit(Customer(world, RIVAL), home)


async def test_the_next_mode_in_common_is_taken_from_who_has_not_paid(
    autojump_clock: MockClock,
) -> None:
    async with one_customer(seller=WARY) as (_, seller, customer):
        for _ in range(TRUST):
            await on_credit(customer, seller.home)
        request = await customer.asks(seller.home, PayMode.LOCKED, PayMode.HOLD)
        offer = await customer.hears(request, FeedbackStatus.PAYMENT_REQUIRED)
        assert offer.mode is PayMode.HOLD


async def test_delivered_and_never_paid_is_told_apart_from_failed(
    autojump_clock: MockClock,
) -> None:
    async with one_customer(seller=WARY) as (world, seller, customer):
        request = await on_credit(customer, seller.home)
        result = await customer.gets(request)
        state = await job_becomes(seller.home, request.id, Unpaid)
        assert isinstance(state, Unpaid)
        assert (state.result, state.reason) == (result.id, "not paid in time")
        await seller.home.no_rows()
        assert isinstance(await customer.pays(result.bolt11), PaymentFailed)
        assert await customer.wallet.balance() == FUNDS
        assert await world.ledger_audit() == []


async def test_locked_work_that_fails_costs_nobody_anything(autojump_clock: MockClock) -> None:
    broken = ScriptedBackend((GenerationFailed("out of memory"),))
    async with one_customer(broken, seller=WARY) as (world, seller, customer):
        for _ in range(TRUST + 1):  # nor does it count against the customer
            request = await customer.asks(seller.home, PayMode.LOCKED)
            await job_becomes(seller.home, request.id, Failed)
        await seller.home.no_rows()
        assert await world.published(kinds=(6050,)) == []
        assert (await customer.hears(request, FeedbackStatus.ERROR)).refund is None


@pytest.mark.parametrize("mode", [PayMode.LOCKED, PayMode.HOLD_LOCKED])
async def test_an_answer_too_long_to_be_locked_fails_with_the_reason(
    autojump_clock: MockClock, mode: PayMode
) -> None:
    long = ScriptedBackend(("x" * (MAX_TEXT + 1),))
    async with one_customer(long) as (_, seller, customer):
        request = await customer.asks(seller.home, mode)
        if mode is PayMode.HOLD_LOCKED:
            offer = await customer.hears(request, FeedbackStatus.PAYMENT_REQUIRED)
            assert isinstance(await customer.pays(offer.bolt11), PaymentFailed)
        state = await job_becomes(seller.home, request.id, Failed)
        assert isinstance(state, Failed)
        assert state.reason == (
            "the answer cannot be delivered: it has 49,122 bytes, and a locked one carries 49,121"
        )
        await seller.home.no_rows()
        assert await customer.wallet.balance() == FUNDS


async def test_the_longest_answer_that_can_be_locked_arrives(autojump_clock: MockClock) -> None:
    long = "x" * MAX_TEXT
    async with one_customer(ScriptedBackend((long,))) as (_, seller, customer):
        request = await customer.asks(seller.home, PayMode.LOCKED)
        result = await customer.gets(request)
        assert customer.opens(result, await customer.paid(result.bolt11)) == long


class Less(Trouble):
    """A wallet that can do what the test says."""

    def __init__(self, port: Any) -> None:
        super().__init__(port)
        self.able = Capabilities(hold=True)

    async def info(self) -> WalletInfo:
        info: WalletInfo = await self._port.info()
        return evolve(info, capabilities=self.able)


async def test_a_result_is_sold_over_a_hold_where_the_wallet_knows_no_other_way(
    autojump_clock: MockClock,
) -> None:
    async with open_world(seconds=10_000) as world:
        customer, home = Customer(world), node(world, SELLER)
        await customer.wallet.fund(FUNDS)
        home.wallet = wallet = Less(home.wallet)
        async with selling(home):
            request = await customer.asks(home, PayMode.LOCKED)
            result = await customer.gets(request)
            payment = await customer.paid(result.bolt11)
            assert customer.opens(result, payment) == "four"
            await job_becomes(home, request.id, Settled)
            await home.no_rows()
        assert wallet.calls.count("settle_hold") == 1
        assert "make_invoice" not in wallet.calls
        assert await world.ledger_audit() == []


async def test_what_is_announced_changes_with_what_the_wallet_can(
    autojump_clock: MockClock,
) -> None:
    async with open_world(seconds=10_000) as world:
        home = node(world, SELLER)
        home.wallet = wallet = Less(home.wallet)

        async def announced() -> Any:
            (event,) = await world.published(kinds=(31990,))
            return read_handler(event).pay

        async with selling(home):
            await trio.sleep(5)
            every = (PayMode.HOLD_LOCKED, PayMode.LOCKED, PayMode.HOLD, PayMode.PREPAY)
            assert await announced() == every
            wallet.able = Capabilities()
            await trio.sleep(EVERY_SECONDS + 5)
            assert await announced() == (PayMode.PREPAY,)
            customer = Customer(world)
            request = await customer.asks(home, PayMode.HOLD)
            said = await customer.hears(request, FeedbackStatus.ERROR)
            assert said.text == "no payment mode in common; we take prepay"
