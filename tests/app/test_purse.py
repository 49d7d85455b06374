"""An invoice that is for no job is paid within the budget, once, and is settled after a crash."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define, evolve, field, frozen
from trio.testing import MockClock

from pylon.adapters.home import Home
from pylon.adapters.lightning.ledger.faults import Fault, FaultKind
from pylon.adapters.lightning.ledger.wallet import LedgerWallet
from pylon.adapters.memory.budget import MemoryBudget
from pylon.adapters.memory.clock import MemoryClock
from pylon.adapters.memory.wallet import MemoryMarket
from pylon.app.purse import Bill, Purse
from pylon.errors import BadInvoice, InUse, OverBudget, WalletUnavailable
from pylon.model.budget import NODE, Purpose
from pylon.model.ids import EventId, JobId, Preimage
from pylon.model.money import Msat
from pylon.model.wallet import PaymentFailed, PaymentInFlight, PaymentSettled
from pylon.ports.budget import Caps
from tests.nostr import keys

PRICE, MAX_FEE, FEE = Msat(10_000), Msat(5_000), Msat(101)
JOB = JobId(EventId("1" * 64))
SECONDS = 30.0


@define
class Till:
    """A purse with money in it, and somebody to pay."""

    folder: Path
    budget: MemoryBudget = field(factory=MemoryBudget)
    caps: Caps = field(factory=Caps)
    clock: MemoryClock = field(factory=MemoryClock)
    market: MemoryMarket = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.market = MemoryMarket(self.clock)

    @property
    def wallet(self) -> LedgerWallet:
        return self.market.wallet(keys(1))

    @property
    def home(self) -> Home:
        return Home(self.folder, self.folder, self.folder)

    def purse(self, wallet: Any = None) -> Purse:
        limits = {NODE: self.caps}
        return Purse(wallet or self.wallet, self.budget, self.home, limits, self.clock)

    async def bill(self) -> Bill:
        await self.wallet.fund(Msat(100_000))
        payee = self.market.wallet(keys(2))
        invoice = await payee.make_invoice(PRICE, description="", expiry_seconds=3_600)
        return Bill(invoice.bolt11, invoice.payment_hash, PRICE, MAX_FEE)

    async def paid(self) -> int:
        """Return what has left the wallet."""
        return 100_000 - await self.wallet.balance()


@pytest.fixture
def till(tmp_path: Path, autojump_clock: MockClock) -> Till:
    return Till(tmp_path)


async def test_what_is_paid_is_spent_with_its_fee(till: Till) -> None:
    bill = await till.bill()

    result = await till.purse().pay(bill, deadline_seconds=SECONDS)

    assert isinstance(result, PaymentSettled)
    assert await till.budget.committed() == PRICE + FEE == await till.paid()
    assert await till.budget.reserved() == {}


async def test_paying_again_shows_the_first_outcome_and_costs_nothing(till: Till) -> None:
    bill = await till.bill()
    first = await till.purse().pay(bill, deadline_seconds=SECONDS)
    await till.budget.pause(now=1)

    assert await till.purse().pay(bill, deadline_seconds=SECONDS) == first
    assert await till.budget.committed() == PRICE + FEE


async def test_what_was_paid_before_there_was_a_budget_is_booked_when_it_is_seen(
    till: Till,
) -> None:
    bill = await till.bill()
    await till.wallet.pay(bill.bolt11, max_fee=MAX_FEE, deadline_seconds=SECONDS)

    assert isinstance(await till.purse().pay(bill, deadline_seconds=SECONDS), PaymentSettled)
    assert await till.budget.committed() == PRICE + FEE


@pytest.mark.parametrize(
    "caps",
    [Caps(per_hour=Msat(14_999)), Caps(per_day=Msat(14_999)), Caps(total=Msat(14_999))],
)
async def test_a_cap_refuses_what_would_pass_it_with_its_fees(till: Till, caps: Caps) -> None:
    bill = await till.bill()
    till.caps = caps

    with pytest.raises(OverBudget, match="over the limit"):
        await till.purse().pay(bill, deadline_seconds=SECONDS)
    assert await till.paid() == await till.budget.committed() == 0


async def test_the_caps_for_a_job_and_a_provider_are_not_for_an_invoice_without(
    till: Till,
) -> None:
    till.caps = Caps(per_job=Msat(1), per_provider=Msat(1), total=Msat(15_000))

    result = await till.purse().pay(await till.bill(), deadline_seconds=SECONDS)
    assert isinstance(result, PaymentSettled)


async def test_nothing_is_paid_during_a_pause(till: Till) -> None:
    bill = await till.bill()
    await till.budget.pause(now=1)

    with pytest.raises(OverBudget, match="paused"):
        await till.purse().pay(bill, deadline_seconds=SECONDS)
    assert await till.paid() == await till.budget.committed() == 0


@frozen
class PausedAfter:
    """A budget that somebody pauses right after something was reserved."""

    _budget: MemoryBudget

    def __getattr__(self, name: str) -> Any:
        return getattr(self._budget, name)

    async def reserve(self, *args: Any, **kwargs: Any) -> str | None:
        refusal = await self._budget.reserve(*args, **kwargs)
        await self._budget.pause(now=1)
        return refusal


async def test_a_pause_between_reserving_and_paying_leaves_nothing_behind(till: Till) -> None:
    bill, paused = await till.bill(), PausedAfter(till.budget)
    purse = evolve(till.purse(), budget=paused)

    with pytest.raises(OverBudget, match="paused"):
        await purse.pay(bill, deadline_seconds=SECONDS)
    assert await till.paid() == await till.budget.committed() == 0


async def test_a_definite_failure_gives_back_what_was_set_aside(till: Till) -> None:
    bill = await till.bill()
    await till.wallet.inject(Fault(FaultKind.FAIL, reason="no liquidity", times=1))

    result = await till.purse().pay(bill, deadline_seconds=SECONDS)
    assert result == PaymentFailed(bill.payment_hash, "no liquidity")
    assert await till.budget.committed() == 0
    assert isinstance(await till.purse().pay(bill, deadline_seconds=SECONDS), PaymentSettled)


async def test_an_unknown_payment_stays_set_aside_until_it_is_known(till: Till) -> None:
    bill = await till.bill()
    await till.wallet.inject(Fault(FaultKind.STUCK))

    assert await till.purse().pay(bill, deadline_seconds=1) == PaymentInFlight(bill.payment_hash)
    assert await till.budget.committed() == PRICE + MAX_FEE

    await till.budget.pause(now=1)  # a pause neither forgets it nor sends it anew
    assert await till.purse().pay(bill, deadline_seconds=1) == PaymentInFlight(bill.payment_hash)
    assert await till.budget.committed() == PRICE + MAX_FEE

    await till.wallet.clear_faults(deliver=True)
    assert isinstance(await till.purse().pay(bill, deadline_seconds=1), PaymentSettled)
    assert await till.budget.committed() == PRICE + FEE


async def test_an_orders_invoice_is_left_to_its_order(till: Till) -> None:
    bill = await till.bill()
    await till.budget.reserve(
        bill.payment_hash, Purpose(JOB), amount=PRICE, fee=MAX_FEE, limits={}, now=1
    )

    with pytest.raises(OverBudget, match="belongs to another order"):
        await till.purse().pay(bill, deadline_seconds=SECONDS)
    assert await till.paid() == 0
    assert await till.budget.committed() == PRICE + MAX_FEE, "its reservation is not ours to touch"


async def test_an_invoice_that_another_process_is_paying_is_left_to_it(till: Till) -> None:
    bill = await till.bill()
    with till.home.lock(f"pay-{bill.payment_hash[:16]}"):
        with pytest.raises(InUse):
            await till.purse().pay(bill, deadline_seconds=SECONDS)
        await till.budget.reserve(
            bill.payment_hash, Purpose(), amount=PRICE, fee=MAX_FEE, limits={}, now=1
        )
        await till.purse().settle_leftovers()
        assert await till.budget.committed() == PRICE + MAX_FEE
    assert await till.paid() == 0


@define
class Deaf:
    """A wallet whose answers are lost; `pay` happens all the same if `reaches`."""

    wallet: LedgerWallet
    reaches: bool
    recalls: bool
    asked: int = 0

    async def pay(self, *args: Any, **kwargs: Any) -> Any:
        if self.reaches:
            await self.wallet.pay(*args, **kwargs)
        raise WalletUnavailable("lost")

    async def payment(self, *args: Any) -> Any:
        self.asked += 1
        if self.asked > 1 and not self.recalls:
            raise WalletUnavailable("lost")
        return await self.wallet.payment(*args)


async def test_a_lost_answer_is_asked_for_once_more(till: Till) -> None:
    bill, deaf = await till.bill(), Deaf(till.wallet, reaches=True, recalls=True)

    result = await till.purse(deaf).pay(bill, deadline_seconds=SECONDS)
    assert isinstance(result, PaymentSettled)
    assert await till.budget.committed() == PRICE + FEE


async def test_what_never_reached_the_wallet_is_given_back(till: Till) -> None:
    bill, deaf = await till.bill(), Deaf(till.wallet, reaches=False, recalls=True)

    with pytest.raises(WalletUnavailable):
        await till.purse(deaf).pay(bill, deadline_seconds=SECONDS)
    assert await till.budget.committed() == 0


@pytest.mark.parametrize("reaches", [True, False])
async def test_what_nobody_can_tell_is_in_flight(till: Till, reaches: bool) -> None:
    bill, deaf = await till.bill(), Deaf(till.wallet, reaches=reaches, recalls=False)

    result = await till.purse(deaf).pay(bill, deadline_seconds=SECONDS)
    assert result == PaymentInFlight(bill.payment_hash)
    assert await till.budget.committed() == PRICE + MAX_FEE


@define
class Saying:
    """A wallet that answers `pay` with one thing."""

    says: Any

    async def pay(self, *_: Any, **__: Any) -> Any:
        await trio.lowlevel.checkpoint()
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    async def payment(self, *_: Any) -> None:
        await trio.lowlevel.checkpoint()


async def test_a_success_without_its_proof_is_in_flight(till: Till) -> None:
    bill = await till.bill()
    lies = Saying(PaymentSettled(bill.payment_hash, Preimage("00" * 32), PRICE, FEE))

    result = await till.purse(lies).pay(bill, deadline_seconds=SECONDS)
    assert result == PaymentInFlight(bill.payment_hash)
    assert await till.budget.committed() == PRICE + MAX_FEE


async def test_an_invoice_that_the_wallet_cannot_read_costs_nothing(till: Till) -> None:
    bill, refuses = await till.bill(), Saying(BadInvoice("checksum"))

    with pytest.raises(BadInvoice):
        await till.purse(refuses).pay(bill, deadline_seconds=SECONDS)
    assert await till.budget.committed() == 0


@pytest.mark.parametrize(
    ("fault", "dispatched", "kept"),
    [
        (None, False, 0),
        (None, True, PRICE + FEE),
        (Fault(FaultKind.FAIL), True, 0),
        (Fault(FaultKind.STUCK), True, PRICE + MAX_FEE),
    ],
    ids=["never begun", "settled", "failed", "in flight"],
)
async def test_what_a_killed_process_left_reserved_is_settled_by_what_the_wallet_says(
    till: Till, fault: Fault | None, dispatched: bool, kept: int
) -> None:
    bill = await till.bill()
    ours = {"amount": PRICE, "fee": MAX_FEE, "limits": {}, "now": 1}
    reserve: Callable[..., Any] = till.budget.reserve
    await reserve(bill.payment_hash, Purpose(), **ours)
    if fault is not None:
        await till.wallet.inject(fault)
    if dispatched:
        await till.wallet.pay(bill.bolt11, max_fee=MAX_FEE, deadline_seconds=1)

    for _ in range(2):
        await till.purse().settle_leftovers()
        assert await till.budget.committed() == kept


async def test_what_others_have_reserved_is_not_settled_for_them(till: Till) -> None:
    bill = await till.bill()
    await till.budget.reserve(
        bill.payment_hash, Purpose(JOB), amount=PRICE, fee=MAX_FEE, limits={}, now=1
    )

    await till.purse().settle_leftovers()
    assert await till.budget.committed() == PRICE + MAX_FEE


async def test_a_wallet_that_does_not_answer_leaves_what_is_reserved(till: Till) -> None:
    bill, deaf = await till.bill(), Deaf(till.wallet, reaches=False, recalls=False, asked=1)
    await till.budget.reserve(
        bill.payment_hash, Purpose(), amount=PRICE, fee=MAX_FEE, limits={}, now=1
    )

    await till.purse(deaf).settle_leftovers()
    assert await till.budget.committed() == PRICE + MAX_FEE
