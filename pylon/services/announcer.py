"""The actor that tells the market what is sold here."""

from collections.abc import Callable

import trio
from attrs import define, field

from pylon.core.admission import Service
from pylon.core.announcement import REFRESH_SECONDS, announce
from pylon.model.event import Event
from pylon.model.relays import Publish
from pylon.ports.channels import Hint
from pylon.ports.clock import Clock
from pylon.ports.keys import Signer
from pylon.wire import deletion


@define
class Announcer:
    """Publish the announcement (NIP-89), again when it changes or grows old; withdraw it at the end."""

    signer: Signer
    clock: Clock
    service: Callable[[], Service]
    name: str
    about: str
    changed: Hint
    commands: trio.MemorySendChannel[Publish]
    _latest: Event | None = field(default=None, init=False)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Announce until cancelled."""
        task_status.started()
        while True:
            await self._announce()
            with trio.move_on_after(REFRESH_SECONDS):
                await self.changed.wait()

    async def withdraw(self) -> None:
        """Ask relays to forget the announcement (NIP-09): nobody answers here any more."""
        if self._latest is not None:
            draft = deletion.draft([self._latest], now=int(self.clock.now()))
            await self.commands.send(Publish(self.signer.sign(draft)))
            self._latest = None

    async def _announce(self) -> None:
        # An update within the same second could lose to what it replaces (NIP-01).
        after = 0 if self._latest is None else self._latest.created_at + 1
        now = max(int(self.clock.now()), after)
        draft = announce(self.service(), name=self.name, about=self.about, now=now)
        if draft is None:
            await self.withdraw()
            return
        self._latest = self.signer.sign(draft)
        await self.commands.send(Publish(self._latest))
