"""The budget is reserved, spent and given back, whatever is repeated or cut off."""

import trio
from trio.testing import MockClock

from pylon.adapters.memory.budget import MemoryBudget
from pylon.adapters.memory.clock import MemoryClock
from pylon.adapters.memory.payees import MemoryPayees
from pylon.adapters.memory.records import MemoryRecords
from pylon.core.order_machine import BudgetExceeded, BudgetReserved, Release, Reserve, Spend
from pylon.core.order_mail import AboutOrder, OrderMail
from pylon.model.ids import JobId, PaymentHash
from pylon.model.money import Msat
from pylon.model.order import Order, OrderState, Withdrawn
from pylon.ports.budget import NODE, Caps, Purpose
from pylon.ports.channels import Hint
from pylon.services.treasurer import Treasurer
from tests.adapters.stores.samples import order
from tests.market.actors import step, working

ORDER = order(1)
HASH, OTHER = PaymentHash("aa" * 32), PaymentHash("bb" * 32)
RESERVE = Reserve(HASH, Msat(12_000), Msat(5_000))


class Books:
    def __init__(self, caps: Caps | None = None) -> None:
        self.records: MemoryRecords[Order, OrderState] = MemoryRecords()
        self.budget, self.payees = MemoryBudget(), MemoryPayees()
        self.hint = Hint()
        self.mail_in, self.mail = trio.open_memory_channel[OrderMail](9)
        self.limits = {NODE: caps or Caps()}
        self.mine: set[JobId] = {ORDER.id}

    def treasurer(self) -> Treasurer:
        return Treasurer(
            self.records,
            self.mine,
            self.budget,
            self.limits,
            self.payees,
            MemoryClock(),
            self.hint,
            self.mail_in,
        )

    async def rows(self) -> list[str]:
        return [row.kind for row in await self.records.outbox("treasurer")]


async def test_a_reservation_is_made_and_reported(autojump_clock: MockClock) -> None:
    books = Books()
    await books.records.save([step(ORDER, Withdrawn(), RESERVE, begins=True)])
    async with working(books.treasurer().run):
        news = await books.mail.receive()
    assert news == AboutOrder(ORDER.id, BudgetReserved(HASH), (1,))
    assert await books.budget.committed() == 17_000


async def test_a_reservation_over_a_cap_is_reported_with_the_reason(
    autojump_clock: MockClock,
) -> None:
    books = Books(Caps(per_job=Msat(16_999)))
    await books.records.save([step(ORDER, Withdrawn(), RESERVE, begins=True)])
    async with working(books.treasurer().run):
        news = await books.mail.receive()
    assert isinstance(news, AboutOrder)
    assert isinstance(news.news, BudgetExceeded)
    assert "over the limit" in news.news.reason
    assert await books.budget.committed() == 0


async def test_what_was_spent_counts_instead_of_what_was_reserved(
    autojump_clock: MockClock,
) -> None:
    books = Books()
    spend = Spend(HASH, Msat(12_000), Msat(101))
    await books.records.save([step(ORDER, Withdrawn(), RESERVE, spend, begins=True)])
    async with working(books.treasurer().run):
        await books.mail.receive()
        await trio.sleep(1)
    assert await books.budget.committed() == 12_101
    assert await books.rows() == ["Reserve"], "whose news is on its way"


async def test_a_reservation_given_back_is_not_made_again_by_a_restart(
    autojump_clock: MockClock,
) -> None:
    """The order was called off while its budget was being reserved; then the process dies."""
    books = Books()
    other = Reserve(OTHER, Msat(1_000), Msat(0))
    await books.records.save([step(ORDER, Withdrawn(), RESERVE, other, Release(HASH), begins=True)])
    for _ in range(2):
        async with working(books.treasurer().run):
            await trio.sleep(10)
        assert await books.budget.committed() == 1_000
        assert await books.rows() == ["Reserve"], "the other one's"


async def test_what_another_order_has_set_aside_is_not_given_back(
    autojump_clock: MockClock,
) -> None:
    """A provider offers one invoice for two orders, and calls the second offer off at once.

    The first order is paying it: what is on its way must count until it has arrived or come back.
    """
    books = Books()
    await books.budget.reserve(
        HASH,
        Purpose(order(2).id),
        amount=RESERVE.amount,
        fee=RESERVE.fee,
        limits={},
        now=0,
    )
    await books.records.save([step(ORDER, Withdrawn(), RESERVE, Release(HASH), begins=True)])
    async with working(books.treasurer().run):
        await trio.sleep(10)
    assert await books.budget.committed() == 17_000
    assert await books.rows() == []


async def test_orders_of_other_processes_are_left_to_them(autojump_clock: MockClock) -> None:
    books = Books()
    books.mine.clear()
    await books.records.save([step(ORDER, Withdrawn(), RESERVE, begins=True)])
    async with working(books.treasurer().run):
        await trio.sleep(10)
        assert await books.budget.committed() == 0
        books.mine.add(ORDER.id)
        books.hint.poke()
        await books.mail.receive()
        assert await books.budget.committed() == 17_000
