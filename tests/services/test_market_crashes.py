"""Nothing in between is lost: cut off at any moment, a job ends as it would have ended."""

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count

import pytest
import trio
from attrs import define, field, frozen
from trio.testing import MockClock

from pylon.adapters.lightning.ledger.faults import Fault, FaultKind
from pylon.config import BackendsConfig, Config, ProviderConfig
from pylon.core.order_machine import is_final
from pylon.errors import GenerationFailed, StoreBusy, StoreFull, WalletUnavailable
from pylon.model import job as jobs
from pylon.model.job import Cancelled, Failed, Unpaid
from pylon.model.money import ZERO, Msat, PayMode, from_sats
from pylon.model.order import Cheated, Draft, NotServed, Order, Refunded
from pylon.model.wallet import Direction
from pylon.wire.locked import describe
from tests.market.backend import ScriptedBackend
from tests.market.liar import PREIMAGE, Liar, not_that
from tests.market.nodes import (
    FUNDS,
    SELLER,
    NodeHome,
    funded,
    is_one_paid_job,
    job_becomes,
    node,
    order_becomes,
    selling,
    shopping,
)
from tests.market.trouble import MOMENTS, Tripwire
from tests.market.world import World, open_world

DOWN_SECONDS = 3.0
HURRIED = Config(
    provider=ProviderConfig(offer_expiry_seconds=60),
    backends=BackendsConfig(job_timeout_seconds=60),
)
STORES = ("jobs", "orders", "budget", "earnings", "cursors")

Check = Callable[[World, NodeHome, NodeHome, Order], Awaitable[None]]
Run = Callable[[NodeHome], Awaitable[None]]
BOTH = ("provider", "buyer")
PAID_MODES = (PayMode.PREPAY, PayMode.HOLD, PayMode.LOCKED, PayMode.HOLD_LOCKED)
HELD_MODES = (PayMode.HOLD, PayMode.HOLD_LOCKED)


@frozen
class Story:
    """What a job goes through when nobody is cut off, and how it ends all the same."""

    mode: PayMode = PayMode.PREPAY
    check: Check = is_one_paid_job
    fault: Fault | None = None  # in the buyer's wallet
    says: str | Exception = "four"  # the backend
    change: Msat = ZERO  # that the seller has, for the fees of refunds
    lies: bool = False  # the seller

    async def sell(self, home: NodeHome) -> None:
        if self.lies:
            await sell_lies(home.world)
        async with selling(home, ScriptedBackend((self.says,), seconds=1)):
            await trio.sleep_forever()


async def sell_lies(world: World) -> None:
    """Sell whoever asks first a locked answer that is not what it is sold as."""
    liar = Liar(world, SELLER)
    while not (requests := await world.published(kinds=(5050,))):  # noqa: ASYNC110 - who would tell?
        await trio.sleep(0.5)
    (request,) = requests
    lock = not_that(describe("four", PREIMAGE))
    invoice = await liar.invoice()
    await world.publish(liar.locked_result(request, invoice=invoice, lock=lock))
    await trio.sleep_forever()


async def buy(order: Order, home: NodeHome) -> None:
    """Do as the command line does: resume what is stored, submit what is not."""
    async with shopping(home) as shopper:
        if not await knows(home, order):
            await shopper.buyer.submit(order)
        else:
            await shopper.buyer.resume(order.id)
        await trio.sleep_forever()


async def knows(home: NodeHome, order: Order) -> bool:
    """Say whether an order is stored; where the store does not say, it may be submitted twice."""
    try:
        return await home.order_state(order) is not None
    except (StoreBusy, StoreFull):
        return False


async def is_over(home: NodeHome, order: Order) -> None:
    while not is_final(await home.order_state(order) or Draft()):  # noqa: ASYNC110 - who would tell?
        await trio.sleep(0.5)


async def is_unpaid(world: World, seller: NodeHome, buyer: NodeHome, order: Order) -> None:
    """Assert that nothing was paid, nothing is set aside, and both sides are done with it."""
    await job_becomes(seller, order, Cancelled, Failed, Unpaid)
    await seller.no_rows()
    await buyer.no_rows()
    assert isinstance(await buyer.order_state(order), NotServed)
    assert await buyer.ledger.balance() == FUNDS
    assert await buyer.store.budget.committed() == 0
    assert await world.ledger_audit() == []


@define(eq=False)
class Accident:
    """Cuts its victims off, all at the same moment; each is started again a little later."""

    victims: tuple[str, ...]
    wire: Tripwire = field(init=False)
    _lives: list[trio.CancelScope] = field(factory=list)

    async def befall(self, name: str, run: Run, home: NodeHome) -> None:
        if name in self.victims:
            with trio.CancelScope() as life:
                self._lives.append(life)
                await run(self.wire.guard(home))
            await trio.sleep(DOWN_SECONDS)
        await run(home)

    def strike(self) -> None:
        for life in self._lives:
            life.cancel("kill -9")


async def is_paid_back(world: World, seller: NodeHome, buyer: NodeHome, order: Order) -> None:
    """Assert that what was paid for nothing has come back, once."""
    await job_becomes(seller, order, jobs.Refunded)
    await order_becomes(buyer, order, Refunded)
    await seller.no_rows()
    await buyer.no_rows()
    back = [e for e in await buyer.ledger.history(limit=9) if e.direction is Direction.INCOMING]
    assert [entry.state for entry in back] == ["settled"]
    (sent,) = [e for e in await buyer.ledger.history(limit=9) if e.direction is Direction.OUTGOING]
    assert await buyer.ledger.balance() == FUNDS - sent.fee
    assert (await seller.store.earnings.total()).jobs == 0
    assert await world.ledger_audit() == []


