"""Providers that lie: each ends in words, with the proof kept, and is paid at most once."""

from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
from attrs import evolve
from trio.testing import MockClock

from pylon.core.hearing import BARRED
from pylon.core.order_mail import OfferRefused
from pylon.model.event import Event
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.money import PayMode
from pylon.model.order import (
    Cause,
    Cheated,
    Disputed,
    Done,
    NotServed,
    Order,
    Paid,
    Published,
    Reclaiming,
    Refunded,
    Unknown,
)
from pylon.model.reply import Locked
from pylon.services.order_desk import MAX_CONTRADICTIONS
from pylon.wire import jobs, locked
from tests.market.liar import HASH, PREIMAGE, PRICE, Liar, not_that
from tests.market.nodes import (
    FUNDS,
    SELLER,
    Shopper,
    funded,
    is_one_paid_job,
    node,
    order_becomes,
    selling,
    shopping,
)
from tests.market.words import with_tags
from tests.market.world import open_world
from tests.nostr import keys

GARBAGE = b64encode(bytes(60)).decode()


@asynccontextmanager
async def asked(
    mode: PayMode, *, anybody: bool = False
) -> AsyncGenerator[tuple[Liar, Shopper, Order], None]:
    """Let a buyer ask a liar for something."""
    async with open_world() as world, shopping(await funded(world)) as shopper:
        liar = Liar(world)
        provider = None if anybody else liar.key
        order = shopper.home.order(provider=provider, modes=(mode,))
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Published)
        yield liar, shopper, order


async def is_kept(shopper: Shopper, order: Order, event: Event) -> bool:
    return event in await shopper.home.store.orders.evidence(order.id)


async def was_refused(shopper: Shopper, order: Order, why: str) -> bool:
    """Say whether something was refused for a reason, told and remembered."""
    told = any(why in item.reason for item in shopper.of(OfferRefused))
    history = await shopper.home.store.orders.history(order.id)
    return told and any(why in moment.words for moment in history)


async def is_unpaid(shopper: Shopper, order: Order) -> bool:
    """Say whether an order came to nothing, and cost nothing."""
    end = await shopper.ends(order)
    await shopper.home.no_rows()
    books = await shopper.home.store.budget.committed()
    left = await shopper.home.ledger.balance()
    return isinstance(end, NotServed) and end.cause is Cause.TIME and (books, left) == (0, FUNDS)


async def test_a_locked_result_whose_invoice_buys_another_key_is_not_paid(
    autojump_clock: MockClock,
) -> None:
    async with asked(PayMode.LOCKED) as (liar, shopper, order):
        other = await liar.invoice(Preimage("08" * 32))
        lie = liar.locked_result(order, invoice=other)
        await liar.world.publish(lie)
        assert await is_unpaid(shopper, order)
        assert await was_refused(shopper, order, "does not pay for the key")
        assert await is_kept(shopper, order, lie)


async def test_a_locked_result_anybody_on_the_route_could_open_is_not_paid(
    autojump_clock: MockClock,
) -> None:
    async with asked(PayMode.LOCKED) as (liar, shopper, order):
        job, invoice = order.id, await liar.invoice()
        payload = locked.lock("four", PREIMAGE, job=job, provider=liar.key, nonce=bytes(12))
        bare = liar.signer.sign(
            jobs.write_result(
                order.request,
                payload,
                now=liar.world.now(),
                amount=PRICE,
                bolt11=invoice.bolt11,
                mode=PayMode.LOCKED,
                locked=locked.describe("four", PREIMAGE),
            )
        )
        await liar.world.publish(bare)
        assert await is_unpaid(shopper, order)
        assert await was_refused(shopper, order, "whoever forwards the payment could read it")


async def test_a_locked_result_that_nobody_can_decrypt_is_not_paid(
    autojump_clock: MockClock,
) -> None:
    async with asked(PayMode.LOCKED) as (liar, shopper, order):
        true = liar.locked_result(order, invoice=await liar.invoice())
        other = liar.signer.encrypt("AAAA", liar.key)
        garbled = with_tags(evolve(true, content=other), true.tags, by=liar.number)
        await liar.world.publish(garbled)
        assert await is_unpaid(shopper, order)
        assert len(shopper.of(OfferRefused)) == 1


