"""What is owed is paid back once: a refund is never believed lost, and never paid twice."""

from typing import Any

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from pylon.adapters.memory.budget import MemoryBudget
from pylon.adapters.memory.clock import MemoryClock
from pylon.adapters.memory.records import MemoryRecords
from pylon.core.job_machine import (
    LookUpRefund,
    News,
    PayRefund,
    RefundPaid,
    RefundRefused,
    RefundUncertain,
)
from pylon.core.mail import AboutJob, Mail
from pylon.errors import BadInvoice, WalletUnavailable
from pylon.model.budget import NODE, Purpose, Scope
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.job import Job, JobState, Refund, Refunding
from pylon.model.money import ZERO, Msat
from pylon.model.wallet import PaymentFailed, PaymentInFlight, PaymentResult, PaymentSettled
from pylon.ports.channels import Hint
from pylon.services.refunder import PAY_SECONDS, REFUNDS, Refunder
from tests.market.actors import a_paid_job, begun, working
from tests.nostr import NOW

JOB = a_paid_job()
SECRET = Preimage("00" * 32)
HASH = PaymentHash("66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925")
REFUND = Refund("lnbcrt1", HASH, Msat(5_000), expires_at=NOW + 86_400)
PAY, LOOK = PayRefund(REFUND, Msat(12_000)), LookUpRefund(HASH)
SETTLED = PaymentSettled(HASH, SECRET, Msat(12_000), Msat(101))
AWAY = WalletUnavailable("away")
Word = PaymentResult | Exception | None


class Purse:
    """A wallet whose words are given: when asked what became of the payment, and when it pays."""

    def __init__(self, known: Word, says: Word = SETTLED) -> None:
        self.known, self.says = known, says
        self.paid: list[tuple[str, int]] = []

    async def payment(self, payment_hash: PaymentHash) -> Any:
        await trio.lowlevel.checkpoint()
        assert payment_hash == HASH
        return _say(self.known)

    async def pay(self, bolt11: str, *, max_fee: int, deadline_seconds: float) -> Any:
        assert deadline_seconds == PAY_SECONDS
        await trio.lowlevel.checkpoint()
        self.paid.append((bolt11, max_fee))
        return _say(self.says)


def _say(word: Word) -> PaymentResult | None:
    if isinstance(word, Exception):
        raise word
    return word


async def told(
    purse: Any, act: PayRefund | LookUpRefund, budget: MemoryBudget, *, within: float = 100
) -> News | None:
    """Return the news that comes of an act; None if none comes."""
    records: MemoryRecords[Job, JobState] = MemoryRecords()
    refunding = Refunding("gone", PaymentHash("ab" * 32), Msat(12_000), REFUND)
    await records.save([begun(JOB, refunding, act)])
    mail_in, mail = trio.open_memory_channel[Mail](9)
    clock = MemoryClock(NOW - trio.current_time())
    refunder = Refunder(records, purse, budget, clock, Hint(), mail_in)
    async with working(refunder.run):
        with trio.move_on_after(within):
            news = await mail.receive()
            assert isinstance(news, AboutJob)
            assert (news.job, news.done) == (JOB.id, (1,))
            return news.news
    return None


async def committed(budget: MemoryBudget, scope: Scope = REFUNDS) -> tuple[int, int]:
    """Return what is spent and set aside in a scope."""
    used = await budget.usage(Purpose(scopes=(scope,)), now=NOW)
    total = used[scope][next(span for span in used[scope] if span == "total")]
    return total.spent, total.reserved


@pytest.mark.parametrize(
    ("says", "news", "books"),
    [
        (SETTLED, RefundPaid(HASH, SECRET), (12_101, 0)),
        (PaymentFailed(HASH, "no route"), RefundRefused(HASH), (0, 0)),
        (BadInvoice("checksum"), RefundRefused(HASH), (0, 0)),
        (PaymentInFlight(HASH), RefundUncertain(HASH), (0, 17_000)),
        (AWAY, RefundUncertain(HASH), (0, 17_000)),
        (evolve(SETTLED, preimage=Preimage("11" * 32)), RefundUncertain(HASH), (0, 17_000)),
    ],
    ids=["paid", "failed", "no invoice", "in flight", "no answer", "a proof of nothing"],
)
async def test_what_came_of_a_refund_is_told_and_booked(
    autojump_clock: MockClock, says: Word, news: News, books: tuple[int, int]
) -> None:
    budget, purse = MemoryBudget(), Purse(None, says)
    assert await told(purse, PAY, budget) == news
    assert purse.paid == [("lnbcrt1", 5_000)]
    assert await committed(budget) == books
    assert await committed(budget, NODE) == (0, 0), "what is given back was never ours to spend"


