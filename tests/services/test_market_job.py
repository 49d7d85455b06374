"""What goes wrong with jobs, and what must come of it."""

from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from pylon.adapters.keys import LocalSigner
from pylon.adapters.memory.cursors import MemoryCursors
from pylon.config import BackendsConfig, Config, ProviderConfig
from pylon.core.admission import CHAT_KIND, TEXT_KIND
from pylon.core.order_mail import OfferRefused, PartialHeard, StatusHeard
from pylon.core.ordering import Wish
from pylon.model.event import Draft, Event
from pylon.model.job import FeedbackStatus, Refunded, Refused, Settled
from pylon.model.money import Msat
from pylon.model.order import (
    Cause,
    Chosen,
    Done,
    NotServed,
    Paid,
    Published,
    Reclaiming,
    Withdrawn,
)
from pylon.wire import jobs
from pylon.wire.event import sign
from tests.market.backend import ScriptedBackend
from tests.market.nodes import (
    RIVAL,
    SELLER,
    funded,
    is_one_paid_job,
    job_becomes,
    node,
    one_of_each,
    selling,
    shopping,
)
from tests.market.words import a_result, a_word, an_error, an_invoice, an_offer, with_tags
from tests.market.world import STRANGER, World, open_world
from tests.nostr import keys

GIVEN_AWAY = Config(provider=ProviderConfig(require_payment=False))
SELLER_KEY = keys(SELLER).public_key


def a_request(world: World, *tags: tuple[str, ...], content: str = "", **changes: Any) -> Event:
    """Sign a stranger's request to our seller."""
    at, kind = changes.get("at", world.now()), changes.get("kind", TEXT_KIND)
    tags = (*tags, ("p", SELLER_KEY))
    return sign(Draft(kind, at, tags, content), keys(STRANGER))


ASKED = ("i", "What is 2+2?", "text")


async def test_a_job_that_came_while_its_provider_was_down_is_served(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        order = shopper.home.order(provider=SELLER_KEY, timeout_seconds=50_000)
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Published)
        await trio.sleep(40_000)
        async with selling(node(world, SELLER)) as seller:
            assert isinstance(await shopper.ends(order), Done)
            await is_one_paid_job(world, seller.home, shopper.home, order)


async def test_the_replay_of_an_old_job_changes_nothing(autojump_clock: MockClock) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        home = node(world, SELLER)
        order = shopper.home.order(provider=home.key, timeout_seconds=50_000)
        async with selling(home):
            assert isinstance(await shopper.buy(order), Done)
            await home.no_rows()
        before = await world.published(kinds=(7000, 6050))
        assert isinstance(home.store.cursors, MemoryCursors)
        home.store.cursors.saved.clear()  # it hears everything again
        async with selling(home) as seller:
            await trio.sleep(100)
            assert seller.backend.prompts == []
        assert await world.published(kinds=(7000, 6050)) == before
        await is_one_paid_job(world, home, shopper.home, order)


async def test_an_old_request_that_nobody_waits_for_is_passed_over(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world, selling(node(world, SELLER, GIVEN_AWAY)) as seller:
        await world.publish(
            old := a_request(world, ASKED, at=world.now() - 601),
            new := a_request(world, ASKED, at=world.now() - 599),
        )
        await job_becomes(seller.home, new.id, Settled)
        assert await seller.home.store.jobs.load([old.id]) == {}  # type: ignore[list-item]  # any id
        assert [e for e in await world.published(kinds=(7000,)) if e.tag("e") == old.id] == []


async def test_a_request_from_the_future_is_refused(autojump_clock: MockClock) -> None:
    async with open_world() as world, selling(node(world, SELLER, GIVEN_AWAY)) as seller:
        request = a_request(world, ASKED, at=world.now() + 10_000)
        await world.publish(request)
        refused = await job_becomes(seller.home, request.id, Refused)
        assert refused == Refused("the request is dated in the future")


async def test_a_job_called_off_by_somebody_else_goes_on(autojump_clock: MockClock) -> None:
    async with one_of_each(ScriptedBackend(seconds=5)) as (world, seller, shopper):
        order = shopper.home.order(provider=seller.home.key)
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Paid)
        foreign = jobs.write_cancel(order.id, 5050, now=world.now())
        await world.publish(sign(foreign, keys(STRANGER)))
        assert isinstance(await shopper.ends(order), Done)


