"""What wallets do to a market, and what must come of it."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from pylon.adapters.lightning.ledger.faults import Fault, FaultKind
from pylon.core.ordering import Wish
from pylon.errors import Misconfigured, WalletUnavailable
from pylon.model.job import Cancelled, Settled
from pylon.model.money import Msat
from pylon.model.order import (
    Chosen,
    Done,
    NotServed,
    Unknown,
)
from pylon.model.wallet import PaymentSettled
from pylon.wire.bolt11 import decode
from tests.market.nodes import (
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
from tests.market.world import open_world


async def test_a_payment_that_settles_after_its_call_has_timed_out_is_found(
    autojump_clock: MockClock,
) -> None:
    async with one_of_each() as (world, seller, shopper):
        await shopper.home.ledger.inject(Fault(FaultKind.STUCK, times=1))
        order = shopper.home.order(provider=seller.home.key)
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Unknown)
        await trio.sleep(20)
        assert isinstance(await shopper.home.order_state(order), Unknown)
        await shopper.home.ledger.clear_faults()
        assert isinstance(await shopper.ends(order), Done)
        await is_one_paid_job(world, seller.home, shopper.home, order)


async def test_a_payment_whose_answer_was_lost_is_not_paid_again(autojump_clock: MockClock) -> None:
    async with one_of_each() as (world, seller, shopper):
        await shopper.home.ledger.inject(Fault(FaultKind.LOSE_PAYMENT, times=1))
        order = shopper.home.order(provider=seller.home.key)
        assert isinstance(await shopper.buy(order), Done)
        assert "Unknown" in shopper.states(order)
        await is_one_paid_job(world, seller.home, shopper.home, order)


async def test_a_wallet_that_does_not_answer_is_asked_until_it_does(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world, selling(node(world, SELLER)) as seller:
        home = await funded(world)
        home.wallet = wallet = Trouble(home.wallet)
        wallet.fail("payment", *[WalletUnavailable("away")] * 5)
        await home.ledger.inject(Fault(FaultKind.LOSE_PAYMENT, times=1))
        async with shopping(home) as shopper:
            order = home.order(provider=seller.home.key)
            assert isinstance(await shopper.buy(order), Done)
            assert (wallet.calls.count("pay"), wallet.calls.count("payment")) == (1, 6)
            await is_one_paid_job(world, seller.home, home, order)


async def test_a_payment_that_never_reached_the_wallet_is_made_anew(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world, selling(node(world, SELLER)) as seller:
        home = await funded(world)
        home.wallet = wallet = Trouble(home.wallet)
        wallet.fail("pay", WalletUnavailable("away"))
        async with shopping(home) as shopper:
            order = home.order(provider=seller.home.key)
            assert isinstance(await shopper.buy(order), Done)
            assert wallet.calls.count("pay") == 2
            await is_one_paid_job(world, seller.home, home, order)


async def test_a_payment_that_never_reaches_the_wallet_is_given_up_with_its_offer(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world, selling(node(world, SELLER)) as seller:
        home = await funded(world)
        home.wallet = wallet = Trouble(home.wallet)
        wallet.fail("pay", *[WalletUnavailable("away")] * 999)
        async with shopping(home) as shopper:
            order = home.order(provider=seller.home.key)
            end = await shopper.buy(order)
            assert isinstance(end, NotServed)
            assert "the wallet never began the payment" in end.reason
            assert order.deadline <= world.now() <= order.deadline + 5
            await home.no_rows()
            assert await home.store.budget.committed() == 0


async def test_a_success_without_its_proof_is_not_believed(autojump_clock: MockClock) -> None:
    class Liar(Trouble):
        async def pay(self, bolt11: str, **_: Any) -> PaymentSettled:
            await trio.lowlevel.checkpoint()
            hash_ = decode(bolt11).payment_hash
            return PaymentSettled(hash_, "00" * 32, Msat(12_000), Msat(0))  # type: ignore[arg-type]  # no such preimage

    async with open_world() as world, selling(node(world, SELLER)) as seller:
        home = await funded(world)
        home.wallet = Liar(home.wallet)
        async with shopping(home) as shopper:
            order = home.order(provider=seller.home.key)
            await shopper.buyer.submit(order)
            await shopper.reaches(order, Unknown)
            assert isinstance(await shopper.ends(order), NotServed)
            assert "Paid" not in shopper.states(order)


async def test_a_wallet_that_tells_twice_is_believed_once(autojump_clock: MockClock) -> None:
    async with one_of_each() as (world, seller, shopper):
        await seller.home.ledger.inject(Fault(FaultKind.DUPLICATE))
        order = shopper.home.order(provider=seller.home.key)
        assert isinstance(await shopper.buy(order), Done)
        await is_one_paid_job(world, seller.home, shopper.home, order)
        assert len(seller.backend.prompts) == 1


async def test_an_invoice_whose_making_was_not_heard_of_is_made_once(
    autojump_clock: MockClock,
) -> None:
    async with one_of_each() as (world, seller, shopper):
        await seller.home.ledger.inject(Fault(FaultKind.LOSE_INVOICE, times=1))
        order = shopper.home.order(provider=seller.home.key)
        assert isinstance(await shopper.buy(order), Done)
        await is_one_paid_job(world, seller.home, shopper.home, order)


async def test_a_wallet_without_the_invoice_does_not_keep_the_node_from_its_work(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        home = node(world, SELLER)
        home.wallet = wallet = Trouble(home.wallet)
        wallet.fail("cancel_invoice", Misconfigured("is it the right ledger?"))
        async with selling(home):
            order = home_order = shopper.home.order(Wish("2+2?", provider=home.key))
            await shopper.buyer.submit(order)
            await shopper.reaches(order, Chosen)
            await shopper.buyer.cancel(order.id)
            await job_becomes(home, home_order, Cancelled)
            await home.no_rows()
            assert isinstance(await shopper.buy(shopper.home.order(provider=home.key)), Done)


async def test_a_wallet_that_makes_no_invoice_fails_the_job(autojump_clock: MockClock) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        home = node(world, SELLER)
        home.wallet = wallet = Trouble(home.wallet)
        wallet.fail("make_invoice", Misconfigured("no inbound liquidity"))
        async with selling(home):
            end = await shopper.buy(shopper.home.order(provider=home.key))
            assert isinstance(end, NotServed)
            assert "no inbound liquidity" in end.reason


async def test_a_payment_is_only_credited_on_the_wallets_word(autojump_clock: MockClock) -> None:
    class Forgetful(Trouble):
        async def lookup(self, _: Any) -> None:
            await trio.lowlevel.checkpoint()

    async with open_world() as world, shopping(await funded(world)) as shopper:
        home = node(world, SELLER)
        home.wallet = Forgetful(home.wallet)
        async with selling(home):
            order = shopper.home.order(provider=home.key)
            assert isinstance(await shopper.buy(order), Done)
            await job_becomes(home, order, Settled)
            await trio.sleep(60)
            assert (await home.store.earnings.total()).jobs == 0
            assert [r.kind for r in await home.store.jobs.outbox("accountant")] == ["Credit"]


class Dumb(Trouble):
    """A wallet whose calls of one name never return, until it is woken."""

    def __init__(self, port: Any, method: str) -> None:
        super().__init__(port)
        self.method = method
        self.awake = False

    def __getattr__(self, name: str) -> Any:
        if name != self.method or self.awake:
            return super().__getattr__(name)

        async def call(*_: Any, **__: Any) -> None:
            await trio.sleep_forever()

        return call


@pytest.mark.parametrize("method", ["make_invoice", "lookup"])
async def test_a_sellers_wallet_that_hangs_is_asked_again(
    autojump_clock: MockClock, method: str
) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        home = node(world, SELLER)
        home.wallet = wallet = Dumb(home.wallet, method)
        async with selling(home):
            order = home_order = shopper.home.order(provider=home.key, timeout_seconds=900)
            await shopper.buyer.submit(order)
            await trio.sleep(100)
            wallet.awake = True
            assert isinstance(await shopper.ends(home_order), Done)
            await is_one_paid_job(world, home, shopper.home, order)


@pytest.mark.parametrize("method", ["pay", "payment"])
async def test_a_buyers_wallet_that_hangs_is_asked_again(
    autojump_clock: MockClock, method: str
) -> None:
    async with open_world() as world, selling(node(world, SELLER)) as seller:
        home = await funded(world)
        home.wallet = wallet = Dumb(home.wallet, method)
        await home.ledger.inject(Fault(FaultKind.LOSE_PAYMENT, times=1))
        async with shopping(home) as shopper:
            order = home.order(provider=seller.home.key, timeout_seconds=900)
            await shopper.buyer.submit(order)
            await shopper.reaches(order, Unknown)
            await trio.sleep(100)
            wallet.awake = True
            assert isinstance(await shopper.ends(order), Done)
            await is_one_paid_job(world, seller.home, home, order)
