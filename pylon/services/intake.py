"""The actor at the door: it reads what relays bring and lets only well-formed requests in."""

import trio
from attrs import define, field

from pylon.core.mail import CancelRead, Mail, RequestRead
from pylon.errors import PeerFault
from pylon.model.event import Event
from pylon.model.job import Encryption
from pylon.model.relays import CaughtUp, Heard
from pylon.ports.keys import Signer
from pylon.wire import jobs

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
        async for item in self.heard:
            if isinstance(item, Heard):
                try:
                    mail = self._read(item.event)
                except PeerFault:
                    self.dropped += 1
                    continue
                if mail is not None:
                    await self.mail.send(mail)

    def _read(self, event: Event) -> Mail | None:
        if event.kind == CANCEL_KIND:
            return CancelRead(event.pubkey, jobs.read_cancel(event), event)
        encryption = jobs.encryption_of(event)
        if encryption is Encryption.NONE:
            return RequestRead(event, jobs.read_request(event))
        if self.signer.public_key not in event.tag_values("p"):
            return None  # hidden from us, so not for us (NIP-90)
        hidden = self.signer.decrypt(event.content, event.pubkey)
        return RequestRead(event, jobs.read_request(event, hidden=hidden))
