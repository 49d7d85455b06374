"""Jobs that went wrong in systems like ours, and are harmless here.

Those of the catalogue that are proved elsewhere are named in `failures.py`.
"""

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from pylon.config import Config, ProviderConfig
from pylon.core.order_mail import OfferRefused
from pylon.errors import GenerationFailed
from pylon.model.event import Event, Tags
from pylon.model.ids import JobId
from pylon.model.job import Failed, FeedbackStatus, Settled, Unpaid
from pylon.model.money import PayMode
from pylon.model.order import Disputed, Done, Paid, Published
from tests.market.backend import ScriptedBackend
from tests.market.customer import one_customer
from tests.market.nodes import (
    FUNDS,
    RIVAL,
    SELLER,
    funded,
    job_becomes,
    node,
    selling,
    shopping,
)
from tests.market.words import a_result, a_word, an_offer
from tests.market.world import STRANGER, World, open_world
from tests.nostr import keys, note

GIVEN_AWAY = Config(provider=ProviderConfig(require_payment=False))
ASKED = ("i", "What is 2+2?", "text")
MEGABYTE = 1 << 20


def a_request(world: World, *tags: tuple[str, ...], at: int | None = None) -> Event:
    """Sign a stranger's request to our seller."""
    to = ("p", keys(SELLER).public_key)
    return note("", *tags, to, kind=5050, at=world.now() if at is None else at, by=STRANGER)


async def plant(world: World, *events: Event, relay: int = 0) -> None:
    """Put events into a relay that checks nothing."""
    await list(world.relays.values())[relay].store.add(events)


@pytest.mark.parametrize("forged_first", [True, False], ids=["forged first", "true first"])
async def test_the_same_id_with_another_body_is_not_worked_on(
    autojump_clock: MockClock, forged_first: bool
) -> None:
    async with open_world(2) as world:
        true = a_request(world, ASKED)
        forged = evolve(true, tags=(("i", "Give me everything.", "text"), *true.tags[1:]))
        await plant(world, forged, relay=0 if forged_first else 1)
        async with selling(node(world, SELLER, GIVEN_AWAY)) as seller:
            await trio.sleep(5)
            assert seller.backend.prompts == []
            await plant(world, true, relay=1 if forged_first else 0)
            for relay in world.relays.values():
                relay.cut()
            await job_becomes(seller.home, true.id, Settled)
            await trio.sleep(60)
            (prompt,) = seller.backend.prompts
            assert prompt.messages[0].content == ASKED[1]
            (job,) = (await seller.home.store.jobs.load([JobId(true.id)])).values()
            assert job.facts.request == true


async def test_success_with_empty_content_is_no_answer_to_what_was_paid(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        rival = world.ledger.wallet(keys(RIVAL))
        order = shopper.home.order(provider=keys(RIVAL).public_key)
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Published)
        invoice = await rival.make_invoice(
            order.max_price, description=f"pylon:{order.id}", expiry_seconds=600
        )
        await world.publish(an_offer(order, invoice, by=RIVAL))
        await shopper.reaches(order, Paid)
        for text in ("", " \n\t"):
            await world.publish(a_result(order, text, by=RIVAL, at=world.now()))
            await trio.sleep(2)
        await world.publish(a_word(order, FeedbackStatus.SUCCESS, by=RIVAL, at=world.now()))
        end = await shopper.ends(order)
        assert isinstance(end, Disputed)
        assert [said.reason for said in shopper.of(OfferRefused)] == ["the answer is empty"] * 2

        await world.publish(a_result(order, "four", by=RIVAL, at=world.now()))
        assert isinstance(await shopper.reaches(order, Done), Done)


async def test_delivered_and_unpaid_ends_as_another_thing_than_failed(
    autojump_clock: MockClock,
) -> None:
    for answer, kind, reason in (
        ("four", Unpaid, "not paid in time"),
        (GenerationFailed("out of memory"), Failed, "out of memory"),
    ):
        async with one_customer(ScriptedBackend((answer,))) as (world, seller, customer):
            request = await customer.asks(seller.home, PayMode.LOCKED)
            end = await job_becomes(seller.home, request.id, kind)
            assert isinstance(end, Unpaid | Failed)
            assert end.reason == reason
            delivered = await world.published(kinds=(6050,))
            assert len(delivered) == (kind is Unpaid)
            await seller.home.no_rows()
            assert await customer.wallet.balance() == FUNDS
            assert (await seller.home.store.earnings.total()).jobs == 0


@pytest.mark.parametrize(
    "tags",
    [
        (("t", "x" * MEGABYTE), ASKED),
        (("t", "x" * 900_000), ASKED),
        tuple(("t", "junk", str(number)) for number in range(50_000)),
        (("i", "x" * 900_000, "text"),),
    ],
    ids=["one tag", "one tag that fits a frame", "many tags", "one input that fits a frame"],
)
async def test_one_megabyte_of_tags_is_not_worked_on_nor_kept_and_the_next_job_is_served(
    autojump_clock: MockClock, tags: Tags
) -> None:
    async with open_world() as world:
        large = a_request(world, *tags)
        await plant(world, large)
        async with selling(node(world, SELLER, GIVEN_AWAY)) as seller:
            await world.publish(good := a_request(world, ASKED))
            await job_becomes(seller.home, good.id, Settled)
            await trio.sleep(60)
            assert [p.messages[0].content for p in seller.backend.prompts] == [ASKED[1]]
            kept = await seller.home.store.jobs.load([JobId(large.id), JobId(good.id)])
            assert len(str(kept)) < 10_000, "strangers fill no disk"
        said = await world.published(kinds=(7000, 6050))
        assert len(str(said)) < 10_000


@pytest.mark.parametrize("at", [0, 1, 9_999_999_999, (1 << 53) - 1, (1 << 53), (1 << 64)])
async def test_a_created_at_far_in_the_past_or_future_is_not_worked_on_and_shadows_no_later_job(
    autojump_clock: MockClock, at: int
) -> None:
    async with open_world() as world:
        home = node(world, SELLER, GIVEN_AWAY)
        await plant(world, a_request(world, ASKED, at=at))
        async with selling(home) as seller:
            await trio.sleep(60)
        async with selling(home) as again:  # from the cursor that the first one has left
            await world.publish(good := a_request(world, ASKED))
            await job_becomes(home, good.id, Settled)
            assert (len(seller.backend.prompts), len(again.backend.prompts)) == (0, 1)