@pytest.mark.parametrize(
    ("known", "news"),
    [
        (SETTLED, RefundPaid(HASH, SECRET)),
        (PaymentInFlight(HASH), RefundUncertain(HASH)),
        (AWAY, RefundUncertain(HASH)),
        (evolve(SETTLED, preimage=Preimage("11" * 32)), RefundUncertain(HASH)),
    ],
    ids=["paid", "in flight", "no answer", "a proof of nothing"],
)
async def test_a_refund_begun_in_an_earlier_life_is_not_paid_again(
    autojump_clock: MockClock, known: Word, news: News
) -> None:
    purse = Purse(known)
    assert await told(purse, PAY, MemoryBudget()) == news
    assert purse.paid == []


async def test_a_refund_that_certainly_failed_is_tried_again(autojump_clock: MockClock) -> None:
    purse = Purse(PaymentFailed(HASH, "no route"))
    assert await told(purse, PAY, MemoryBudget()) == RefundPaid(HASH, SECRET)
    assert len(purse.paid) == 1


@pytest.mark.parametrize(
    ("known", "news", "books"),
    [
        (SETTLED, RefundPaid(HASH, SECRET), (12_101, 0)),
        (PaymentFailed(HASH, "no route"), RefundRefused(HASH), (0, 0)),
        (None, RefundRefused(HASH), (0, 0)),
        (PaymentInFlight(HASH), RefundUncertain(HASH), (0, 17_000)),
        (AWAY, RefundUncertain(HASH), (0, 17_000)),
    ],
    ids=["paid", "failed", "never begun", "in flight", "no answer"],
)
async def test_a_refund_of_unknown_outcome_is_resolved_by_its_hash(
    autojump_clock: MockClock, known: Word, news: News, books: tuple[int, int]
) -> None:
    budget, purse = MemoryBudget(), Purse(None, AWAY)
    await told(purse, PAY, budget)
    purse.known = known
    assert await told(purse, LOOK, budget) == news
    assert len(purse.paid) == 1
    assert await committed(budget) == books


@pytest.mark.parametrize("scope", [NODE, REFUNDS])
async def test_while_spending_is_paused_a_refund_waits(
    autojump_clock: MockClock, scope: Scope
) -> None:
    budget, purse = MemoryBudget(), Purse(None)
    await budget.pause(now=NOW, scope=scope)
    assert await told(purse, PAY, budget, within=600) is None
    assert purse.paid == []
    await budget.resume(scope=scope)
    assert await told(purse, PAY, budget) == RefundPaid(HASH, SECRET)


async def test_a_refund_begun_before_a_pause_is_looked_up_during_it(
    autojump_clock: MockClock,
) -> None:
    budget, purse = MemoryBudget(), Purse(SETTLED)
    await budget.pause(now=NOW)
    assert await told(purse, PAY, budget) == RefundPaid(HASH, SECRET)
    assert purse.paid == []


async def test_a_pause_in_the_midst_of_setting_aside_is_obeyed(autojump_clock: MockClock) -> None:
    class Sudden(MemoryBudget):
        async def reserve(self, *args: Any, **how: Any) -> str | None:
            refusal: str | None = await super().reserve(*args, **how)
            await self.pause(now=NOW)
            return refusal

    budget, purse = Sudden(), Purse(None)
    assert await told(purse, PAY, budget, within=600) is None
    assert purse.paid == []


async def test_an_invoice_that_we_have_paid_for_something_else_is_refused(
    autojump_clock: MockClock,
) -> None:
    budget, purse = MemoryBudget(), Purse(None)
    bought = Purpose(a_paid_job(2).id)
    amount = Msat(12_000)
    assert await budget.reserve(HASH, bought, amount=amount, fee=ZERO, limits={}, now=NOW) is None
    assert await told(purse, PAY, budget) == RefundRefused(HASH)
    assert purse.paid == []