async def test_two_providers_both_deliver_and_the_first_answer_counts(
    autojump_clock: MockClock,
) -> None:
    async with (
        open_world() as world,
        selling(node(world, SELLER, GIVEN_AWAY), ScriptedBackend(("quick",))),
        selling(node(world, RIVAL, GIVEN_AWAY), ScriptedBackend(("slow",), seconds=9)) as slow,
        shopping(await funded(world)) as shopper,
    ):
        order = shopper.home.order()
        assert isinstance(await shopper.buy(order), Done)
        await job_becomes(slow.home, order, Settled)
        await trio.sleep(5)
        assert await shopper.home.result_text(order) == "quick"
        assert len(await world.published(kinds=(6050,))) == 2


@pytest.mark.parametrize("text", ["", " \n"], ids=["empty", "blank"])
async def test_an_answer_without_content_is_no_answer(autojump_clock: MockClock, text: str) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        order = shopper.home.order(provider=keys(RIVAL).public_key)
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Published)
        await world.publish(a_word(order, FeedbackStatus.SUCCESS, by=RIVAL, at=world.now()))
        await world.publish(a_result(order, text, by=RIVAL, at=world.now()))
        refused = await shopper.hears(lambda item: isinstance(item, OfferRefused))
        assert isinstance(refused, OfferRefused)
        assert refused.reason == "the answer is empty"
        await world.publish(a_result(order, "four", by=RIVAL, at=world.now()))
        assert isinstance(await shopper.ends(order), Done)
        assert await shopper.home.result_text(order) == "four"


async def test_an_answer_of_another_kind_is_no_answer(autojump_clock: MockClock) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        order = shopper.home.order(provider=keys(RIVAL).public_key)
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Published)
        await world.publish(a_result(order, "four", by=RIVAL, at=world.now(), kind=6935))
        assert isinstance(await shopper.ends(order), NotServed)
        (refused,) = shopper.of(OfferRefused)
        assert refused.reason == "kind 6935 does not answer kind 5050"


async def test_a_result_before_any_feedback_is_an_answer(autojump_clock: MockClock) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        order = shopper.home.order(provider=keys(RIVAL).public_key)
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Published)
        await world.publish(a_result(order, "four", by=RIVAL, at=world.now()))
        assert isinstance(await shopper.ends(order), Done)
        await world.publish(an_error(order, by=RIVAL, at=world.now()))
        await world.publish(an_offer(order, an_invoice(world.now()), by=RIVAL))
        await trio.sleep(5)
        assert isinstance(await shopper.home.order_state(order), Done)


async def test_an_oversized_input_is_refused_before_any_work(autojump_clock: MockClock) -> None:
    async with one_of_each() as (_, seller, shopper):
        order = shopper.home.order("x" * 65_537, provider=seller.home.key)
        end = await shopper.buy(order)
        assert isinstance(end, NotServed)
        assert end.cause is Cause.PROVIDER
        assert "65,537 bytes, more than 65,536" in end.reason
        assert seller.backend.prompts == []
        kept = await seller.home.store.jobs.load([order.id])
        assert len(str(kept)) < 2_000, "strangers fill no disk"


@pytest.mark.parametrize(
    "tags",
    [
        (("i", "2+2?", "telepathy"),),
        (("bid", "a lot"), ASKED),
        (("param", "model"), ASKED),
        (("p", "nobody"), ASKED),
        (("i", "no id", "event"),),
        tuple(("i", str(n), "text") for n in range(65)),
        tuple(("t", "junk") for _ in range(2_000)),
        (("encrypted",), ASKED),
    ],
    ids=[
        "input type",
        "bid",
        "param",
        "provider",
        "event id",
        "inputs",
        "two thousand tags",
        "not encrypted at all",
    ],
)
async def test_garbage_is_dropped_and_the_next_job_served(
    autojump_clock: MockClock, tags: tuple[tuple[str, ...], ...]
) -> None:
    async with open_world() as world, selling(node(world, SELLER, GIVEN_AWAY)) as seller:
        await world.publish(a_request(world, *tags, content="?"))
        await world.publish(good := a_request(world, ASKED))
        await job_becomes(seller.home, good.id, Settled)
        assert {e.tag("e") for e in await world.published(kinds=(7000, 6050))} == {good.id}


