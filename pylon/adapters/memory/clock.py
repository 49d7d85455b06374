"""A clock for tests: it follows Trio's, and jumps when told to."""

import trio
from attrs import define

from pylon.adapters.clock import sleep_in_slices


@define
class MemoryClock:
    """A `Clock` that under MockClock is as deterministic as the test."""

    offset: float = 1_700_000_000.0  # unix seconds when Trio's clock shows zero

    def now(self) -> float:
        return self.offset + trio.current_time()

    async def sleep_until(self, when: float) -> None:
        await sleep_in_slices(when, self.now)

    def jump(self, seconds: float) -> None:
        """Set the wall clock ahead, or back, without any time passing for Trio."""
        self.offset += seconds
