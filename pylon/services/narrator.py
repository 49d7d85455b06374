"""The actor that publishes answers in the making, for customers who asked to watch."""

import trio
from attrs import frozen

from pylon.core.mail import Partial
from pylon.model.job import Encryption, FeedbackStatus
from pylon.model.relays import Publish
from pylon.ports.clock import Clock
from pylon.ports.keys import Signer, conceal
from pylon.wire import event as events
from pylon.wire import jobs


@frozen
class Narrator:
    """Sign pieces as partial feedback. None is kept: the result says it all again."""

    signer: Signer
    clock: Clock
    partials: trio.MemoryReceiveChannel[Partial]
    commands: trio.MemorySendChannel[Publish]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Publish pieces until the worker has gone."""
        task_status.started()
        async for partial in self.partials:
            job = partial.job
            text = events.clean(partial.text)
            draft = jobs.write_feedback(
                job.request,
                FeedbackStatus.PARTIAL,
                now=int(self.clock.now()),
                content=conceal(self.signer, text, job.customer, job.encryption),
                seq=partial.number,
                encrypted=job.encryption is not Encryption.NONE,
            )
            await self.commands.send(Publish(self.signer.sign(draft)))