async def test_an_encrypted_job_for_somebody_else_is_none_of_our_business(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world, selling(node(world, SELLER, GIVEN_AWAY)) as seller:
        customer, other = LocalSigner(keys(STRANGER)), keys(RIVAL).public_key
        hidden = customer.encrypt('[["i","2+2?","text"]]', other)
        await world.publish(
            customer.sign(Draft(TEXT_KIND, world.now(), (("p", other), ("encrypted",)), hidden)),
            good := a_request(world, ASKED),
        )
        await job_becomes(seller.home, good.id, Settled)
        assert {e.tag("e") for e in await world.published(kinds=(7000, 6050))} == {good.id}


@pytest.mark.parametrize(
    ("tags", "why"),
    [
        ((("i", "http://169.254.169.254/", "url"),), "inputs of type url are not served here"),
        ((("i", ""),), "the prompt is empty"),
        ((ASKED, ("param", "max_tokens", "0")), "max_tokens"),
        ((ASKED, ("param", "model", "gpt_oss_20b")), "gpt_oss_20b"),
        ((ASKED, ("pay", "free")), "no payment mode in common"),
    ],
    ids=["points inside", "empty", "parameter", "model", "mode"],
)
async def test_what_cannot_be_done_is_refused_with_the_reason(
    autojump_clock: MockClock, tags: tuple[tuple[str, ...], ...], why: str
) -> None:
    async with open_world() as world, selling(node(world, SELLER)) as seller:
        await world.publish(request := a_request(world, *tags))
        refused = await job_becomes(seller.home, request.id, Refused)
        assert isinstance(refused, Refused)
        assert why in refused.reason
        await seller.home.no_rows()
        (said,) = await world.published(kinds=(7000,))
        status = next(tag for tag in said.tags if tag[0] == "status")
        assert status == ("status", "error", refused.reason)
        assert "pay" not in {tag[0] for tag in said.tags}


@pytest.mark.parametrize("kind", [TEXT_KIND, CHAT_KIND])
async def test_control_characters_in_an_answer_are_not_signed(
    autojump_clock: MockClock, kind: int
) -> None:
    backend = ScriptedBackend(("\x1b[31mfo", "\x00ur\x07\ud800\n"), seconds=1)
    async with one_of_each(backend) as (world, seller, shopper):
        order = shopper.home.order(provider=seller.home.key, kind=kind, streaming=True)
        assert isinstance(await shopper.buy(order), Done)
        assert await shopper.home.result_text(order) == "[31mfour\n"
        assert "".join(piece.text for piece in shopper.of(PartialHeard)) == "[31mfour\n"
        for event in await world.published(kinds=(7000, kind + 1000)):
            assert "\x1b" not in str(event)
            assert "\\u00" not in event.content


@pytest.mark.parametrize(
    ("pieces", "encrypted", "why"),
    [
        (("\x07", " \n"), False, "it is empty"),
        (("\x07",), True, "it is empty"),
        (("x" * 70_000,), True, "NIP-44 carries 1 to 65535 bytes"),
        (("x" * 300_000,), False, "too much content"),
    ],
    ids=["only controls", "only controls, encrypted", "too long to encrypt", "too long"],
)
async def test_an_answer_that_no_event_can_hold_fails_the_job(
    autojump_clock: MockClock, pieces: tuple[str, ...], encrypted: bool, why: str
) -> None:
    backend = ScriptedBackend(pieces, then=("four",), seconds=1)
    async with one_of_each(backend) as (_, seller, shopper):
        await seller.home.ledger.fund(Msat(1_000))  # for the fee of paying back
        order = shopper.home.order(provider=seller.home.key, encrypted=encrypted, streaming=True)
        end = await shopper.buy(order)
        assert isinstance(end, Reclaiming)
        assert "the answer cannot be delivered" in end.reason
        assert why in end.reason
        repaid = await job_becomes(seller.home, order, Refunded)
        assert isinstance(repaid, Refunded)
        assert repaid.owed == 12_000
        await seller.home.no_rows()
        again = shopper.home.order("again", provider=seller.home.key)
        assert isinstance(await shopper.buy(again), Done)


async def test_a_backend_that_hangs_is_stopped_at_the_deadline(autojump_clock: MockClock) -> None:
    config = Config(backends=BackendsConfig(job_timeout_seconds=30))
    backend = ScriptedBackend(("never",), seconds=10_000)
    async with one_of_each(backend, seller=config) as (_, seller, shopper):
        order = shopper.home.order(provider=seller.home.key)
        end = await shopper.buy(order)
        assert isinstance(end, Reclaiming)
        assert "the work took too long" in end.reason
        await seller.home.no_rows()
        assert (backend.at_work, len(backend.prompts)) == (0, 1)


async def test_pieces_from_anybody_but_the_provider_chosen_are_not_shown(
    autojump_clock: MockClock,
) -> None:
    pieces = ("Two ", "and two.")
    async with one_of_each(ScriptedBackend(pieces, seconds=5)) as (world, seller, shopper):
        order = shopper.home.order(Wish("2+2?", auto_pay=True, streaming=True))
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Published)
        lie = partial(a_word, order, by=STRANGER, text="I am it", content="buy my coin")
        await world.publish(lie(FeedbackStatus.PARTIAL, at=world.now()))
        await shopper.reaches(order, Paid)
        await world.publish(lie(FeedbackStatus.PARTIAL, at=world.now()))
        await world.publish(lie(FeedbackStatus.PROCESSING, at=world.now()))
        assert isinstance(await shopper.ends(order), Done)
        assert "".join(piece.text for piece in shopper.of(PartialHeard)) == "Two and two."
        assert {said.provider for said in shopper.of(StatusHeard)} == {seller.home.key}


