"""Paying back on the provider's side: what is owed, to whom it is owed, once."""

from typing import Any

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from pylon.adapters.keys import LocalSigner
from pylon.app.refunds import refunds_owed
from pylon.errors import GenerationFailed, WalletUnavailable
from pylon.model.event import Draft, Event
from pylon.model.ids import JobId
from pylon.model.job import Cancelled, Failed, FeedbackStatus, Refunded, Refunding, Settled, Working
from pylon.model.money import Msat, Network, PayMode
from pylon.model.wallet import InvoiceState, PaymentResult
from pylon.ports.budget import Purpose, Span
from pylon.services.refunder import REFUNDS
from pylon.wire import jobs
from pylon.wire.bolt11 import decode, encode
from pylon.wire.event import sign
from tests.market.backend import ScriptedBackend
from tests.market.customer import Customer, one_customer
from tests.market.nodes import (
    FUNDS,
    RIVAL,
    SELLER,
    NodeHome,
    job_becomes,
    node,
    selling,
)
from tests.market.trouble import Trouble
from tests.market.world import open_world
from tests.nostr import keys

PRICE = Msat(12_000)


def broken() -> ScriptedBackend:
    return ScriptedBackend((GenerationFailed("out of memory"),))


async def owed(customer: Customer, seller: NodeHome) -> Event:
    """Pay for work that fails."""
    await seller.ledger.fund(FUNDS)
    request = await customer.asks(seller, PayMode.PREPAY)
    offer = await customer.hears(request, FeedbackStatus.PAYMENT_REQUIRED)
    await customer.paid(offer.bolt11)
    said = await customer.hears(request, FeedbackStatus.ERROR)
    assert said.refund == PRICE
    return request


async def nothing_comes_of_it(seller: NodeHome, request: Event) -> None:
    """Assert that a debt stands as it stood, also a while later."""
    await trio.sleep(60)
    state = await job_becomes(seller, request.id, Failed)
    assert isinstance(state, Failed)
    assert state.owed == PRICE
    await seller.no_rows()
    assert await seller.ledger.balance() == FUNDS + PRICE


async def is_settled(customer: Customer, payment_hash: Any) -> bool:
    status = await customer.wallet.lookup(payment_hash)
    return status is not None and status.state is InvoiceState.SETTLED


async def test_a_debt_is_shown_until_it_is_paid_back(autojump_clock: MockClock) -> None:
    async with one_customer(broken()) as (world, seller, customer):
        assert await refunds_owed(seller.home.store) == []
        request = await owed(customer, seller.home)
        (debt,) = await refunds_owed(seller.home.store)
        assert (debt.job, debt.customer, debt.amount) == (request.id, request.pubkey, PRICE)
        assert (debt.reason, debt.under_way) == ("out of memory", False)
        await seller.home.store.budget.pause(now=world.now())
        await customer.asks_back(request, seller.home, PRICE)
        await job_becomes(seller.home, request.id, Refunding)
        (debt,) = await refunds_owed(seller.home.store)
        assert debt.under_way
        await seller.home.store.budget.resume()
        await job_becomes(seller.home, request.id, Refunded)
        assert await refunds_owed(seller.home.store) == []


async def test_a_cancelled_job_that_was_paid_is_a_debt_too(autojump_clock: MockClock) -> None:
    async with one_customer(ScriptedBackend(seconds=50)) as (_, seller, customer):
        await seller.home.ledger.fund(FUNDS)
        request = await customer.asks(seller.home, PayMode.PREPAY)
        offer = await customer.hears(request, FeedbackStatus.PAYMENT_REQUIRED)
        await customer.paid(offer.bolt11)
        await job_becomes(seller.home, request.id, Working)
        await customer.calls_off(request)
        await job_becomes(seller.home, request.id, Cancelled)
        (debt,) = await refunds_owed(seller.home.store)
        assert (debt.amount, debt.reason) == (PRICE, "called off by its author")
        await customer.asks_back(request, seller.home, PRICE)
        await job_becomes(seller.home, request.id, Refunded)


async def test_a_request_from_anybody_but_the_customer_is_not_heard(
    autojump_clock: MockClock,
) -> None:
    async with one_customer(broken()) as (world, seller, customer):
        request = await owed(customer, seller.home)
        await Customer(world, RIVAL).asks_back(request, seller.home, PRICE)
        await nothing_comes_of_it(seller.home, request)