async def test_paid_for_what_is_not_what_was_promised_is_proof_and_the_provider_is_barred(
    autojump_clock: MockClock,
) -> None:
    async with asked(PayMode.LOCKED) as (liar, shopper, order):
        invoice = await liar.invoice()
        wrong = not_that(locked.describe("four", PREIMAGE))
        lie = liar.locked_result(order, invoice=invoice, lock=wrong)
        await liar.world.publish(lie)
        end = await shopper.ends(order)
        assert isinstance(end, Cheated)
        assert (end.preimage, end.offer.bolt11) == (PREIMAGE, invoice.bolt11)
        assert "not the one that was promised" in end.reason
        assert await is_kept(shopper, order, lie)
        assert await shopper.home.ledger.balance() == FUNDS - PRICE - end.fee
        assert await shopper.home.store.budget.committed() == PRICE + end.fee

        again = shopper.home.order("again", provider=liar.key, modes=tuple(PayMode))
        await shopper.buyer.submit(again)
        await shopper.reaches(again, Published)
        fair = await liar.invoice(Preimage("09" * 32))
        await liar.world.publish(liar.offer(again, fair, PayMode.PREPAY))
        assert await is_unpaid_but_for(shopper, again, PRICE + end.fee)
        assert await was_refused(shopper, again, BARRED)


async def is_unpaid_but_for(shopper: Shopper, order: Order, earlier: int) -> bool:
    assert isinstance(await shopper.ends(order), NotServed)
    return await shopper.home.store.budget.committed() == earlier


async def test_paid_for_garbage_is_proof_of_it(autojump_clock: MockClock) -> None:
    async with asked(PayMode.LOCKED) as (liar, shopper, order):
        lie = liar.locked_result(order, invoice=await liar.invoice(), payload=GARBAGE)
        await liar.world.publish(lie)
        end = await shopper.ends(order)
        assert isinstance(end, Cheated)
        assert "the preimage does not open" in end.reason
        assert await is_kept(shopper, order, lie)


async def test_a_lock_on_the_invoice_of_somebody_else_is_found_out(
    autojump_clock: MockClock,
) -> None:
    """Whoever copies an invoice knows no preimage: what it locks with cannot be what is paid for."""
    async with asked(PayMode.LOCKED) as (liar, shopper, order):
        victim = liar.world.ledger.wallet(keys(SELLER))
        theirs = await victim.make_invoice(PRICE, description="bread", expiry_seconds=600)
        copied = Locked(theirs.payment_hash, locked.describe("four", PREIMAGE).digest)
        await liar.world.publish(liar.locked_result(order, invoice=theirs, lock=copied))
        end = await shopper.ends(order)
        assert isinstance(end, Cheated)
        assert end.offer.payment_hash == theirs.payment_hash
        assert await liar.wallet.balance() == 0


async def test_the_same_locked_invoice_sold_twice_is_paid_once(autojump_clock: MockClock) -> None:
    async with asked(PayMode.LOCKED) as (liar, shopper, order):
        invoice = await liar.invoice()
        await liar.world.publish(liar.locked_result(order, invoice=invoice))
        assert isinstance(await shopper.ends(order), Done)
        second = shopper.home.order("more", provider=liar.key, modes=(PayMode.LOCKED,))
        await shopper.buyer.submit(second)
        await shopper.reaches(second, Published)
        await liar.world.publish(liar.locked_result(second, invoice=invoice))
        await shopper.ends(second)
        assert await liar.wallet.balance() == PRICE


async def test_a_hold_that_is_settled_without_delivery_is_disputed(
    autojump_clock: MockClock,
) -> None:
    for mode in (PayMode.HOLD, PayMode.HOLD_LOCKED):
        async with asked(mode) as (liar, shopper, order):
            await liar.world.publish(liar.offer(order, await liar.hold_invoice(), mode))
            await trio.sleep(5)
            await liar.wallet.settle_hold(PREIMAGE)
            end = await shopper.ends(order)
            assert isinstance(end, Disputed)
            assert end.reason == "paid, and not answered in time"
            assert await shopper.home.store.orders.count("Disputed") == {liar.key: 1}


async def test_an_answer_under_another_lock_than_was_sold_is_kept_and_is_no_answer(
    autojump_clock: MockClock,
) -> None:
    async with asked(PayMode.HOLD_LOCKED) as (liar, shopper, order):
        offer = liar.offer(order, await liar.hold_invoice(), PayMode.HOLD_LOCKED)
        await liar.world.publish(offer)
        await trio.sleep(5)
        other = Locked(PaymentHash("ab" * 32), locked.describe("four", PREIMAGE).digest)
        lie = liar.locked_result(order, mode=PayMode.HOLD_LOCKED, lock=other)
        await liar.world.publish(lie)
        await trio.sleep(5)
        await liar.wallet.settle_hold(PREIMAGE)
        assert isinstance(await shopper.ends(order), Disputed)
        assert await was_refused(shopper, order, "another key than the one that was sold")
        assert await is_kept(shopper, order, lie)
        assert await is_kept(shopper, order, offer)


