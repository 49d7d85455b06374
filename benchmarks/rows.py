"""What a benchmark reports: how often a second, and how near to the limit measured beside it."""

import timeit
from collections.abc import Callable, Iterable

from attrs import frozen


@frozen
class Row:
    """One measured line. `limit` is the rate of what cannot be avoided, in the same run."""

    name: str
    per_second: float
    includes: str
    limit: float | None = None


def rate(work: Callable[[], object], *, seconds: float = 0.2, rounds: int = 5) -> float:
    """Return how often a second `work` can be done: the best of some rounds."""
    timer = timeit.Timer(work)
    once = max(timer.timeit(number=20) / 20, 1e-9)
    number = max(1, int(seconds / rounds / once))
    return number / min(timer.repeat(repeat=rounds, number=number))


def show(rows: Iterable[Row]) -> None:
    """Print rows as an aligned table."""
    for row in rows:
        share = f"{row.per_second / row.limit:4.0%} of the limit" if row.limit else ""
        micros = 1e6 / row.per_second
        print(
            f"{row.name:<28}{row.per_second:>11,.0f}/s {micros:>8.1f} µs  {share:<18} {row.includes}"
        )