@pytest.mark.parametrize("amount", [PRICE - 1_000, PRICE + 1_000])
async def test_no_other_amount_is_paid_back_than_what_is_owed(
    autojump_clock: MockClock, amount: int
) -> None:
    async with one_customer(broken()) as (_, seller, customer):
        request = await owed(customer, seller.home)
        await customer.asks_back(request, seller.home, Msat(amount))
        await nothing_comes_of_it(seller.home, request)


async def test_an_invoice_for_another_amount_than_it_says_is_not_paid(
    autojump_clock: MockClock,
) -> None:
    async with one_customer(broken()) as (_, seller, customer):
        request = await owed(customer, seller.home)
        dear = await customer.wallet.make_invoice(
            Msat(900_000), description="a refund", expiry_seconds=600
        )
        await customer.wants_back(request, seller.home, evolve(dear, amount=PRICE))
        await nothing_comes_of_it(seller.home, request)


async def test_an_invoice_that_has_expired_is_not_paid(autojump_clock: MockClock) -> None:
    async with one_customer(broken()) as (_, seller, customer):
        request = await owed(customer, seller.home)
        old = await customer.wallet.make_invoice(PRICE, description="old", expiry_seconds=5)
        text = decode(old.bolt11)
        await trio.sleep(10)
        late = evolve(old, expires_at=text.expires_at + 900)  # so that a relay takes it
        await customer.wants_back(request, seller.home, late)
        await nothing_comes_of_it(seller.home, request)


async def test_what_cannot_be_read_is_dropped(autojump_clock: MockClock) -> None:
    async with one_customer(broken()) as (world, seller, customer):
        request = await owed(customer, seller.home)
        expires_at = world.now() + 600
        to_other = LocalSigner(keys(RIVAL))
        for content in ("garbage", to_other.encrypt("[]", to_other.public_key), ""):
            draft = jobs.write_refund(
                JobId(request.id), seller.home.key, content, now=world.now(), expires_at=expires_at
            )
            await world.publish(sign(draft, keys(customer.number)))
        for_others = jobs.write_refund(
            JobId(request.id), to_other.public_key, "x", now=world.now(), expires_at=expires_at
        )
        chatter = Draft(7000, world.now(), (("p", seller.home.key), ("status", "success")), "")
        await world.publish(
            sign(for_others, keys(customer.number)), sign(chatter, keys(customer.number))
        )
        await nothing_comes_of_it(seller.home, request)


