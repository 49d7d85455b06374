"""The actor for which time is news: it tells a processor which machines have come due."""

from collections.abc import Callable, Container
from typing import Any, Generic, TypeVar

import trio
from attrs import frozen

from pylon.model.ids import JobId
from pylon.ports.channels import Hint
from pylon.ports.clock import Clock
from pylon.ports.records import Record, Records

M = TypeVar("M")

EVER = 1 << 53  # unix seconds, far ahead
RETRY_SECONDS = 1  # a machine that stays due (its news is on the way) is not told again sooner


@frozen
class Some:
    """The machines this process drives, and how to tell when time is news for one of them."""

    ids: Container[JobId]
    due: Callable[[Record[Any, Any]], int | None]


@frozen
class Deadlines(Generic[M]):
    """Sleep until the next due time; look again whenever it may have changed."""

    records: Records[Any, Any]
    clock: Clock
    changed: Hint
    mail: trio.MemorySendChannel[M]
    time_passed: Callable[[JobId], M]
    mine: Some | None = None  # None: all of them

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Tell of due machines until the processor has gone."""
        task_status.started()
        while True:
            await self.changed.wait_until(await self._next(), self.clock)
            now = int(self.clock.now())
            told = await self._due(now)
            for job_id in told:
                await self.mail.send(self.time_passed(job_id))
            if told:
                await self.clock.sleep_until(now + RETRY_SECONDS)

    async def _due(self, now: int) -> list[JobId]:
        due = await self.records.due(now)
        return due if self.mine is None else [id_ for id_ in due if id_ in self.mine.ids]

    async def _next(self) -> int | None:
        """Say when time is news next. What others drive, and have left overdue, does not count."""
        if self.mine is None:
            return await self.records.next_due()
        records = await self.records.load(await self._due(EVER))
        times = map(self.mine.due, records.values())
        return min((when for when in times if when is not None), default=None)
