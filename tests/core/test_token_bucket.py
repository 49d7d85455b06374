"""A peer gets its share and no more."""

from hypothesis import given
from hypothesis import strategies as st

from pylon.core.token_bucket import TokenBucket, draw


def test_a_bucket_refills_with_time_up_to_its_burst() -> None:
    empty = TokenBucket(0, at=100)
    assert draw(empty, 0, now=103, rate=2, burst=10) == TokenBucket(6, at=103)
    assert draw(empty, 0, now=200, rate=2, burst=10) == TokenBucket(10, at=200)


def test_what_is_taken_is_owed_below_zero() -> None:
    assert draw(TokenBucket(1, at=0), 3, now=0, rate=1, burst=5) == TokenBucket(-2, at=0)


def test_a_clock_set_back_refills_nothing_and_stops_nothing() -> None:
    back = draw(TokenBucket(3, at=100), 1, now=50, rate=2, burst=10)
    assert back == TokenBucket(2, at=50)
    assert draw(back, 0, now=51, rate=2, burst=10) == TokenBucket(4, at=51)


@given(st.lists(st.floats(0, 10), max_size=50), st.floats(1, 100), st.floats(1, 100))
def test_nobody_takes_more_than_burst_and_rate_allow(
    pauses: list[float], rate: float, burst: float
) -> None:
    bucket, now, taken = TokenBucket(burst, 0), 0.0, 0
    for pause in pauses:
        now += pause
        after = draw(bucket, 1, now=now, rate=rate, burst=burst)
        if after.level >= 0:
            bucket, taken = after, taken + 1
    assert taken <= burst + rate * now + 1e-6
