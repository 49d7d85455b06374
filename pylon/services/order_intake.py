"""The actor that passes what providers say on to the order desk."""

from collections.abc import Callable

import trio
from attrs import frozen

from pylon.core.order_mail import EventHeard, OrderMail
from pylon.model.relays import CaughtUp, Heard
from pylon.ports.channels import drain, put

BATCH = 64


@frozen
class OrderIntake:
    """Turn heard events into mail; the desk decides which of them concern an order."""

    heard: trio.MemoryReceiveChannel[Heard | CaughtUp]
    mail: trio.MemorySendChannel[OrderMail]
    caught_up: Callable[[str], None]  # told the subscription whose stored events are passed on

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Pass on until the relay pool has closed."""
        task_status.started()
        async for first in self.heard:
            for item in drain(self.heard, first, limit=BATCH):
                if isinstance(item, Heard):
                    await put(self.mail, EventHeard(item.event))
                else:
                    self.caught_up(item.subscription)
