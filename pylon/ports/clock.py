"""What services ask of time."""

from typing import Protocol


class Clock(Protocol):
    """Wall time. Under test it follows the test's own clock."""

    def now(self) -> float:
        """Return unix seconds."""
        ...

    async def sleep_until(self, when: float) -> None:
        """Wait until `now()` is at least `when`, also across clock jumps and suspends."""
        ...
