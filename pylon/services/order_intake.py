"""The actor that passes what providers say on to the order desk."""

from collections.abc import Callable

import trio
from attrs import frozen

from pylon.core.order_mail import EventHeard, OrderMail
from pylon.model.relays import CaughtUp, Heard


@frozen
class OrderIntake:
    """Turn heard events into mail; the desk decides which of them concern an order."""

    heard: trio.MemoryReceiveChannel[Heard | CaughtUp]
    mail: trio.MemorySendChannel[OrderMail]
    caught_up: Callable[[str], None]  # told the subscription whose stored events are passed on

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Pass on until the relay pool has closed."""
        task_status.started()
        async for item in self.heard:
            if isinstance(item, Heard):
                await self.mail.send(EventHeard(item.event))
            else:
                self.caught_up(item.subscription)
