"""The actor that knows which backends can generate."""

from collections.abc import Sequence

import trio
from attrs import frozen

from pylon.model.inference import BackendHealth
from pylon.ports.channels import Cell, Hint
from pylon.ports.clock import Clock
from pylon.ports.inference import Backend

EVERY_SECONDS = 30.0


@frozen
class BackendWatch:
    """Ask every backend how it is, at intervals, and keep the latest word in `healths`."""

    backends: Sequence[Backend]
    healths: Cell[tuple[BackendHealth, ...]]
    clock: Clock
    changed: Hint

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled; started once every backend has been asked."""
        await self._look()
        task_status.started()
        while True:
            await self.clock.sleep_until(self.clock.now() + EVERY_SECONDS)
            await self._look()

    async def _look(self) -> None:
        healths = await self._ask()
        if healths != self.healths.value:
            self.healths.value = healths
            self.changed.poke()

    async def _ask(self) -> tuple[BackendHealth, ...]:
        found: dict[str, BackendHealth] = {}

        async def ask(backend: Backend) -> None:
            found[backend.name] = await backend.health()

        async with trio.open_nursery() as nursery:
            for backend in self.backends:
                nursery.start_soon(ask, backend)
        return tuple(found[backend.name] for backend in self.backends)