async def test_a_held_lock_that_does_not_open_is_proof(autojump_clock: MockClock) -> None:
    async with asked(PayMode.HOLD_LOCKED) as (liar, shopper, order):
        await liar.world.publish(liar.offer(order, await liar.hold_invoice(), PayMode.HOLD_LOCKED))
        await trio.sleep(5)
        lie = liar.locked_result(order, mode=PayMode.HOLD_LOCKED, payload=GARBAGE)
        await liar.world.publish(lie)
        await trio.sleep(5)
        await liar.wallet.settle_hold(PREIMAGE)
        end = await shopper.ends(order)
        assert isinstance(end, Cheated)
        assert end.offer.payment_hash == HASH
        assert await is_kept(shopper, order, lie)


async def test_an_answer_without_the_lock_it_was_sold_with_is_an_answer(
    autojump_clock: MockClock,
) -> None:
    async with asked(PayMode.HOLD_LOCKED) as (liar, shopper, order):
        await liar.world.publish(liar.offer(order, await liar.hold_invoice(), PayMode.HOLD_LOCKED))
        await trio.sleep(5)
        await liar.world.publish(liar.result(order, "four"))
        await trio.sleep(5)
        await liar.wallet.cancel_invoice(HASH)
        assert isinstance(await shopper.ends(order), Done)
        assert await shopper.home.result_text(order) == "four"
        assert await shopper.home.ledger.balance() == FUNDS


async def test_what_is_held_by_a_provider_that_falls_silent_is_asked_back_in_time(
    autojump_clock: MockClock,
) -> None:
    async with asked(PayMode.HOLD) as (liar, shopper, order):
        await liar.world.publish(liar.offer(order, await liar.hold_invoice(), PayMode.HOLD))
        await shopper.reaches(order, Unknown)
        await trio.sleep(order.deadline - liar.world.now() + 5)
        cancels = await liar.world.published(kinds=(5,))
        assert [event.tag("e") for event in cancels] == [order.id]
        assert isinstance(await shopper.home.order_state(order), Unknown), "it is held still"
        end = await shopper.ends(order)  # its wallet gives it back, whatever the liar wants
        assert end == NotServed("no answer in time", Cause.TIME)
        assert await shopper.home.ledger.balance() == FUNDS


async def test_a_refund_that_is_promised_and_not_paid_stays_owed(
    autojump_clock: MockClock,
) -> None:
    async with asked(PayMode.PREPAY) as (liar, shopper, order):
        await liar.world.publish(liar.offer(order, await liar.invoice(), PayMode.PREPAY))
        await shopper.reaches(order, Paid)
        await liar.world.publish(liar.error(order, refund=PRICE))
        owed = await shopper.ends(order)
        assert isinstance(owed, Reclaiming)
        await trio.sleep(60)
        (request,) = [
            event
            for event in await liar.world.published(kinds=(7000,))
            if event.tag("status") == "refund"
        ]
        hidden = liar.signer.decrypt(request.content, shopper.home.key)
        asked_for = jobs.read_refund(request, hidden)
        assert (asked_for.job, asked_for.amount) == (order.id, PRICE)
        assert isinstance(await shopper.home.order_state(order), Reclaiming)
        paid = await liar.wallet.fund(PRICE)
        assert paid >= PRICE
        await liar.wallet.pay(asked_for.bolt11, max_fee=PRICE, deadline_seconds=9)
        back = await shopper.reaches(order, Refunded)
        assert isinstance(back, Refunded)
        assert back.amount == PRICE
        assert await shopper.home.ledger.balance() == FUNDS - owed.fee


async def test_more_than_was_paid_is_not_promised_back(autojump_clock: MockClock) -> None:
    async with asked(PayMode.PREPAY) as (liar, shopper, order):
        await liar.world.publish(liar.offer(order, await liar.invoice(), PayMode.PREPAY))
        await shopper.reaches(order, Paid)
        await liar.world.publish(liar.error(order, refund=FUNDS))
        assert isinstance(await shopper.ends(order), Disputed)


async def test_a_liar_keeps_nobody_from_buying_elsewhere(autojump_clock: MockClock) -> None:
    async with asked(PayMode.LOCKED, anybody=True) as (liar, shopper, order):
        lie = liar.locked_result(order, invoice=await liar.invoice(Preimage("08" * 32)))
        await liar.world.publish(lie)
        async with selling(node(liar.world, SELLER)) as seller:
            end = await shopper.ends(order)
            assert isinstance(end, Done)
            assert end.answer.provider == seller.home.key
            await is_one_paid_job(liar.world, seller.home, shopper.home, order)


async def test_contradictions_are_kept_up_to_a_limit(autojump_clock: MockClock) -> None:
    async with asked(PayMode.LOCKED) as (liar, shopper, order):
        invoice = await liar.invoice(Preimage("08" * 32))
        lies = [liar.locked_result(order, f"four {n}", invoice=invoice) for n in range(20)]
        await liar.world.publish(*lies)
        assert await is_unpaid(shopper, order)
        kept = [lie for lie in lies if await is_kept(shopper, order, lie)]
        assert len(kept) == MAX_CONTRADICTIONS
        await order_becomes(shopper.home, order, NotServed)
