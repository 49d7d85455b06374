"""Each payment hash is paid once, and what the wallet says is what is told."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from pylon.adapters.memory.budget import MemoryBudget
from pylon.adapters.memory.records import MemoryRecords
from pylon.core.order_machine import (
    LookUp,
    News,
    Pay,
    PaymentRefused,
    PaymentSucceeded,
    PaymentUncertain,
)
from pylon.core.order_mail import AboutOrder, OrderMail
from pylon.errors import BadInvoice, WalletUnavailable
from pylon.model.budget import Purpose
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.money import Msat
from pylon.model.order import Order, OrderState, Withdrawn
from pylon.model.wallet import (
    PaymentFailed,
    PaymentInFlight,
    PaymentResult,
    PaymentSettled,
)
from pylon.ports.channels import Hint
from pylon.services.payer import PAY_SECONDS, Payer
from tests.adapters.stores.samples import order
from tests.market.actors import step, working

ORDER = order(1)
SECRET = Preimage("00" * 32)
HASH = PaymentHash("66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925")
SETTLED = PaymentSettled(HASH, SECRET, Msat(12_000), Msat(101))


class Purse:
    """A wallet whose next words are given."""

    def __init__(self, says: PaymentResult | Exception | None) -> None:
        self.says = says
        self.paid: list[tuple[str, int]] = []

    async def pay(self, bolt11: str, *, max_fee: int, deadline_seconds: float) -> Any:
        assert deadline_seconds == PAY_SECONDS
        await trio.lowlevel.checkpoint()
        self.paid.append((bolt11, max_fee))
        return self._say()

    async def payment(self, payment_hash: PaymentHash) -> Any:
        await trio.lowlevel.checkpoint()
        assert payment_hash == HASH
        return self._say()

    def _say(self) -> PaymentResult | None:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


async def told(purse: Purse, act: Pay | LookUp, budget: MemoryBudget | None = None) -> News:
    """Return the news that comes of an act."""
    records: MemoryRecords[Order, OrderState] = MemoryRecords()
    await records.save([step(ORDER, Withdrawn(), act, begins=True)])
    mail_in, mail = trio.open_memory_channel[OrderMail](9)
    wallet: Any = purse  # which only pays
    payer = Payer(records, {ORDER.id}, wallet, budget or await set_aside(), Hint(), mail_in)
    async with working(payer.run):
        news = await mail.receive()
    assert isinstance(news, AboutOrder)
    assert (news.order, news.done) == (ORDER.id, (1,))
    return news.news


async def set_aside() -> MemoryBudget:
    """Make a budget with what the payment needs set aside."""
    budget, purpose = MemoryBudget(), Purpose(ORDER.id)
    amount, fee = Msat(12_000), Msat(5_000)
    assert await budget.reserve(HASH, purpose, amount=amount, fee=fee, limits={}, now=0) is None
    return budget


PAY, LOOK = Pay("lnbcrt1", HASH, Msat(5_000)), LookUp(HASH)


@pytest.mark.parametrize("act", [PAY, LOOK], ids=["pay", "look up"])
@pytest.mark.parametrize(
    ("says", "news"),
    [
        (SETTLED, PaymentSucceeded(HASH, SECRET, Msat(101))),
        (PaymentFailed(HASH, "no route"), PaymentRefused(HASH, "no route")),
        (PaymentInFlight(HASH), PaymentUncertain(HASH)),
        (WalletUnavailable("away"), PaymentUncertain(HASH)),
        (
            PaymentSettled(HASH, Preimage("11" * 32), Msat(12_000), Msat(0)),
            PaymentUncertain(HASH),
        ),
    ],
    ids=["settled", "failed", "in flight", "no answer", "a proof that proves nothing"],
)
async def test_what_the_wallet_says_is_told(
    autojump_clock: MockClock, act: Pay | LookUp, says: Any, news: News
) -> None:
    assert await told(Purse(says), act) == news


async def test_an_invoice_that_is_none_is_certainly_not_paid(autojump_clock: MockClock) -> None:
    assert await told(Purse(BadInvoice("checksum")), PAY) == PaymentRefused(HASH, "checksum")


async def test_a_payment_that_never_began_is_certainly_not_paid(autojump_clock: MockClock) -> None:
    assert isinstance(await told(Purse(None), LOOK), PaymentRefused)


async def test_the_wallet_is_told_the_most_that_fees_may_be(autojump_clock: MockClock) -> None:
    purse = Purse(SETTLED)
    await told(purse, PAY)
    assert purse.paid == [("lnbcrt1", 5_000)]


async def test_nothing_is_dispatched_once_spending_is_paused(autojump_clock: MockClock) -> None:
    budget, purse = await set_aside(), Purse(None)
    await budget.pause(now=1)

    news = await told(purse, PAY, budget)

    assert isinstance(news, PaymentRefused)
    assert "paused" in news.reason
    assert purse.paid == []


@pytest.mark.parametrize(
    ("says", "news"),
    [
        (SETTLED, PaymentSucceeded(HASH, SECRET, Msat(101))),
        (PaymentInFlight(HASH), PaymentUncertain(HASH)),
        (WalletUnavailable("away"), PaymentUncertain(HASH)),
    ],
    ids=["settled", "in flight", "no answer"],
)
async def test_a_payment_begun_before_a_pause_is_looked_up_and_not_thought_failed(
    autojump_clock: MockClock, says: Any, news: News
) -> None:
    """The process died after the dispatch, and was started again while spending is paused."""
    budget, purse = await set_aside(), Purse(says)
    await budget.pause(now=1)

    assert await told(purse, PAY, budget) == news
    assert purse.paid == []


async def test_a_payment_without_a_reservation_is_not_dispatched(autojump_clock: MockClock) -> None:
    budget, purse = await set_aside(), Purse(None)
    await budget.release(HASH)

    assert isinstance(await told(purse, PAY, budget), PaymentRefused)
    assert purse.paid == []


async def test_spending_goes_on_after_a_pause(autojump_clock: MockClock) -> None:
    budget, purse = await set_aside(), Purse(SETTLED)
    await budget.pause(now=1)
    await budget.resume()

    assert isinstance(await told(purse, PAY, budget), PaymentSucceeded)
    assert len(purse.paid) == 1
