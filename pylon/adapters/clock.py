"""The system's clock."""

import time
from collections.abc import Callable

import trio
from attrs import frozen

SLICE_SECONDS = 5.0


@frozen
class SystemClock:
    """A `Clock` that tells what the operating system tells."""

    def now(self) -> float:
        return time.time()

    async def sleep_until(self, when: float) -> None:
        await sleep_in_slices(when, time.time)


async def sleep_in_slices(when: float, now: Callable[[], float]) -> None:
    """Sleep until `now()` is at least `when`, looking again every few seconds.

    The scheduler's clock neither jumps when the wall clock is set nor counts the time a laptop
    lies asleep, so one long sleep would end at the wrong moment: this one is at most
    `SLICE_SECONDS` late.
    """
    await trio.lowlevel.checkpoint()
    while (left := when - now()) > 0:  # noqa: ASYNC110 - no event tells that a clock was set
        await trio.sleep(min(left, SLICE_SECONDS))