async def test_what_providers_say_is_shown_without_control_characters(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        order = shopper.home.order()
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Published)
        said = a_word(order, FeedbackStatus.PROCESSING, by=RIVAL, at=world.now())
        tags = (("status", "warming\x85 up", "\x9b31mred"), *said.tags[1:])
        await world.publish(with_tags(said, tags, by=RIVAL))
        await shopper.ends(order)
        (heard,) = shopper.of(StatusHeard)
        assert (heard.status, heard.text) == ("warming up", "31mred")


async def test_feedback_that_cannot_be_read_is_reported_and_passed_over(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        order = shopper.home.order(provider=keys(RIVAL).public_key)
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Published)
        said = a_word(order, FeedbackStatus.PROCESSING, by=RIVAL, at=world.now())
        await world.publish(with_tags(said, (*said.tags[1:], ("encrypted",)), by=RIVAL))
        await world.publish(with_tags(said, said.tags[1:], by=RIVAL))
        await world.publish(a_result(order, "four", by=RIVAL, at=world.now()))
        assert isinstance(await shopper.ends(order), Done)
        assert len(shopper.of(OfferRefused)) == 2


async def test_an_order_that_no_relay_takes_ends_at_its_deadline(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        for relay in world.relays.values():
            relay.down = True
        async with shopping(await funded(world)) as shopper:
            end = await shopper.buy(shopper.home.order())
            assert end == NotServed("no relay took the request in time", Cause.RELAYS)


async def test_a_job_survives_an_outage_of_its_relay(autojump_clock: MockClock) -> None:
    async with one_of_each(ScriptedBackend(seconds=20)) as (world, seller, shopper):
        order = shopper.home.order(provider=seller.home.key, timeout_seconds=600)
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Paid)
        (relay,) = world.relays.values()
        relay.down = True
        relay.cut()
        await trio.sleep(200)
        relay.down = False
        assert isinstance(await shopper.ends(order), Done)
        await is_one_paid_job(world, seller.home, shopper.home, order)


async def test_a_request_that_every_relay_refuses_is_not_served(autojump_clock: MockClock) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        order = shopper.home.order(timeout_seconds=80_000)
        await world.publish(sign(jobs.write_cancel(order.id, 5050, now=world.now()), keys(1)))
        end = await shopper.buy(order)
        assert isinstance(end, NotServed)
        assert end.cause is Cause.RELAYS
        assert "no relay takes the request" in end.reason


async def test_a_withdrawn_order_stays_withdrawn_whatever_comes(autojump_clock: MockClock) -> None:
    async with one_of_each() as (world, seller, shopper):
        order = shopper.home.order(Wish("2+2?", provider=seller.home.key))
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Chosen)
        await shopper.buyer.cancel(order.id)
        await shopper.ends(order)
        await world.publish(a_result(order, "four", by=SELLER, at=world.now()))
        await trio.sleep(5)
        assert await shopper.home.order_state(order) == Withdrawn()
