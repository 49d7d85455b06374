"""One paid job you can trust: providers and buyers over real relay sessions, start to end."""

from contextlib import AsyncExitStack

import pytest
import trio
from trio.testing import MockClock

from pylon.adapters.keys import LocalSigner
from pylon.config import BudgetConfig, Config, PricingConfig, ProviderConfig
from pylon.core.admission import CHAT_KIND
from pylon.core.order_mail import OfferRefused, PartialHeard, StatusHeard
from pylon.core.ordering import Wish
from pylon.errors import GenerationFailed
from pylon.model import job as jobs
from pylon.model.event import Draft
from pylon.model.inference import Message
from pylon.model.job import Cancelled, Expired, FeedbackStatus, Settled
from pylon.model.money import Msat, from_sats
from pylon.model.order import (
    Cause,
    Chosen,
    Declined,
    Done,
    NotServed,
    Paid,
    Published,
    Reclaiming,
    Refunded,
    Withdrawn,
)
from pylon.model.wallet import InvoiceState
from tests.market.backend import ScriptedBackend
from tests.market.nodes import (
    FUNDS,
    RIVAL,
    SELLER,
    funded,
    is_one_paid_job,
    job_becomes,
    node,
    one_of_each,
    open_rows,
    selling,
    shopping,
)
from tests.market.world import STRANGER, open_world
from tests.nostr import keys

GIVEN_AWAY = Config(provider=ProviderConfig(require_payment=False))
CHEAP = Config(pricing=PricingConfig(base_msats=0, output_msats_per_1k_tokens=2_000))


async def test_a_paid_job_is_answered_and_paid_once(autojump_clock: MockClock) -> None:
    async with one_of_each() as (world, seller, shopper):
        order = shopper.home.order(provider=seller.home.key)
        end = await shopper.buy(order)
        assert isinstance(end, Done)
        assert await shopper.home.result_text(order) == "four"
        assert seller.backend.prompts[0].messages == (Message("user", "What is 2+2?"),)
        await is_one_paid_job(world, seller.home, shopper.home, order)
        passed = ["Draft", "Published", "Reserving", "Paying", "Paid", "Done"]
        assert shopper.states(order) == passed


async def test_all_five_statuses_are_said_when_they_apply(autojump_clock: MockClock) -> None:
    async with one_of_each() as (world, seller, shopper):
        await shopper.buy(shopper.home.order(provider=seller.home.key, streaming=True))
        refused = shopper.home.order(provider=seller.home.key, model="gpt_oss_20b")
        assert isinstance(await shopper.buy(refused), NotServed)
        said = {event.tag("status") for event in await world.published(kinds=(7000,))}
        assert said == {status.value for status in FeedbackStatus}


async def test_work_that_is_given_away_moves_no_money(autojump_clock: MockClock) -> None:
    async with one_of_each(seller=GIVEN_AWAY) as (_, seller, shopper):
        order = shopper.home.order(provider=seller.home.key)
        end = await shopper.buy(order)
        assert isinstance(end, Done)
        assert end.offer is None
        assert await shopper.home.result_text(order) == "four"
        assert isinstance(await job_becomes(seller.home, order, Settled), Settled)
        assert await seller.home.ledger.history(limit=9) == []
        assert await shopper.home.ledger.balance() == FUNDS
        assert (await seller.home.store.earnings.total()).jobs == 0


async def test_a_chat_is_asked_and_answered_in_its_own_shape(autojump_clock: MockClock) -> None:
    async with one_of_each() as (world, seller, shopper):
        order = shopper.home.order(provider=seller.home.key, kind=CHAT_KIND, max_tokens=7)
        assert isinstance(await shopper.buy(order), Done)
        assert await shopper.home.result_text(order) == "four"
        assert seller.backend.prompts[0].max_tokens == 7
        (result,) = await world.published(kinds=(6935,))
        assert '"role":"assistant"' in result.content


