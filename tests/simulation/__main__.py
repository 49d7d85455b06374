"""`just sim [SEED] [JOBS]`: simulate a market from a seed, or as many as so many jobs need.

One run has up to 100 jobs; more are shared out over the seeds that follow.
"""

import os
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress

from tests.nostr import NOW
from tests.simulation.plan import draw
from tests.simulation.report import Report, report
from tests.simulation.run import run

JOBS_A_RUN = 100


def main(words: list[str]) -> int:
    """Simulate; the exit status says whether every invariant held."""
    seed = int(words[0]) if words else random.SystemRandom().randrange(1_000_000)
    jobs = int(words[1]) if len(words) > 1 else JOBS_A_RUN
    began, total, failures = time.perf_counter(), Report(), 0
    shares = list(share(seed, jobs))
    workers = min(len(shares), os.cpu_count() or 1)
    with suppress(KeyboardInterrupt), ProcessPoolExecutor(workers) as pool:
        for (number, size), found in zip(shares, pool.map(simulate, shares), strict=True):
            if isinstance(found, str):
                failures += 1
                print(f"FAILED  just sim {number} {size}\n{found}", flush=True)  # noqa: T201
            else:
                total += found
                print(f"seed {number}: {size} jobs, all hold; trace {found.digest[:16]}")  # noqa: T201
    seconds = time.perf_counter() - began
    print(total.table())  # noqa: T201
    print(f"{total.jobs / seconds:,.0f} jobs/s in {seconds:,.0f} s on {os.cpu_count()} cores")  # noqa: T201
    return 1 if failures else 0


def share(seed: int, jobs: int) -> Iterator[tuple[int, int]]:
    """Share jobs out over seeds."""
    for offset, done in enumerate(range(0, jobs, JOBS_A_RUN)):
        yield seed + offset, min(JOBS_A_RUN, jobs - done)


def simulate(share_: tuple[int, int]) -> Report | str:
    """Run one seed; return its numbers, or what does not hold."""
    seed, jobs = share_
    began = time.perf_counter()
    try:
        market = run(draw(seed, jobs))
    except Exception as error:  # noqa: BLE001 - whatever it is, the seed must be told
        return "\n".join(_reasons(error))
    return report(market, seconds=time.perf_counter() - began, began_at=NOW)


def _reasons(error: BaseException) -> Iterator[str]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _reasons(inner)
    else:
        yield f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
