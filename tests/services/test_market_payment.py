"""What goes wrong with payments, and what must come of it."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from pylon.adapters.lightning.ledger.faults import Fault, FaultKind
from pylon.config import BuyerConfig, Config
from pylon.core.order_mail import OfferRefused
from pylon.core.ordering import Wish
from pylon.model.job import Cancelled, Expired, Failed
from pylon.model.money import Msat, Network, from_sats
from pylon.model.order import (
    Cause,
    Chosen,
    Done,
    NotServed,
    Paid,
    Paying,
    Published,
    Unknown,
)
from pylon.model.wallet import PaymentSettled
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
    selling,
    shopping,
)
from tests.market.trouble import Trouble
from tests.market.words import PAYEE, a_result, an_error, an_invoice, an_offer, with_tags
from tests.market.world import STRANGER, open_world
from tests.nostr import keys


@pytest.mark.parametrize(
    ("changes", "says", "why"),
    [
        ({"amount": 1_000_000}, None, "above the limit"),
        ({"amount": 13_000}, 12_000, "it says 12 sat and its invoice 13 sat"),
        ({"amount": 12_000}, 13_000, "it says 13 sat and its invoice 12 sat"),
        ({"amount": None}, 12_000, "leaves the amount open"),
        ({"network": Network.MAINNET}, None, "for mainnet"),
        ({"network": Network.SIGNET}, None, "for signet"),
        ({"expiry_seconds": 5}, None, "about to"),
        ({"created_at": 1_699_990_000}, None, "has expired"),
        ({"expiry_seconds": 30 * 86_400}, None, "absurdly long"),
        ({"min_final_cltv": 9_999}, None, "for weeks"),
        ({"description": f"pylon:{'00' * 32}"}, None, "for another job"),
    ],
    ids=[
        "amount above the limit",
        "invoice above its tag",
        "tag above its invoice",
        "open amount",
        "real money",
        "another network",
        "about to expire",
        "expired",
        "open for ever",
        "locks the money for weeks",
        "made for another job",
    ],
)
async def test_an_offer_with_a_defect_is_not_paid(
    autojump_clock: MockClock, changes: dict[str, Any], says: int | None, why: str
) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        order = shopper.home.order(provider=keys(RIVAL).public_key)
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Published)
        bad = an_offer(order, an_invoice(world.now(), **changes), says=says, at=world.now())
        await world.publish(bad)
        end = await shopper.ends(order)
        assert isinstance(end, NotServed)
        assert end.cause is Cause.TIME
        (refused,) = shopper.of(OfferRefused)
        assert why in refused.reason
        assert await shopper.home.ledger.balance() == FUNDS


async def test_an_offer_without_a_readable_invoice_is_not_paid(autojump_clock: MockClock) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        order = shopper.home.order(provider=keys(RIVAL).public_key)
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Published)
        good = an_offer(order, an_invoice(world.now()))
        for bolt in ("lnbcrt1nonsense", ""):
            tags = tuple(("amount", "12000", bolt) if t[0] == "amount" else t for t in good.tags)
            await world.publish(with_tags(good, tags, by=RIVAL))
        assert isinstance(await shopper.ends(order), NotServed)
        assert len(shopper.of(OfferRefused)) == 2
        assert await shopper.home.ledger.balance() == FUNDS


async def test_a_provider_that_was_not_asked_is_not_paid(autojump_clock: MockClock) -> None:
    async with one_of_each() as (world, seller, shopper):
        order = shopper.home.order(Wish("2+2?", provider=seller.home.key))
        await shopper.buyer.submit(order)
        chosen = await shopper.reaches(order, Chosen)
        assert isinstance(chosen, Chosen)
        cheaper = an_invoice(world.now(), amount=1_000)
        await world.publish(an_offer(order, cheaper, by=STRANGER))
        await trio.sleep(5)
        assert await shopper.home.order_state(order) == chosen
        await shopper.buyer.approve(order.id, chosen.offer)
        assert isinstance(await shopper.ends(order), Done)
        await is_one_paid_job(world, seller.home, shopper.home, order)


async def test_an_invoice_copied_from_another_offer_is_not_an_offer(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        order = shopper.home.order(Wish("2+2?"))
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Published)
        invoice = an_invoice(world.now())
        await world.publish(an_offer(order, invoice), an_offer(order, invoice, by=STRANGER))
        chosen = await shopper.reaches(order, Chosen)
        assert isinstance(chosen, Chosen)
        assert chosen.others == ()


async def test_an_invoice_copied_faster_than_its_owner_is_heard_is_not_an_offer(
    autojump_clock: MockClock,
) -> None:
    """Paid through the copy, the answer would come from a provider that was not chosen."""
    async with open_world() as world, shopping(await funded(world)) as shopper:
        order = shopper.home.order(Wish("2+2?"))
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Published)
        owner = keys(PAYEE).public_key
        invoice = an_invoice(world.now(), description=f"pylon:{order.id}:{owner}")
        await world.publish(an_offer(order, invoice, by=STRANGER), an_offer(order, invoice))
        chosen = await shopper.reaches(order, Chosen)
        assert isinstance(chosen, Chosen)
        assert (chosen.offer.provider, chosen.others) == (owner, ())
        (refused,) = shopper.of(OfferRefused)
        assert "of another provider" in refused.reason


async def test_the_result_counts_from_the_provider_that_was_paid_alone(
    autojump_clock: MockClock,
) -> None:
    async with one_of_each(ScriptedBackend(seconds=5)) as (world, seller, shopper):
        order = shopper.home.order()
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Paid)
        await world.publish(a_result(order, "five", by=STRANGER, at=world.now()))
        await world.publish(an_error(order, by=STRANGER, at=world.now()))
        end = await shopper.ends(order)
        assert isinstance(end, Done)
        assert end.answer.provider == seller.home.key
        assert await shopper.home.result_text(order) == "four"
        await is_one_paid_job(world, seller.home, shopper.home, order)


async def test_an_error_from_a_stranger_ends_nothing(autojump_clock: MockClock) -> None:
    async with one_of_each() as (world, seller, shopper):
        order = shopper.home.order(Wish("2+2?", provider=seller.home.key))
        await shopper.buyer.submit(order)
        chosen = await shopper.reaches(order, Chosen)
        assert isinstance(chosen, Chosen)
        await world.publish(an_error(order, by=STRANGER, at=world.now()))
        await trio.sleep(5)
        await shopper.buyer.approve(order.id, chosen.offer)
        assert isinstance(await shopper.ends(order), Done)


async def test_an_error_about_another_job_ends_nothing(autojump_clock: MockClock) -> None:
    async with one_of_each(ScriptedBackend(seconds=5)) as (world, seller, shopper):
        order = shopper.home.order(provider=seller.home.key)
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Paid)
        said = an_error(order, by=SELLER, at=world.now())
        elsewhere = (("status", "error"), ("e", "00" * 32), *said.tags[1:])
        await world.publish(with_tags(said, elsewhere, by=SELLER))
        assert isinstance(await shopper.ends(order), Done)


async def test_a_second_offer_for_a_paid_job_is_not_paid(autojump_clock: MockClock) -> None:
    async with one_of_each(ScriptedBackend(seconds=5)) as (world, seller, shopper):
        order = shopper.home.order(provider=seller.home.key)
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Paid)
        again = await seller.home.ledger.make_invoice(
            Msat(12_000), description="again", expiry_seconds=600
        )
        await world.publish(an_offer(order, again, by=SELLER))
        assert isinstance(await shopper.ends(order), Done)
        assert await seller.home.ledger.balance() == 12_000


async def test_a_definite_failure_releases_the_budget(autojump_clock: MockClock) -> None:
    async with one_of_each() as (_, seller, shopper):
        await shopper.home.ledger.inject(Fault(FaultKind.FAIL, reason="no liquidity", times=1))
        order = shopper.home.order(provider=seller.home.key)
        end = await shopper.buy(order)
        assert isinstance(end, NotServed)
        assert (end.cause, end.reason) == (Cause.PAYMENT, "payment failed: no liquidity")
        await shopper.home.no_rows()
        assert await shopper.home.store.budget.committed() == 0
        await job_becomes(seller.home, order, Cancelled)


async def test_after_a_definite_failure_the_next_best_offer_is_paid(
    autojump_clock: MockClock,
) -> None:
    async with (
        open_world() as world,
        selling(node(world, RIVAL)) as rival,
        selling(node(world, SELLER)) as seller,
        shopping(await funded(world)) as shopper,
    ):
        await shopper.home.ledger.inject(Fault(FaultKind.FAIL, times=1))
        order = shopper.home.order()
        end = await shopper.buy(order)
        assert isinstance(end, Done)
        assert end.offer is not None
        first = shopper.last(order, Published).offers
        paid = seller if end.answer.provider == seller.home.key else rival
        assert len(first) == 2
        await is_one_paid_job(world, paid.home, shopper.home, order)
        other = rival if paid is seller else seller
        assert await other.home.ledger.balance() == 0


async def test_a_fee_above_the_reserve_is_not_paid(autojump_clock: MockClock) -> None:
    frugal = Config(buyer=BuyerConfig(fee_floor_sats=0, fee_percent=0))
    async with one_of_each(buyer=frugal) as (_, seller, shopper):
        end = await shopper.buy(shopper.home.order(provider=seller.home.key))
        assert isinstance(end, NotServed)
        assert "fee" in end.reason
        await shopper.home.no_rows()
        assert await shopper.home.ledger.balance() == FUNDS
        assert await shopper.home.store.budget.committed() == 0


async def test_the_same_request_over_three_relays_is_one_job(autojump_clock: MockClock) -> None:
    async with one_of_each(relays=3) as (world, seller, shopper):
        order = shopper.home.order(provider=seller.home.key)
        assert isinstance(await shopper.buy(order), Done)
        await is_one_paid_job(world, seller.home, shopper.home, order)
        assert len(seller.backend.prompts) == 1
        for relay in range(3):
            assert len(await world.published(relay=relay, kinds=(5050,))) == 1
            offers = [
                event
                for event in await world.published(relay=relay, kinds=(7000,))
                if event.tag("status") == "payment-required"
            ]
            assert len(offers) == 1


async def test_an_offer_that_is_never_paid_expires_and_cannot_be_paid_then(
    autojump_clock: MockClock,
) -> None:
    async with one_of_each() as (world, seller, shopper):
        order = shopper.home.order(Wish("2+2?", provider=seller.home.key, timeout_seconds=2_000))
        await shopper.buyer.submit(order)
        chosen = await shopper.reaches(order, Chosen)
        assert isinstance(chosen, Chosen)
        assert await job_becomes(seller.home, order, Expired) == Expired(chosen.offer.payment_hash)
        assert world.now() == chosen.offer.expires_at + 60
        await shopper.buyer.approve(order.id, chosen.offer)
        end = await shopper.ends(order)
        assert end == NotServed("the offer expired before it was approved", Cause.TIME)
        paid = await shopper.home.ledger.pay(
            chosen.offer.bolt11, max_fee=from_sats(5), deadline_seconds=1
        )
        assert not isinstance(paid, PaymentSettled)


async def test_an_offer_paid_while_its_provider_was_down_is_worked_on(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        home = node(world, SELLER)
        wish = Wish("2+2?", provider=home.key, timeout_seconds=50_000)
        order = shopper.home.order(wish)
        async with selling(home):
            await shopper.buyer.submit(order)
            chosen = await shopper.reaches(order, Chosen)
        assert isinstance(chosen, Chosen)
        await shopper.buyer.approve(order.id, chosen.offer)
        await shopper.reaches(order, Paid)
        await trio.sleep(10_000)  # far beyond the end of the offer
        async with selling(home):
            assert isinstance(await shopper.ends(order), Done)
            await is_one_paid_job(world, home, shopper.home, order)


async def test_a_late_payment_after_expiry_is_owed_back(autojump_clock: MockClock) -> None:
    """A wallet that cannot withdraw an invoice may be paid when nobody waits for it."""

    class Lax(Trouble):
        async def cancel_invoice(self, payment_hash: Any) -> Any:
            return await self.lookup(payment_hash)

    async with open_world() as world, shopping(await funded(world)) as shopper:
        home = node(world, SELLER)
        home.wallet = Lax(home.wallet)
        await shopper.home.ledger.inject(Fault(FaultKind.STUCK, times=1))
        async with selling(home) as seller:
            order = shopper.home.order(provider=home.key, timeout_seconds=2_000)
            await shopper.buyer.submit(order)
            await shopper.reaches(order, Unknown)
            await job_becomes(home, order, Expired)
            await shopper.home.ledger.clear_faults()
            failed = await job_becomes(home, order, Failed)
            assert isinstance(failed, Failed)
            assert failed.reason == "paid after the offer had expired"
            assert failed.owed == 12_000
            assert seller.backend.prompts == []


async def test_an_answer_that_overtakes_the_wallets_word_is_kept(autojump_clock: MockClock) -> None:
    async with one_of_each() as (world, seller, shopper):
        await shopper.home.ledger.inject(Fault(FaultKind.LATENCY, value=20_000, times=1))
        order = shopper.home.order(provider=seller.home.key)
        assert isinstance(await shopper.buy(order), Done)
        kept = shopper.last(order, Paying)
        assert kept.answer is not None
        await is_one_paid_job(world, seller.home, shopper.home, order)
