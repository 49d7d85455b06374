"""Payments that are held over a real channel, where Electrum is new enough."""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256

import pytest
import trio
from attrs import define, field

from pylon.adapters.lightning.electrum.invoices import (
    BLOCK_SECONDS,
    MAX_HOLD_BLOCKS,
    SPARE_BLOCKS,
)
from pylon.errors import Misconfigured
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.money import Msat, from_sats
from pylon.model.wallet import (
    InvoiceState,
    InvoiceStatus,
    IssuedInvoice,
    PaymentFailed,
    PaymentInFlight,
    PaymentResult,
    PaymentSettled,
)
from pylon.ports.wallet import Wallet
from tests.integration.lightning.town import Pair
from tests.integration.lightning.wallets import opened

AMOUNT = from_sats(21)
FEE = from_sats(10)
HOLD_SECONDS = 600
PATIENCE_SECONDS = 60


@define
class Deal:
    """One hold invoice and its payment."""

    payer: Wallet
    payee: Wallet
    preimage: Preimage = field(factory=lambda: Preimage(secrets.token_hex(32)))
    results: list[PaymentResult] = field(factory=list, init=False)

    @property
    def payment_hash(self) -> PaymentHash:
        return PaymentHash(sha256(bytes.fromhex(self.preimage)).hexdigest())

    async def ask(self, amount: Msat = AMOUNT, *, seconds: int = HOLD_SECONDS) -> IssuedInvoice:
        return await self.payee.make_hold_invoice(
            self.payment_hash,
            amount,
            description="a held job",
            expiry_seconds=600,
            hold_seconds=seconds,
        )

    async def pay(self) -> None:
        bolt11 = (await self.ask()).bolt11
        self.results.append(await self.payer.pay(bolt11, max_fee=FEE, deadline_seconds=30))

    async def reaches(self, state: InvoiceState) -> InvoiceStatus:
        with trio.fail_after(PATIENCE_SECONDS):
            while True:
                status = await self.payee.lookup(self.payment_hash)
                if status is not None and status.state is state:
                    return status
                await trio.sleep(0.05)

    @asynccontextmanager
    async def accepted(self) -> AsyncGenerator[InvoiceStatus, None]:
        """Have it paid until it is held; the payer waits for as long as the block lasts."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.pay)
            yield await self.reaches(InvoiceState.ACCEPTED)


@pytest.fixture
async def deal(holding_pair: Pair) -> AsyncGenerator[Deal, None]:
    async with opened(holding_pair.payer) as payer, opened(holding_pair.payee) as payee:
        yield Deal(payer, payee)


async def test_what_is_held_moves_when_it_is_settled(deal: Deal, holding_pair: Pair) -> None:
    had = await deal.payer.balance(), await deal.payee.balance()
    async with deal.accepted() as held:
        assert held.paid == AMOUNT
        assert held.settle_deadline is not None
        assert await deal.payer.payment(deal.payment_hash) == PaymentInFlight(deal.payment_hash)
        assert deal.results == []
        for _ in range(2):  # settling twice is settling once
            settled = await deal.payee.settle_hold(deal.preimage)
            assert (settled.state, settled.paid) == (InvoiceState.SETTLED, AMOUNT)
    paid = PaymentSettled(deal.payment_hash, deal.preimage, AMOUNT, Msat(0))
    assert deal.results == [paid]
    assert await deal.payer.payment(deal.payment_hash) == paid
    cancelled = await deal.payee.cancel_invoice(deal.payment_hash)
    assert cancelled.state is InvoiceState.SETTLED
    now = await deal.payer.balance(), await deal.payee.balance()
    assert now == (had[0] - AMOUNT, had[1] + AMOUNT)


async def test_what_is_held_comes_back_when_it_is_cancelled(deal: Deal) -> None:
    had = await deal.payer.balance()
    async with deal.accepted():
        for _ in range(2):
            cancelled = await deal.payee.cancel_invoice(deal.payment_hash)
            assert cancelled.state is InvoiceState.CANCELLED
    (failed,) = deal.results
    assert isinstance(failed, PaymentFailed)
    assert await deal.payer.balance() == had
    late = await deal.payee.settle_hold(deal.preimage)
    assert late.state is InvoiceState.CANCELLED


async def test_a_hold_is_shown_again_to_whoever_asks_again(deal: Deal, holding_pair: Pair) -> None:
    first = await deal.ask()
    assert await deal.ask() == first
    async with opened(holding_pair.payee) as after_a_restart:
        assert await Deal(deal.payer, after_a_restart, deal.preimage).ask() == first
    with pytest.raises(Misconfigured):
        await deal.ask(Msat(AMOUNT + 1000))
    assert (await deal.payee.settle_hold(deal.preimage)).state is InvoiceState.OPEN


async def test_a_hold_whose_first_answer_was_lost_is_made_again(
    deal: Deal, holding_pair: Pair
) -> None:
    await holding_pair.payee.call(
        "add_hold_invoice", payment_hash=deal.payment_hash, amount="0.00000021"
    )
    async with deal.accepted():
        await deal.payee.settle_hold(deal.preimage)
    assert isinstance(deal.results[0], PaymentSettled)


async def test_no_more_time_is_promised_than_electrum_gives(deal: Deal) -> None:
    longest = MAX_HOLD_BLOCKS * BLOCK_SECONDS
    with pytest.raises(Misconfigured):
        await deal.ask(seconds=longest + 1)
    assert (await deal.ask(seconds=longest)).payment_hash == deal.payment_hash


async def test_a_hold_goes_back_before_it_expires_and_a_watcher_is_told(
    deal: Deal, holding_pair: Pair
) -> None:
    had = await deal.payer.balance()
    async with deal.payee.watch(after=0) as watch, deal.accepted() as held:
        assert held.settle_deadline is not None
        assert await told(deal, watch) is InvoiceState.ACCEPTED
        holding_pair.chain.mine(HOLD_SECONDS // BLOCK_SECONDS)
        status = await deal.payee.lookup(deal.payment_hash)
        assert status is not None
        assert status.state is InvoiceState.ACCEPTED  # for as long as was asked for
        holding_pair.chain.mine(SPARE_BLOCKS + 4)
        assert await told(deal, watch) is InvoiceState.CANCELLED
    assert isinstance(deal.results[0], PaymentFailed)
    assert await deal.payer.balance() == had
    assert (await deal.payee.settle_hold(deal.preimage)).state is InvoiceState.CANCELLED


async def told(deal: Deal, watch: AsyncIterator[InvoiceStatus]) -> InvoiceState:
    with trio.fail_after(PATIENCE_SECONDS):
        while (status := await anext(watch)).payment_hash != deal.payment_hash:
            pass
    return status.state


@pytest.mark.parametrize("settle", [True, False])
async def test_a_payee_killed_while_it_holds_can_settle_or_cancel_when_it_is_back(
    deal: Deal, holding_pair: Pair, settle: bool
) -> None:
    had = await deal.payer.balance()
    async with deal.accepted():
        holding_pair.payee.kill()
        await holding_pair.payee.start()
        await holding_pair.reconnect(holding_pair.payee)
        await deal.reaches(InvoiceState.ACCEPTED)
        if settle:
            ended = await deal.payee.settle_hold(deal.preimage)
        else:
            ended = await deal.payee.cancel_invoice(deal.payment_hash)
    assert ended.state is (InvoiceState.SETTLED if settle else InvoiceState.CANCELLED)
    assert isinstance(deal.results[0], PaymentSettled if settle else PaymentFailed)
    assert await deal.payer.balance() == had - (AMOUNT if settle else 0)


async def test_a_payer_killed_while_its_money_is_held_learns_that_it_was_settled(
    deal: Deal, holding_pair: Pair
) -> None:
    had = await deal.payer.balance()
    with trio.move_on_after(PATIENCE_SECONDS) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(deal.pay)
            await deal.reaches(InvoiceState.ACCEPTED)
            nursery.cancel_scope.cancel()
    assert not scope.cancelled_caught
    holding_pair.payer.kill()
    await holding_pair.payer.start()
    assert await deal.payer.payment(deal.payment_hash) == PaymentInFlight(deal.payment_hash)
    await holding_pair.reconnect(holding_pair.payer)
    await deal.payee.settle_hold(deal.preimage)
    with trio.fail_after(PATIENCE_SECONDS):
        await deal.pay()
    assert isinstance(deal.results[0], PaymentSettled)
    assert await deal.payer.balance() == had - AMOUNT
