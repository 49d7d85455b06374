"""The actor that opens locked results with the preimages that were paid for."""

from collections.abc import Container

import trio
from attrs import frozen

from pylon.core.answers import open_result
from pylon.core.order_machine import NotOpened, Open, Opened
from pylon.core.order_mail import AboutOrder, OrderMail
from pylon.core.outbox import OPENER
from pylon.errors import PeerFault
from pylon.model.event import Event
from pylon.model.ids import EventId, JobId
from pylon.model.job import Encryption
from pylon.model.order import Order, OrderState
from pylon.ports.channels import Hint
from pylon.ports.keys import Signer
from pylon.ports.outbox import OutboxReader, entry_of
from pylon.ports.records import Records
from pylon.wire import jobs


@frozen
class Opener:
    """Carry out `Open`: the signed result is among the evidence, where it was kept when heard."""

    records: Records[Order, OrderState]
    mine: Container[JobId]
    signer: Signer
    hint: Hint
    mail: trio.MemorySendChannel[OrderMail]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        reader = OutboxReader(self.records, OPENER, self.mine)
        task_status.started()
        while True:
            for row in await reader.take():
                match entry_of(row):
                    case Open() as act:
                        event = await self._result(row.subject, act.result)
                        news = self._open(act, event)
                        await self.mail.send(AboutOrder(row.subject, news, done=(row.seq,)))
                    case _:
                        continue
            await self.hint.wait()

    async def _result(self, order: JobId, result: EventId) -> Event:
        kept = {event.id: event for event in await self.records.evidence(order)}
        return kept[result]

    def _open(self, act: Open, event: Event) -> Opened | NotOpened:
        try:
            hidden = None
            if jobs.encryption_of(event) is not Encryption.NONE:
                hidden = self.signer.decrypt(event.content, event.pubkey)
            open_result(event, hidden, act.preimage)
        except PeerFault as fault:
            return NotOpened(act.result, str(fault))
        return Opened(act.result)
