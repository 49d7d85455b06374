"""Between what came in and what was counted nothing is left without a name."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.core.reconciliation import Jobs, Reconciliation, reconcile
from pylon.model.earning import Earning
from pylon.model.ids import EventId, JobId, PaymentHash, Preimage
from pylon.model.job import (
    Cancelled,
    Failed,
    JobState,
    Refund,
    Refunded,
    Refunding,
    Settled,
    Working,
)
from pylon.model.money import ZERO, Msat
from pylon.model.wallet import Direction, HistoryEntry
from tests.adapters.stores import samples

PRICE = Msat(12_000)
HASH = samples.payment_hash(1)
JOB = samples.job_id(1)


def came_in(
    hash_: PaymentHash | None = HASH,
    *,
    state: str = "settled",
    amount: int = PRICE,
    direction: Direction = Direction.INCOMING,
) -> HistoryEntry:
    return HistoryEntry(direction, state, Msat(amount), ZERO, hash_, "a job", samples.NOW)


def known(state: JobState) -> Jobs:
    return {HASH: (JOB, state)}


def words(found: Reconciliation) -> list[str]:
    return [difference.words for difference in found.differences]


def test_a_payment_that_was_counted_is_no_difference() -> None:
    found = reconcile([samples.earning(1)], [came_in()], {})

    assert (found.differences, found.holds) == ((), True)
    assert found.received == found.earned == PRICE


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ([], "knows of no such payment"),
        ([came_in(state="open")], "the wallet says open"),
        ([came_in(amount=11_000)], "another amount"),
        ([came_in(direction=Direction.OUTGOING)], "knows of no such payment"),
    ],
)
def test_an_earning_without_its_payment_is_wrong(history: list[HistoryEntry], said: str) -> None:
    found = reconcile([samples.earning(1)], history, {})

    assert said in words(found)[0]
    assert not found.holds


@pytest.mark.parametrize(
    ("jobs", "said", "holds"),
    [
        ({}, "for no job", True),
        (known(Failed("why", HASH, PRICE)), "owed back", True),
        (known(Cancelled(paid=HASH, owed=PRICE)), "owed back", True),
        (known(Refunding("why", HASH, PRICE, Refund("", HASH, ZERO))), "being paid back", True),
        (known(Refunded("why", HASH, PRICE, HASH, Preimage("00" * 32))), "and paid back", True),
        (known(Working(samples.NOW, HASH)), "goes on", True),
        (known(Settled(EventId("ef" * 32), HASH)), "not counted yet", False),
    ],
)
def test_a_payment_that_was_not_counted_says_why(jobs: Jobs, said: str, *, holds: bool) -> None:
    found = reconcile([], [came_in(), came_in(None, direction=Direction.FUNDING)], jobs)

    assert said in words(found)[0]
    assert len(found.differences) == 1
    assert found.holds is holds


HASHES = st.integers(1, 6).map(samples.payment_hash)
AMOUNTS = st.integers(1, 50_000)


def _earned(amounts: Mapping[PaymentHash, int]) -> list[Earning]:
    return [
        Earning(
            hash_, JobId(EventId("ab" * 32)), samples.earning(1).customer, 5050, "x", Msat(a), 0
        )
        for hash_, a in amounts.items()
    ]


@given(
    st.dictionaries(HASHES, AMOUNTS),
    st.dictionaries(HASHES, st.tuples(AMOUNTS, st.sampled_from(["settled", "open", "expired"]))),
)
def test_the_differences_add_up_to_what_lies_between_the_sums(
    earned: Mapping[PaymentHash, int], incoming: Mapping[PaymentHash, tuple[int, str]]
) -> None:
    history = [came_in(hash_, amount=a, state=state) for hash_, (a, state) in incoming.items()]

    found = reconcile(_earned(earned), history, {})

    between = sum(d.received - d.earned for d in found.differences)
    assert between == found.received - found.earned
    assert found.earned == sum(earned.values())
