"""Delays double, stop at a ceiling, and scatter."""

from hypothesis import given
from hypothesis import strategies as st

from pylon.core.backoff import Backoff

FRACTIONS = st.floats(0, 1, exclude_max=True)


def test_delays_double_up_to_the_ceiling() -> None:
    backoff = Backoff(first=2, ceiling=10)

    assert [backoff.after(n, 0.0) for n in (1, 2, 3, 4, 5)] == [1, 2, 4, 5, 5]


@given(st.integers(1, 10**9), FRACTIONS)
def test_every_delay_is_between_half_and_all_of_the_whole(failures: int, fraction: float) -> None:
    backoff = Backoff(first=1, ceiling=60)
    whole = 2 * backoff.after(failures, 0.0)

    assert whole / 2 <= backoff.after(failures, fraction) <= whole <= 60


def test_the_fraction_chooses_within_the_free_half() -> None:
    assert Backoff(first=8, ceiling=60).after(1, 0.5) == 6
