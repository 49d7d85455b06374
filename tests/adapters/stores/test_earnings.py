"""What every `Earnings` promises, asked of each."""

from pylon.app.store import Store
from pylon.model.earning import EarningsTotal
from pylon.model.money import Msat
from tests.adapters.stores.samples import NOW, act, begin, earning


async def test_nothing_earned_is_zero(store: Store) -> None:
    assert await store.earnings.total() == EarningsTotal(Msat(0), 0)
    assert await store.earnings.recent(limit=5) == []


async def test_a_payment_hash_counts_once(store: Store) -> None:
    await store.earnings.credit(earning(1))
    await store.earnings.credit(earning(1, amount=99_000, at=NOW + 9))

    assert await store.earnings.total() == EarningsTotal(Msat(12_000), 1)
    assert await store.earnings.recent(limit=5) == [earning(1)]


async def test_earnings_add_up_since_a_time(store: Store) -> None:
    for n in (1, 2, 3):
        await store.earnings.credit(earning(n, at=NOW + n, amount=n))

    assert await store.earnings.total(since=NOW + 2) == EarningsTotal(Msat(5), 2)
    assert await store.earnings.total() == EarningsTotal(Msat(6), 3)


async def test_the_newest_earnings_come_first(store: Store) -> None:
    for n, at in ((1, NOW + 1), (2, NOW), (3, NOW + 1), (4, NOW - 1)):
        await store.earnings.credit(earning(n, at=at))

    assert await store.earnings.recent(limit=3) == [
        earning(3, at=NOW + 1),
        earning(1, at=NOW + 1),
        earning(2, at=NOW),
    ]


async def test_counting_takes_the_row_that_asked_out_of_the_jobs_outbox(store: Store) -> None:
    await store.jobs.save([begin(1, acts=(act("accountant"), act("accountant")))])
    first, second = await store.jobs.outbox("accountant")
    await store.earnings.credit(earning(1), done=(first.seq,))
    assert await store.jobs.outbox("accountant") == [second]

    await store.earnings.credit(earning(1), done=(second.seq,))  # counted already, yet answered
    assert await store.jobs.outbox("accountant") == []
    assert (await store.earnings.total()).jobs == 1
