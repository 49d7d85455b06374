"""The actor that publishes answers in the making, for customers who asked to watch."""

import logging

import trio
from attrs import frozen

from pylon.core.mail import Partial
from pylon.errors import Malformed
from pylon.model.event import Event
from pylon.model.job import Encryption, FeedbackStatus
from pylon.model.relays import Publish
from pylon.ports.clock import Clock
from pylon.ports.keys import Signer, conceal
from pylon.wire import event as events
from pylon.wire import jobs

log = logging.getLogger(__name__)


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
            try:
                piece = self._sign(partial)
            except Malformed as fault:  # nothing to read, or too much for one event
                log.debug("job %s: a piece is left out: %s", partial.job.id[:8], fault)
            else:
                await self.commands.send(Publish(piece))

    def _sign(self, partial: Partial) -> Event:
        job, text = partial.job, events.clean(partial.text)
        draft = jobs.write_feedback(
            job.request,
            FeedbackStatus.PARTIAL,
            now=int(self.clock.now()),
            content=conceal(self.signer, text, job.customer, job.encryption),
            seq=partial.number,
            encrypted=job.encryption is not Encryption.NONE,
        )
        return self.signer.sign(draft)