async def test_whoever_is_owed_nothing_writes_nothing_into_our_log(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with one_customer() as (_, seller, customer):
        request = await customer.asks(seller.home)
        await customer.hears(request, FeedbackStatus.PAYMENT_REQUIRED)
        dear = await customer.wallet.make_invoice(
            Msat(900_000), description="a refund", expiry_seconds=600
        )
        caplog.clear()
        await customer.wants_back(request, seller.home, evolve(dear, amount=PRICE))
        await trio.sleep(5)
        assert caplog.messages == []


async def test_a_request_that_is_heard_again_and_again_is_paid_once(
    autojump_clock: MockClock,
) -> None:
    async with open_world(relays=3, seconds=10_000) as world:
        customer, home = Customer(world), node(world, SELLER)
        await customer.wallet.fund(FUNDS)
        async with selling(home, broken()):
            request = await owed(customer, home)
            invoice = await customer.asks_back(request, home, PRICE)
            (asked,) = await world.published(kinds=(7000,), tags={"p": (home.key,)})
            await world.publish(asked, relay=1)
            await world.publish(asked, relay=2)
            await job_becomes(home, request.id, Refunded)
        async with selling(home):  # which hears it all once more
            await trio.sleep(60)
            await home.no_rows()
        assert await is_settled(customer, invoice.payment_hash)
        spent = (await home.ledger.history(limit=9))[0]
        assert await home.ledger.balance() == FUNDS - spent.fee
        assert asked in await home.store.jobs.evidence(JobId(request.id))
        assert await world.ledger_audit() == []


async def test_of_two_invoices_for_one_debt_one_is_paid(autojump_clock: MockClock) -> None:
    async with one_customer(broken()) as (world, seller, customer):
        request = await owed(customer, seller.home)
        first = await customer.asks_back(request, seller.home, PRICE, key="first")
        second = await customer.asks_back(request, seller.home, PRICE, key="second")
        state = await job_becomes(seller.home, request.id, Refunded)
        await trio.sleep(60)
        assert isinstance(state, Refunded)
        assert state.refund == first.payment_hash
        assert not await is_settled(customer, second.payment_hash)
        assert await world.ledger_audit() == []


async def test_a_request_that_came_while_we_were_down_is_paid(autojump_clock: MockClock) -> None:
    async with open_world(seconds=10_000) as world:
        customer, home = Customer(world), node(world, SELLER)
        await customer.wallet.fund(FUNDS)
        async with selling(home, broken()):
            request = await owed(customer, home)
        await trio.sleep(900)
        invoice = await customer.asks_back(request, home, PRICE)
        await trio.sleep(900)
        async with selling(home):
            await job_becomes(home, request.id, Refunded)
        assert await is_settled(customer, invoice.payment_hash)


async def test_nothing_is_paid_back_for_a_job_that_was_answered(
    autojump_clock: MockClock,
) -> None:
    async with one_customer() as (_, seller, customer):
        request = await customer.asks(seller.home, PayMode.PREPAY)
        offer = await customer.hears(request, FeedbackStatus.PAYMENT_REQUIRED)
        await customer.paid(offer.bolt11)
        await job_becomes(seller.home, request.id, Settled)
        invoice = await customer.asks_back(request, seller.home, PRICE)
        await trio.sleep(60)
        await job_becomes(seller.home, request.id, Settled)
        assert not await is_settled(customer, invoice.payment_hash)


async def test_a_refund_waits_while_all_spending_is_paused(autojump_clock: MockClock) -> None:
    async with one_customer(broken()) as (world, seller, customer):
        request = await owed(customer, seller.home)
        budget = seller.home.store.budget
        await budget.pause(now=world.now())
        invoice = await customer.asks_back(request, seller.home, PRICE)
        await trio.sleep(300)
        assert not await is_settled(customer, invoice.payment_hash)
        await budget.resume()
        await job_becomes(seller.home, request.id, Refunded)
        assert await is_settled(customer, invoice.payment_hash)
        used = await budget.usage(Purpose(scopes=(REFUNDS,)), now=world.now())
        assert used[REFUNDS][Span.TOTAL].spent == PRICE + 101
        assert await seller.home.ledger.balance() == FUNDS - 101


async def test_a_refund_whose_answer_was_lost_is_not_paid_again(autojump_clock: MockClock) -> None:
    async with open_world(seconds=10_000) as world:
        customer, home = Customer(world), node(world, SELLER)
        await customer.wallet.fund(FUNDS)
        home.wallet = wallet = _Deaf(home.wallet)
        async with selling(home, broken()):
            request = await owed(customer, home)
            await customer.asks_back(request, home, PRICE)
            await job_becomes(home, request.id, Refunded)
            assert wallet.calls.count("pay") == 1
            assert await world.ledger_audit() == []


class _Deaf(Trouble):
    """A wallet that pays, and does not answer."""

    async def pay(self, *args: Any, **how: Any) -> PaymentResult:
        self.calls.append("pay")
        await self._port.pay(*args, **how)
        raise WalletUnavailable("the answer was lost")


async def test_an_empty_wallet_pays_back_when_it_has_the_money(autojump_clock: MockClock) -> None:
    async with one_customer(broken()) as (world, seller, customer):
        request = await customer.asks(seller.home, PayMode.PREPAY)
        offer = await customer.hears(request, FeedbackStatus.PAYMENT_REQUIRED)
        await customer.paid(offer.bolt11)
        await job_becomes(seller.home, request.id, Failed)
        invoice = await customer.asks_back(request, seller.home, PRICE)  # and the fee is missing
        await trio.sleep(30)
        assert not await is_settled(customer, invoice.payment_hash)
        await seller.home.ledger.fund(FUNDS)
        await job_becomes(seller.home, request.id, Refunded)
        assert await is_settled(customer, invoice.payment_hash)
        assert await world.ledger_audit() == []


async def test_an_invoice_of_another_network_is_not_paid(autojump_clock: MockClock) -> None:
    async with one_customer(broken()) as (world, seller, customer):
        request = await owed(customer, seller.home)
        good = await customer.wallet.make_invoice(PRICE, description="a", expiry_seconds=600)
        signet = evolve(decode(good.bolt11), network=Network.SIGNET)
        foreign = evolve(good, bolt11=encode(signet, keys(customer.number)))
        await customer.wants_back(request, seller.home, foreign)
        await nothing_comes_of_it(seller.home, request)
        assert await world.ledger_audit() == []
