"""What a benchmark reports: how much, how near to the limit measured beside it, and to its target."""

import time
import timeit
from collections.abc import Callable, Iterable

from attrs import frozen


@frozen
class Row:
    """One measured line.

    `limit` is the rate of what cannot be avoided, in the same run; `target` the rate to be reached.
    """

    name: str
    per_second: float
    includes: str
    limit: float | None = None
    target: float | None = None


@frozen
class Size:
    """One measured line of which less is better: a delay, a memory. `target` is the most allowed."""

    name: str
    amount: float
    unit: str
    includes: str
    target: float | None = None


def rate(work: Callable[[], object], *, seconds: float = 0.2, rounds: int = 5) -> float:
    """Return how often a second of CPU time `work` can be done: the best of some rounds."""
    timer = timeit.Timer(work, timer=time.process_time)
    once = max(timer.timeit(number=20) / 20, 1e-9)
    number = max(1, int(seconds / rounds / once))
    return number / min(timer.repeat(repeat=rounds, number=number))


def show(rows: Iterable[Row | Size]) -> None:
    """Print rows as an aligned table."""
    for row in rows:
        print(_rate(row) if isinstance(row, Row) else _size(row), flush=True)


def _rate(row: Row) -> str:
    share = f"{row.per_second / row.limit:4.0%} of limit" if row.limit else ""
    target = _target("≥", row.target, missed=row.per_second < (row.target or 0))
    micros = f"{1e6 / row.per_second:,.1f} µs"
    return (
        f"{row.name:<20}{row.per_second:>10,.0f}/s {micros:>11}"
        f"  {share:<13} {target:<18} {row.includes}"
    )


def _size(row: Size) -> str:
    target = _target("≤", row.target, missed=row.amount > (row.target or row.amount))
    return f"{row.name:<20}{row.amount:>10,.1f} {row.unit:<27} {target:<18} {row.includes}"


def _target(sign: str, target: float | None, *, missed: bool) -> str:
    if target is None:
        return ""
    return f"{sign} {target:,.0f} {'MISSED' if missed else 'met'}"
