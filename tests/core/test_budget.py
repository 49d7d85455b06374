"""What may be spent, decided without a store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.core.budget import (
    SECONDS_PER_DAY,
    Caps,
    Committed,
    Entry,
    Standing,
    day_start,
    excess,
    objection,
)
from pylon.model.ids import EventId, JobId
from pylon.model.money import Msat

OURS, OTHER = JobId(EventId("1" * 64)), JobId(EventId("2" * 64))
AMOUNTS = st.integers(0, 100).map(Msat)


def entry(standing: Standing, order: JobId | None = OURS) -> Entry:
    return Entry(order, standing, Msat(10), Msat(1), at=0)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (entry(Standing.SPENT), "paid before"),
        (entry(Standing.SPENT, None), "paid before"),
        (entry(Standing.SPENT, OTHER), "paid before"),
        (entry(Standing.RESERVED, OTHER), "another order"),
        (entry(Standing.RELEASED, OTHER), "another order"),
    ],
)
def test_a_hash_with_a_past_is_refused_with_the_reason(known: Entry, words: str) -> None:
    refusal = objection(known, OURS, amount=Msat(10), fee=Msat(1))

    assert refusal is not None
    assert words in refusal


@pytest.mark.parametrize(("amount", "fee"), [(9, 1), (11, 1), (10, 0), (10, 2)])
def test_a_reservation_stands_at_its_own_amount_alone(amount: int, fee: int) -> None:
    reserved, released = entry(Standing.RESERVED), entry(Standing.RELEASED)

    assert objection(reserved, OURS, amount=Msat(10), fee=Msat(1)) is None
    assert objection(reserved, OURS, amount=Msat(amount), fee=Msat(fee)) is not None
    assert objection(released, OURS, amount=Msat(amount), fee=Msat(fee)) is None


def test_what_is_committed_includes_the_fee() -> None:
    assert entry(Standing.RESERVED).committed == 11


@given(
    caps=st.builds(Caps, *[st.none() | AMOUNTS] * 3),
    used=st.builds(Committed, AMOUNTS, AMOUNTS, AMOUNTS),
    need=AMOUNTS,
)
def test_need_is_refused_exactly_when_it_breaks_a_cap(
    caps: Caps, used: Committed, need: Msat
) -> None:
    broken = [
        cap
        for cap, have in zip(
            (caps.per_job, caps.per_day, caps.total), (used.job, used.day, used.total), strict=True
        )
        if cap is not None and have + need > cap
    ]
    assert (excess(caps, used, need) is not None) == bool(broken)


@given(st.integers(0, 2**40))
def test_a_day_begins_at_midnight_utc(now: int) -> None:
    start = day_start(now)

    assert start % SECONDS_PER_DAY == 0
    assert start <= now < start + SECONDS_PER_DAY