async def test_nobody_between_reads_an_encrypted_job(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(("the ", "secret"), seconds=1)
    async with one_of_each(backend) as (world, seller, shopper):
        order = shopper.home.order(
            "riddle", streaming=True, encrypted=True, provider=seller.home.key
        )
        assert isinstance(await shopper.buy(order), Done)
        assert await shopper.home.result_text(order) == "the secret"
        assert "".join(piece.text for piece in shopper.of(PartialHeard)) == "the secret"
        assert seller.backend.prompts[0].messages == (Message("user", "riddle"),)
        everything = await world.published(kinds=(5050, 7000, 6050))
        assert len(everything) >= 6
        assert not any("riddle" in str(event) or "secret" in str(event) for event in everything)


async def test_a_job_in_nip04_is_answered_in_nip04(autojump_clock: MockClock) -> None:
    async with open_world() as world, selling(node(world, SELLER, GIVEN_AWAY)) as seller:
        customer = LocalSigner(keys(STRANGER))
        hidden = customer.encrypt_legacy('[["i","What is 2+2?","text"]]', seller.home.key)
        tags = (("p", seller.home.key), ("encrypted",))
        request = customer.sign(Draft(5050, world.now(), tags, hidden))
        await world.publish(request)
        await job_becomes(seller.home, request.id, Settled)
        (result,) = await world.published(kinds=(6050,))
        assert "?iv=" in result.content
        assert customer.decrypt(result.content, seller.home.key) == "four"
        assert seller.backend.prompts[0].messages == (Message("user", "What is 2+2?"),)


async def test_of_several_offers_the_cheapest_is_paid(autojump_clock: MockClock) -> None:
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(open_world())
        dear = await stack.enter_async_context(selling(node(world, RIVAL)))
        cheap = await stack.enter_async_context(selling(node(world, SELLER, CHEAP)))
        shopper = await stack.enter_async_context(shopping(await funded(world)))
        order = shopper.home.order()
        end = await shopper.buy(order)
        assert isinstance(end, Done)
        assert end.offer is not None
        assert (end.offer.provider, end.offer.amount) == (cheap.home.key, 2_000)
        collected = shopper.last(order, Published).offers
        assert {offer.amount for offer in collected} == {2_000, 12_000}
        await is_one_paid_job(world, cheap.home, shopper.home, order)
        assert isinstance(await job_becomes(dear.home, order, Expired), Expired)
        assert dear.backend.prompts == []
        assert await dear.home.ledger.balance() == 0
        assert await open_rows(dear.home) == []


async def test_an_answer_is_shown_while_it_is_made(autojump_clock: MockClock) -> None:
    pieces = ("Two ", "and ", "two ", "are ", "four.")
    async with one_of_each(ScriptedBackend(pieces, seconds=1)) as (world, seller, shopper):
        order = shopper.home.order(provider=seller.home.key, streaming=True)
        await shopper.buy(order)
        told = [piece.text for piece in shopper.of(PartialHeard)]
        assert len(told) == len(pieces)
        assert "".join(told) == await shopper.home.result_text(order) == "Two and two are four."
        partials = [e for e in await world.published(kinds=(7000,)) if e.tag("status") == "partial"]
        assert [event.tag("seq") for event in partials] == list("01234")


async def test_an_offer_is_paid_when_a_person_says_yes(autojump_clock: MockClock) -> None:
    async with one_of_each() as (world, seller, shopper):
        order = shopper.home.order(Wish("2+2?", provider=seller.home.key))
        await shopper.buyer.submit(order)
        chosen = await shopper.reaches(order, Chosen)
        assert isinstance(chosen, Chosen)
        await trio.sleep(60)
        assert await shopper.home.ledger.balance() == FUNDS
        await shopper.buyer.approve(order.id, chosen.offer)
        assert isinstance(await shopper.ends(order), Done)
        await is_one_paid_job(world, seller.home, shopper.home, order)


async def test_an_offer_that_a_person_denies_is_released(autojump_clock: MockClock) -> None:
    async with one_of_each() as (_, seller, shopper):
        order = shopper.home.order(Wish("2+2?", provider=seller.home.key))
        await shopper.buyer.submit(order)
        chosen = await shopper.reaches(order, Chosen)
        assert isinstance(chosen, Chosen)
        await shopper.buyer.deny(order.id, chosen.offer)
        end = await shopper.ends(order)
        assert end == Declined("not approved", Cause.PERSON)
        assert isinstance(await job_becomes(seller.home, order, Cancelled), Cancelled)


async def test_a_job_called_off_before_payment_costs_nothing(autojump_clock: MockClock) -> None:
    async with one_of_each() as (_, seller, shopper):
        order = shopper.home.order(Wish("2+2?", provider=seller.home.key))
        await shopper.buyer.submit(order)
        chosen = await shopper.reaches(order, Chosen)
        assert isinstance(chosen, Chosen)
        await shopper.buyer.cancel(order.id)
        assert await shopper.ends(order) == Withdrawn()
        await job_becomes(seller.home, order, Cancelled)
        await seller.home.no_rows()
        status = await seller.home.ledger.lookup(chosen.offer.payment_hash)
        assert status is not None
        assert status.state is InvoiceState.CANCELLED
        assert await shopper.home.ledger.balance() == FUNDS


async def test_a_job_called_off_while_it_is_worked_on_stops_the_work(
    autojump_clock: MockClock,
) -> None:
    backend = ScriptedBackend(("never",), seconds=100)
    async with one_of_each(backend, seller=GIVEN_AWAY) as (_, seller, shopper):
        order = shopper.home.order(provider=seller.home.key)
        await shopper.buyer.submit(order)
        await shopper.hears(lambda item: isinstance(item, StatusHeard))
        assert backend.at_work == 1
        await shopper.buyer.cancel(order.id)
        assert await shopper.ends(order) == Withdrawn()
        assert await job_becomes(seller.home, order, Cancelled) == Cancelled()
        await seller.home.no_rows()
        assert (backend.at_work, backend.cut_off) == (0, 1)


async def test_a_paid_job_cannot_be_called_off(autojump_clock: MockClock) -> None:
    async with one_of_each(ScriptedBackend(seconds=5)) as (world, seller, shopper):
        order = shopper.home.order(provider=seller.home.key)
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Paid)
        await shopper.buyer.cancel(order.id)
        assert isinstance(await shopper.ends(order), Done)
        await is_one_paid_job(world, seller.home, shopper.home, order)