async def is_found_out(world: World, seller: NodeHome, buyer: NodeHome, order: Order) -> None:
    """Assert that a lie was paid once, that its proof is kept, and that nothing is left to do."""
    await buyer.no_rows()
    end = await buyer.order_state(order)
    assert isinstance(end, Cheated)
    assert end.answer.result in {event.id for event in await buyer.store.orders.evidence(order.id)}
    assert await seller.ledger.balance() == end.offer.amount
    assert await buyer.ledger.balance() == FUNDS - end.offer.amount - end.fee
    assert await buyer.store.budget.committed() == end.offer.amount + end.fee
    assert await world.ledger_audit() == []


async def one_life(victims: tuple[str, ...], story: Story, moment: int) -> bool:
    """Let one job live, and cut the victims off at a moment; False if all was over before that."""
    accident = Accident(victims)
    accident.wire = Tripwire(moment, accident.strike)
    return await live(accident.befall, accident.wire, story)


async def live(befall: Callable[..., Awaitable[None]], wire: Tripwire, story: Story) -> bool:
    """Let one job live until it stands the check."""
    async with open_world(seconds=4_000) as world:
        seller, buyer = node(world, SELLER, HURRIED), await funded(world)
        if story.change:
            await seller.ledger.fund(story.change)
        if story.fault is not None:
            await buyer.ledger.inject(story.fault)
        order = buyer.order(provider=seller.key, timeout_seconds=900, modes=(story.mode,))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(befall, "provider", story.sell, seller)
            nursery.start_soon(befall, "buyer", partial(buy, order), buyer)
            try:
                await is_over(buyer, order)
                await story.check(world, seller, buyer, order)
            except BaseException as error:
                error.add_note(f"struck at moment {wire.moments}: {wire.where}")
                raise
            nursery.cancel_scope.cancel()
    return wire.struck


def every_moment(life: Callable[[int], Awaitable[bool]]) -> int:
    """Live through a strike at every moment there is, and return how many there are."""
    for moment in count(1):
        if not trio.run(life, moment, clock=MockClock(autojump_threshold=0)):
            return moment - 1
    raise AssertionError


VICTIMS = pytest.mark.parametrize(
    "victims", [BOTH[:1], BOTH[1:], BOTH], ids=["provider", "buyer", "both"]
)


@pytest.mark.parametrize("mode", PAID_MODES)
@VICTIMS
def test_a_job_ends_the_same_wherever_it_was_cut_off(
    victims: tuple[str, ...], mode: PayMode
) -> None:
    assert every_moment(partial(one_life, victims, Story(mode))) >= 20


@pytest.mark.parametrize("mode", PAID_MODES)
@VICTIMS
def test_a_payment_that_cannot_be_made_leaves_nothing_behind_wherever_it_was_cut_off(
    victims: tuple[str, ...], mode: PayMode
) -> None:
    story = Story(mode, is_unpaid, Fault(FaultKind.NO_ROUTE))
    assert every_moment(partial(one_life, victims, story)) >= 10


@pytest.mark.parametrize("mode", HELD_MODES)
@VICTIMS
def test_what_was_held_for_work_that_fails_is_back_wherever_it_was_cut_off(
    victims: tuple[str, ...], mode: PayMode
) -> None:
    story = Story(mode, is_unpaid, says=GenerationFailed("out of memory"))
    assert every_moment(partial(one_life, victims, story)) >= 10


@VICTIMS
def test_what_was_paid_for_work_that_fails_is_paid_back_once_wherever_it_was_cut_off(
    victims: tuple[str, ...],
) -> None:
    broken, change = GenerationFailed("out of memory"), from_sats(100)
    story = Story(PayMode.PREPAY, is_paid_back, says=broken, change=change)
    assert every_moment(partial(one_life, victims, story)) >= 20


def test_a_lie_is_found_out_and_proven_wherever_its_buyer_was_cut_off() -> None:
    story = Story(PayMode.LOCKED, is_found_out, lies=True)
    assert every_moment(partial(one_life, ("buyer",), story)) >= 20


@pytest.mark.parametrize("mode", [PayMode.PREPAY, PayMode.HOLD_LOCKED])
@pytest.mark.parametrize(
    ("victim", "trouble", "ports", "moments"),
    [
        ("provider", StoreBusy, STORES, MOMENTS),
        ("buyer", StoreFull, STORES, MOMENTS),
        ("provider", WalletUnavailable, ("wallet",), MOMENTS),
        ("buyer", WalletUnavailable, ("wallet",), MOMENTS),
    ],
)
def test_a_job_ends_the_same_whatever_fails_once(
    victim: str,
    trouble: type[Exception],
    ports: tuple[str, ...],
    moments: tuple[str, ...],
    mode: PayMode,
) -> None:
    async def one_failure(moment: int) -> bool:
        def fail() -> None:
            raise trouble("not now")

        async def befall(name: str, run: Run, home: NodeHome) -> None:
            await run(wire.guard(home) if name == victim else home)

        wire = Tripwire(moment, fail, ports, moments, reads=True)
        return await live(befall, wire, Story(mode))

    assert every_moment(one_failure) >= (60 if ports is STORES else 1)
