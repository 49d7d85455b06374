"""A bell that the SDK rings when something happened, heard within some seconds even if it does not."""

from typing import Any, Final

import trio
from attrs import define, field

POLL_SECONDS: Final = 5.0


@define
class Bell:
    """Counts its rings, so that none is missed between looking and waiting."""

    rung: int = 0
    _event: trio.Event = field(factory=trio.Event)

    def ring(self) -> None:
        """Wake who waits."""
        self.rung += 1
        self._event.set()
        self._event = trio.Event()

    async def wait(self, since: int) -> None:
        """Wait until it has rung more often than `since`, or it is time to look anyway."""
        with trio.move_on_after(POLL_SECONDS):
            while self.rung == since:
                await self._event.wait()


class Listener:
    """What the SDK tells of events, in a thread of its own."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._token = trio.lowlevel.current_trio_token()

    async def on_event(self, event: Any) -> None:  # noqa: ARG002 - whatever it is, we look
        """Ring."""
        try:
            self._token.run_sync_soon(self._bell.ring)
        except trio.RunFinishedError:  # nobody is there any more
            return
