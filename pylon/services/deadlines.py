"""The actor for which time is news: it tells a processor which machines have come due."""

from collections.abc import Callable, Container
from typing import Any, Generic, TypeVar

import trio
from attrs import frozen

from pylon.model.ids import JobId
from pylon.ports.channels import Hint
from pylon.ports.clock import Clock
from pylon.ports.records import Records

M = TypeVar("M")

RETRY_SECONDS = 1.0  # a machine that stays due (its news is on the way) is not told again sooner


@frozen
class Deadlines(Generic[M]):
    """Sleep until the store's next due time; look again whenever it may have changed."""

    records: Records[Any, Any]
    clock: Clock
    changed: Hint
    mail: trio.MemorySendChannel[M]
    time_passed: Callable[[JobId], M]
    mine: Container[JobId] | None = None  # the machines this process drives; None: all of them

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Tell of due machines until the processor has gone."""
        task_status.started()
        while True:
            await self._wait(await self.records.next_due())
            now = int(self.clock.now())
            told = [id_ for id_ in await self.records.due(now) if self._is_mine(id_)]
            for job_id in told:
                await self.mail.send(self.time_passed(job_id))
            if told:
                await self.clock.sleep_until(now + RETRY_SECONDS)

    def _is_mine(self, id_: JobId) -> bool:
        return self.mine is None or id_ in self.mine

    async def _wait(self, when: int | None) -> None:
        """Return when `when` has come, or when a hint says that it may have changed."""
        async with trio.open_nursery() as nursery:
            if when is not None:
                nursery.start_soon(self._alarm, when, nursery.cancel_scope)
            await self.changed.wait()
            nursery.cancel_scope.cancel()

    async def _alarm(self, when: int, wait: trio.CancelScope) -> None:
        await self.clock.sleep_until(when)
        wait.cancel()
