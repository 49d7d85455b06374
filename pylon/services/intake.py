"""The actor at the door: it reads what relays bring and lets only well-formed requests in."""

import trio
from attrs import define, field

from pylon.core.mail import CancelRead, Mail, RefundRead, RequestRead
from pylon.errors import PeerFault
from pylon.model.event import Event
from pylon.model.job import Encryption
from pylon.model.relays import CaughtUp, Heard
from pylon.ports.channels import drain, put
from pylon.ports.keys import Signer
from pylon.wire import jobs

BATCH = 64
CANCEL_KIND = 5


@define
class Intake:
    """Turn heard events into mail for the job processor; what cannot be read is counted and dropped."""

    signer: Signer
    heard: trio.MemoryReceiveChannel[Heard | CaughtUp]
    mail: trio.MemorySendChannel[Mail]
    dropped: int = field(default=0, init=False)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read until the relay pool has closed."""
        task_status.started()
        async for first in self.heard:
            for item in drain(self.heard, first, limit=BATCH):
                if isinstance(item, Heard) and (mail := self._read_or_drop(item.event)):
                    await put(self.mail, mail)

    def _read_or_drop(self, event: Event) -> Mail | None:
        try:
            return self._read(event)
        except PeerFault:
            self.dropped += 1
            return None

    def _read(self, event: Event) -> Mail | None:
        if event.kind == CANCEL_KIND:
            return CancelRead(event.pubkey, jobs.read_cancel(event), event)
        if event.kind == jobs.FEEDBACK_KIND:
            return self._read_refund(event)
        encryption = jobs.encryption_of(event)
        if encryption is Encryption.NONE:
            return RequestRead(event, jobs.read_request(event))
        if self.signer.public_key not in event.tag_values("p"):
            return None  # hidden from us, so not for us (NIP-90)
        hidden = self.signer.decrypt(event.content, event.pubkey)
        return RequestRead(event, jobs.read_request(event, hidden=hidden))

    def _read_refund(self, event: Event) -> Mail | None:
        """Read a request for a refund; other feedback is for buyers."""
        if not jobs.asks_refund(event) or self.signer.public_key not in event.tag_values("p"):
            return None
        hidden = self.signer.decrypt(event.content, event.pubkey)
        return RefundRead(event, jobs.read_refund(event, hidden))