async def test_work_that_fails_is_tried_again_then_paid_back(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(("a", GenerationFailed("the model was unloaded")))
    async with one_of_each(backend) as (world, seller, shopper):
        await seller.home.ledger.fund(from_sats(1))  # for the fee of paying back
        order = shopper.home.order(provider=seller.home.key)
        end = await shopper.buy(order)
        assert isinstance(end, Reclaiming)
        assert "the model was unloaded" in end.reason
        assert len(backend.prompts) == 3
        back = await shopper.reaches(order, Refunded)
        assert isinstance(back, Refunded)
        assert back.amount == end.offer.amount
        repaid = await job_becomes(seller.home, order, jobs.Refunded)
        assert isinstance(repaid, jobs.Refunded)
        assert (repaid.paid, repaid.owed) == (end.offer.payment_hash, end.offer.amount)
        assert (await seller.home.store.earnings.total()).jobs == 0
        await seller.home.no_rows()
        await shopper.home.no_rows()
        assert await shopper.home.ledger.balance() == FUNDS - end.fee
        assert await world.ledger_audit() == []


async def test_work_that_succeeds_at_the_second_try_is_delivered(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(("half ", GenerationFailed("stalled")), then=("whole",))
    async with one_of_each(backend) as (world, seller, shopper):
        order = shopper.home.order(provider=seller.home.key)
        assert isinstance(await shopper.buy(order), Done)
        assert await shopper.home.result_text(order) == "whole"
        await is_one_paid_job(world, seller.home, shopper.home, order)


@pytest.mark.parametrize(
    "budget",
    [BudgetConfig(per_job_sats=12), BudgetConfig(per_day_sats=16), BudgetConfig(total_sats=1)],
)
async def test_nothing_is_spent_over_budget(
    autojump_clock: MockClock, budget: BudgetConfig
) -> None:
    async with one_of_each(buyer=Config(budget=budget)) as (_, seller, shopper):
        order = shopper.home.order(provider=seller.home.key)  # 12 sat, and 5 in fees at most
        end = await shopper.buy(order)
        assert isinstance(end, Declined)
        assert end.cause is Cause.BUDGET
        assert await shopper.home.ledger.balance() == FUNDS
        assert await shopper.home.store.budget.committed() == 0
        await job_becomes(seller.home, order, Cancelled)


async def test_a_bid_below_the_price_is_refused_before_any_work(autojump_clock: MockClock) -> None:
    async with one_of_each() as (_, seller, shopper):
        order = shopper.home.order(provider=seller.home.key, bid=Msat(3_000))
        end = await shopper.buy(order)
        assert isinstance(end, NotServed)
        assert "the bid of 3 sat is below the price of 12 sat" in end.reason
        assert seller.backend.prompts == []


async def test_jobs_run_side_by_side_up_to_the_slots_of_the_backend(
    autojump_clock: MockClock,
) -> None:
    backend = ScriptedBackend(seconds=5, slots=3)
    async with one_of_each(backend) as (world, seller, shopper):
        orders = [shopper.home.order(f"number {n}", provider=seller.home.key) for n in range(7)]
        for order in orders:
            await shopper.buyer.submit(order)
        for order in orders:
            assert isinstance(await shopper.ends(order), Done)
        assert backend.most_at_work == 3
        await seller.home.no_rows()
        assert (await seller.home.store.earnings.total()).jobs == 7
        assert await seller.home.ledger.balance() == 7 * 12_000
        assert await world.ledger_audit() == []


async def test_an_order_with_a_used_key_begins_nothing(autojump_clock: MockClock) -> None:
    async with one_of_each() as (_, seller, shopper):
        first = shopper.home.order("first", provider=seller.home.key)
        again = shopper.home.order("again", provider=seller.home.key)
        assert isinstance(await shopper.buy(first, key="once"), Done)
        await shopper.buyer.submit(again, key="once")
        await trio.sleep(200)
        assert await shopper.home.order_state(again) is None
        assert len(seller.backend.prompts) == 1


async def test_a_provider_that_takes_no_broadcasts_makes_no_offer(
    autojump_clock: MockClock,
) -> None:
    config = Config(provider=ProviderConfig(accept_broadcast=False))
    async with one_of_each(seller=config) as (_, seller, shopper):
        assert isinstance(await shopper.buy(shopper.home.order()), NotServed)
        order = shopper.home.order("to you", provider=seller.home.key)
        assert isinstance(await shopper.buy(order), Done)


async def test_an_order_above_its_own_limit_is_not_paid(autojump_clock: MockClock) -> None:
    async with one_of_each() as (_, seller, shopper):
        wish = Wish("2+2?", provider=seller.home.key, max_price=Msat(11_000), auto_pay=True)
        assert isinstance(await shopper.buy(shopper.home.order(wish)), NotServed)
        (refused,) = shopper.of(OfferRefused)
        assert refused.reason == "12 sat is above the limit of 11 sat"
        assert await shopper.home.ledger.balance() == FUNDS


async def test_an_offer_that_nobody_approves_in_time_is_released(
    autojump_clock: MockClock,
) -> None:
    async with one_of_each() as (_, seller, shopper):
        order = shopper.home.order(Wish("2+2?", provider=seller.home.key))
        end = await shopper.buy(order)
        assert end == Declined("nobody approved the offer in time", Cause.PERSON)
        await job_becomes(seller.home, order, Cancelled)
        await seller.home.no_rows()
