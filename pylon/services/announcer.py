"""The actor that tells the market what is sold here."""

from collections.abc import Callable

import trio
from attrs import define, field

from pylon.core.admission import Service
from pylon.core.announcement import REFRESH_SECONDS, announce
from pylon.model.event import Draft, Event
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
    _said_at: int = field(default=0, init=False)
    _over: bool = field(default=False, init=False)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Announce until cancelled."""
        task_status.started()
        while True:
            await self._announce()
            await self.changed.wait_until(self.clock.now() + REFRESH_SECONDS, self.clock)

    async def end(self) -> None:
        """Ask relays to forget the announcement, for good: nobody answers here any more."""
        self._over = True
        await self._withdraw()

    async def _announce(self) -> None:
        if self._over:
            return
        draft = announce(self.service(), name=self.name, about=self.about, now=self._moment())
        if draft is None:
            await self._withdraw()
        else:
            await self._say(draft)

    async def _withdraw(self) -> None:
        if self._latest is not None:
            await self._say(deletion.draft([self._latest], now=self._moment()))

    def _moment(self) -> int:
        """Return now, or the second after our last word: within one an update may lose (NIP-01).

        What is said in the second of a deletion would be deleted by it (NIP-09).
        """
        return max(int(self.clock.now()), self._said_at + 1)

    async def _say(self, draft: Draft) -> None:
        event = self.signer.sign(draft)
        self._said_at = event.created_at
        self._latest = None if event.kind == deletion.KIND else event
        await self.commands.send(Publish(event))
