"""The actor that brings signed events to the relays, and remembers until they are there."""

from collections.abc import Callable, Container
from typing import Any, Generic, TypeVar

import trio
from attrs import define, field

from pylon.core.outbox import PUBLISHER, Post
from pylon.model.ids import EventId, JobId
from pylon.model.relays import Publish, PublishOutcome, Verdict
from pylon.ports.channels import Hint, drain, put
from pylon.ports.outbox import OutboxReader, entry_of
from pylon.ports.records import Records, Row

M = TypeVar("M")

BATCH = 256
MOST_PENDING = 4096  # events on their way at once; the rest wait in the outbox


@define
class _Pending:
    """An event on its way; refusals are kept by relay, with their reasons."""

    row: Row
    tell: bool
    accepted: set[str] = field(factory=set)
    refused: dict[str, str] = field(factory=dict)


@define
class Publisher(Generic[M]):
    """Carry out `Post`: publish to all relays, done when `acks` of them have accepted.

    The outbox row goes only then, so a publication survives reconnects and restarts. When every
    relay has refused an event for good, it is undeliverable.
    """

    records: Records[Any, Any]
    relays: int
    acks: int
    hint: Hint
    commands: trio.MemorySendChannel[Publish]
    outcomes: trio.MemoryReceiveChannel[PublishOutcome]
    mail: trio.MemorySendChannel[M]
    published: Callable[[JobId, EventId, int], M]
    undeliverable: Callable[[JobId, EventId, str, int], M]
    mine: Container[JobId] | None = None
    _pending: dict[EventId, _Pending] = field(factory=dict, init=False)
    _room: Hint = field(factory=Hint, init=False)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Publish until cancelled."""
        async with trio.open_nursery() as nursery:
            self._pending.clear()  # every open row is read anew, and its event published again
            nursery.start_soon(self._hear)
            task_status.started()
            reader = OutboxReader(self.records, PUBLISHER, self.mine)
            while True:
                for row in await reader.take():
                    await self._post(row)
                await self.hint.wait()

    async def _post(self, row: Row) -> None:
        entry = entry_of(row)
        while len(self._pending) >= MOST_PENDING:
            await self._room.wait()
        if isinstance(entry, Post):
            self._pending[entry.event.id] = _Pending(row, entry.tell)
            await put(self.commands, Publish(entry.event))

    async def _hear(self) -> None:
        async for first in self.outcomes:
            dropped: list[int] = []
            for outcome in drain(self.outcomes, first, limit=BATCH):
                await self._note(outcome, dropped)
            if dropped:
                await self.records.drop(dropped)

    async def _note(self, outcome: PublishOutcome, dropped: list[int]) -> None:
        pending = self._pending.get(outcome.event_id)
        if pending is None:
            return
        if outcome.verdict is Verdict.ACCEPTED:
            pending.accepted.add(outcome.relay)
        elif outcome.verdict is Verdict.REFUSED:
            pending.refused[outcome.relay] = outcome.reason
        if len(pending.accepted) >= min(self.acks, self.relays):
            await self._finish(outcome.event_id, pending, dropped, reason=None)
        elif len(pending.refused) > self.relays - min(self.acks, self.relays):
            reason = "; ".join(f"{relay}: {why}" for relay, why in pending.refused.items())
            await self._finish(outcome.event_id, pending, dropped, reason=reason)

    async def _finish(
        self, event_id: EventId, pending: _Pending, dropped: list[int], *, reason: str | None
    ) -> None:
        del self._pending[event_id]
        self._room.poke()
        row = pending.row
        if not pending.tell:
            dropped.append(row.seq)
        elif reason is None:
            await put(self.mail, self.published(row.subject, event_id, row.seq))
        else:
            await put(self.mail, self.undeliverable(row.subject, event_id, reason, row.seq))
