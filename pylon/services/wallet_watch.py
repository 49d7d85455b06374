"""The actor that knows what the wallet can do."""

from collections.abc import Sequence

import trio
from attrs import frozen

from pylon.model.wallet import Capabilities
from pylon.ports.channels import Cell, Hint
from pylon.ports.clock import Clock
from pylon.ports.wallet import Wallet, answers_within

EVERY_SECONDS = 60.0


@frozen
class WalletWatch:
    """Ask the wallet what it can do, at intervals, and keep the latest word in `able`."""

    wallet: Wallet
    able: Cell[Capabilities]
    clock: Clock
    changed: Sequence[Hint]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled; started once the wallet has answered."""
        await self._look()
        task_status.started()
        while True:
            await self.clock.sleep_until(self.clock.now() + EVERY_SECONDS)
            await self._look()

    async def _look(self) -> None:
        with answers_within():
            able = (await self.wallet.info()).capabilities
        if able != self.able.value:
            self.able.value = able
            for hint in self.changed:
                hint.poke()
