"""Held payments on the provider's side: the money goes where the answer went, or back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from pylon.adapters.memory.cursors import MemoryCursors
from pylon.config import BackendsConfig, Config, ProviderConfig
from pylon.core.job_machine import hold_seconds
from pylon.errors import WalletUnavailable
from pylon.model.event import Event
from pylon.model.job import (
    Cancelled,
    Expired,
    Failed,
    FeedbackStatus,
    Offered,
    Settled,
    Settling,
    Working,
)
from pylon.model.money import PayMode
from pylon.model.reply import Feedback
from pylon.model.wallet import PaymentFailed, PaymentInFlight
from pylon.wire.bolt11 import decode
from tests.market.actors import a_job
from tests.market.backend import ScriptedBackend
from tests.market.customer import Customer, one_customer
from tests.market.nodes import FUNDS, SELLER, NodeHome, Seller, job_becomes, node, selling
from tests.market.trouble import Trouble
from tests.market.world import World, open_world

HOLDS = pytest.mark.parametrize("mode", [PayMode.HOLD, PayMode.HOLD_LOCKED])


async def offered(customer: Customer, seller: NodeHome, mode: PayMode) -> tuple[Event, Feedback]:
    """Ask, and wait for the invoice."""
    request = await customer.asks(seller, mode)
    return request, await customer.hears(request, FeedbackStatus.PAYMENT_REQUIRED)


@asynccontextmanager
async def held(
    customer: Customer, seller: NodeHome, mode: PayMode = PayMode.HOLD
) -> AsyncIterator[Event]:
    """Have a job in the making, whose payment is held, until the block ends."""
    request, offer = await offered(customer, seller, mode)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(customer.pays, offer.bolt11)
        await job_becomes(seller, request.id, Working)
        yield request


async def is_back(world: World, seller: NodeHome, customer: Customer) -> None:
    """Assert that the customer has all its money, and nobody holds any."""
    await seller.no_rows()
    assert await customer.wallet.balance() == FUNDS
    assert (await seller.store.earnings.total()).jobs == 0
    assert await world.ledger_audit() == []


@HOLDS
async def test_money_that_goes_back_while_working_stops_the_work(
    autojump_clock: MockClock, mode: PayMode
) -> None:
    """The deadline of the hold has passed, or the wallet has let go of it."""
    async with one_customer(ScriptedBackend(seconds=100)) as (world, seller, customer):
        async with held(customer, seller.home, mode) as request:
            state = await seller.home.job(request)  # type: ignore[arg-type]  # it has an id
            assert isinstance(state, Working)
            assert state.invoice is not None
            await seller.home.ledger.cancel_invoice(state.invoice.payment_hash)
        failed = await job_becomes(seller.home, request.id, Failed)
        assert isinstance(failed, Failed)
        assert "went back" in failed.reason
        assert seller.backend.cut_off == 1
        await is_back(world, seller.home, customer)


async def test_a_provider_that_was_away_past_the_deadline_gives_back_what_is_held(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        customer, home = Customer(world), node(world, SELLER)
        await customer.wallet.fund(FUNDS)
        async with selling(home, ScriptedBackend(seconds=100)), held(customer, home) as request:
            pass
        await trio.sleep(1_000)
        backend = ScriptedBackend()
        async with selling(home, backend):
            await job_becomes(home, request.id, Failed)
            await is_back(world, home, customer)
        assert backend.prompts == [], "worked for money that nobody could take"


@HOLDS
async def test_work_that_was_cut_off_goes_on_for_money_that_is_still_held(
    autojump_clock: MockClock, mode: PayMode
) -> None:
    async with open_world() as world:
        customer, home = Customer(world), node(world, SELLER)
        await customer.wallet.fund(FUNDS)
        slow = ScriptedBackend(seconds=100)
        async with selling(home, slow), held(customer, home, mode) as request:
            pass
        async with selling(home):
            await job_becomes(home, request.id, Settled)
            assert await customer.wallet.balance() < FUNDS


class Silent(Trouble):
    """A wallet that tells nothing unasked."""

    @asynccontextmanager
    async def watch(self, *, after: int) -> AsyncIterator[AsyncIterator[Any]]:
        del after

        async def never() -> AsyncIterator[Any]:
            await trio.sleep_forever()
            yield

        yield never()


@pytest.mark.parametrize("mode", [PayMode.PREPAY, PayMode.HOLD, PayMode.HOLD_LOCKED])
async def test_what_came_while_we_were_down_is_found_though_no_change_tells_of_it(
    autojump_clock: MockClock, mode: PayMode
) -> None:
    """The cursor is lost, or the wallet forgets what it has not told."""
    async with open_world() as world:
        customer, home = Customer(world), node(world, SELLER)
        await customer.wallet.fund(FUNDS)
        async with selling(home):
            request, offer = await offered(customer, home, mode)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(customer.pays, offer.bolt11)
            await trio.sleep(1)
            home.wallet = Silent(home.wallet)
            home.store = evolve(home.store, cursors=MemoryCursors())
            async with selling(home):
                await job_becomes(home, request.id, Working, Settled)


async def test_an_offer_that_was_called_off_can_no_longer_be_paid(
    autojump_clock: MockClock,
) -> None:
    async with one_customer() as (world, seller, customer):
        request, offer = await offered(customer, seller.home, PayMode.HOLD)
        await customer.calls_off(request)
        await job_becomes(seller.home, request.id, Cancelled)
        await seller.home.no_rows()
        assert isinstance(await customer.pays(offer.bolt11), PaymentFailed)
        await is_back(world, seller.home, customer)


async def test_an_offer_that_nobody_pays_expires(autojump_clock: MockClock) -> None:
    async with one_customer() as (world, seller, customer):
        request, offer = await offered(customer, seller.home, PayMode.HOLD)
        await job_becomes(seller.home, request.id, Expired)
        assert world.now() > decode(offer.bolt11 or "").expires_at
        await is_back(world, seller.home, customer)


async def test_a_wallet_that_is_away_is_asked_to_settle_until_it_does(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        customer, home = Customer(world), node(world, SELLER)
        await customer.wallet.fund(FUNDS)
        home.wallet = wallet = Trouble(home.wallet)
        wallet.fail("settle_hold", *[WalletUnavailable("away")] * 5)
        async with selling(home, ScriptedBackend(seconds=1)):
            async with held(customer, home) as request:
                await job_becomes(home, request.id, Settling)
            await job_becomes(home, request.id, Settled)
            await home.no_rows()
            assert wallet.calls.count("settle_hold") == 6
            assert (await home.store.earnings.total()).jobs == 1


async def test_a_hold_longer_than_the_wallet_can_promise_is_refused_with_the_reason(
    autojump_clock: MockClock,
) -> None:
    slow = Config(backends=BackendsConfig(job_timeout_seconds=3_600))
    async with one_customer(seller=slow) as (world, seller, customer):
        request = await customer.asks(seller.home, PayMode.HOLD)
        said = await customer.hears(request, FeedbackStatus.ERROR)
        assert said.text == "the ledger holds payments for 3,600 s"
        assert hold_seconds(a_job(work_seconds=3_600)) == 4_200
        await is_back(world, seller.home, customer)


async def test_holds_are_capped_and_then_another_mode_in_common_is_taken(
    autojump_clock: MockClock,
) -> None:
    few = Config(provider=ProviderConfig(max_holds_per_buyer=2))
    async with one_customer(seller=few) as (_, seller, customer):
        for _ in range(2):
            await offered(customer, seller.home, PayMode.HOLD)
        refused = await customer.asks(seller.home, PayMode.HOLD)
        assert "2 are allowed" in (await customer.hears(refused, FeedbackStatus.ERROR)).text
        other = await customer.asks(seller.home, PayMode.HOLD, PayMode.PREPAY)
        offer = await customer.hears(other, FeedbackStatus.PAYMENT_REQUIRED)
        assert offer.mode is PayMode.PREPAY


async def test_a_provider_that_stops_settles_what_it_has_delivered(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        customer, home = Customer(world), node(world, SELLER)
        await customer.wallet.fund(FUNDS)
        home.wallet = wallet = Trouble(home.wallet)
        wallet.fail("settle_hold", WalletUnavailable("away"))
        async with selling(home, ScriptedBackend(seconds=1)) as seller:
            async with held(customer, home) as request:
                await _stop(seller)
            assert isinstance((await home.store.jobs.load([request.id]))[request.id].state, Settled)  # type: ignore[list-item, index]  # a job's id is its request's


async def _stop(seller: Seller) -> None:
    seller.stop.set()
    with trio.fail_after(30):
        await seller.stopped.wait()


@HOLDS
async def test_a_held_payment_is_in_flight_for_its_payer_until_the_answer_is_there(
    autojump_clock: MockClock, mode: PayMode
) -> None:
    async with one_customer(ScriptedBackend(seconds=50)) as (_, seller, customer):
        request, offer = await offered(customer, seller.home, mode)
        assert isinstance(await customer.pays(offer.bolt11), PaymentInFlight)
        assert isinstance(await seller.home.job(request), Working)  # type: ignore[arg-type]  # it has an id
        await customer.gets(request)
        await customer.paid(offer.bolt11)


@HOLDS
async def test_no_invoice_is_a_held_one_without_its_preimage_on_disk(
    autojump_clock: MockClock, mode: PayMode
) -> None:
    async with one_customer() as (_, seller, customer):
        request, offer = await offered(customer, seller.home, mode)
        state = await job_becomes(seller.home, request.id, Offered)
        assert isinstance(state, Offered)
        assert state.invoice.preimage is not None
        assert state.invoice.bolt11 == offer.bolt11
        assert state.invoice.preimage not in str(state), "a preimage is as good as the money"
