"""Jobs and orders that live as long as the process: for tests, under a clock that jumps."""

from collections import Counter
from collections.abc import Sequence
from typing import Generic, TypeVar

import trio
from attrs import define, field

from pylon.model.event import Event
from pylon.model.ids import EventId, JobId
from pylon.ports.records import MAX_HISTORY, Change, Moment, NewRow, Record, Row, reason_of

F = TypeVar("F")
S = TypeVar("S")


@define
class _Machine(Generic[F, S]):
    record: Record[F, S]
    peer: str
    final: bool
    due: int | None
    evidence: dict[EventId, Event] = field(factory=dict)
    history: list[Moment] = field(factory=list)


@define(eq=False)
class MemoryRecords(Generic[F, S]):
    """A `Records` in dicts, which remember the order of beginning."""

    _machines: dict[JobId, _Machine[F, S]] = field(factory=dict, init=False)
    _names: dict[str, JobId] = field(factory=dict, init=False)
    _rows: dict[int, Row] = field(factory=dict, init=False)
    _last_seq: int = field(default=0, init=False)
    _version: int = field(default=0, init=False)

    async def load(self, ids: Sequence[JobId]) -> dict[JobId, Record[F, S]]:
        await trio.lowlevel.checkpoint()
        return {id_: self._machines[id_].record for id_ in ids if id_ in self._machines}

    async def save(self, changes: Sequence[Change[F, S]]) -> None:
        await trio.lowlevel.checkpoint()
        taken = [change for change in changes if self._take(change)]
        self.remove([seq for change in taken for seq in change.done])
        for change in taken:
            self._keep(change)

    async def find(self, names: Sequence[str]) -> dict[str, JobId]:
        await trio.lowlevel.checkpoint()
        return {name: self._names[name] for name in names if name in self._names}

    async def due(self, now: int) -> list[JobId]:
        await trio.lowlevel.checkpoint()
        due = [(m.due, m.record.id) for m in self._machines.values() if m.due is not None]
        return [id_ for when, id_ in sorted(due, key=lambda item: item[0]) if when <= now]

    async def next_due(self) -> int | None:
        await trio.lowlevel.checkpoint()
        return min((m.due for m in self._machines.values() if m.due is not None), default=None)

    async def outbox(
        self, desk: str, *, after: int = 0, limit: int = 256, subject: JobId | None = None
    ) -> list[Row]:
        await trio.lowlevel.checkpoint()
        rows = (r for r in self._rows.values() if r.desk == desk and r.seq > after)
        return [row for row in rows if subject in (None, row.subject)][:limit]

    async def ask(self, id_: JobId, act: NewRow) -> None:
        await trio.lowlevel.checkpoint()
        if id_ in self._machines:
            self._version += 1
            self._post(id_, act)

    async def drop(self, seqs: Sequence[int]) -> None:
        await trio.lowlevel.checkpoint()
        self.remove(seqs)

    async def unfinished(self, *, peer: str | None = None) -> list[JobId]:
        await trio.lowlevel.checkpoint()
        return [m.record.id for m in self._open() if peer in (None, m.peer)]

    async def recent(self, *, limit: int) -> list[Record[F, S]]:
        await trio.lowlevel.checkpoint()
        newest_first = [m.record for m in reversed(self._machines.values())]
        return sorted(newest_first, key=lambda r: r.updated_at, reverse=True)[:limit]

    async def in_phases(self, phases: Sequence[str], *, since: int = 0) -> list[Record[F, S]]:
        await trio.lowlevel.checkpoint()
        records = (m.record for m in self._machines.values())
        found = [r for r in records if type(r.state).__name__ in phases and r.updated_at >= since]
        return sorted(found, key=lambda r: r.updated_at)

    async def count(self, phase: str) -> dict[str, int]:
        await trio.lowlevel.checkpoint()
        machines = self._machines.values()
        return dict(Counter(m.peer for m in machines if type(m.record.state).__name__ == phase))

    async def open_in(self, phases: Sequence[str]) -> int:
        await trio.lowlevel.checkpoint()
        return sum(type(m.record.state).__name__ in phases for m in self._open())

    async def evidence(self, id_: JobId) -> list[Event]:
        await trio.lowlevel.checkpoint()
        machine = self._machines.get(id_)
        return [] if machine is None else list(machine.evidence.values())

    async def history(self, id_: JobId) -> list[Moment]:
        await trio.lowlevel.checkpoint()
        machine = self._machines.get(id_)
        return [] if machine is None else list(machine.history)

    async def version(self) -> int:
        await trio.lowlevel.checkpoint()
        return self._version

    def remove(self, seqs: Sequence[int]) -> None:
        """Remove rows at once, as part of a larger step of another memory store."""
        self._version += 1
        for seq in seqs:
            self._rows.pop(seq, None)

    def _open(self) -> list[_Machine[F, S]]:
        return [m for m in self._machines.values() if not m.final]

    def _take(self, change: Change[F, S]) -> bool:
        """Begin or step a machine; False if the change is to be ignored."""
        before = self._machines.get(change.id)
        phase = type(before.record.state).__name__ if before else ""
        taken = self._step(change) if change.facts is None else self._begin(change, change.facts)
        if taken and change.alias is not None:
            self._names.setdefault(change.alias, change.id)
        if taken:
            self._remember(change, phase)
        return taken

    def _remember(self, change: Change[F, S], before: str) -> None:
        phase = type(change.state).__name__
        told = () if phase == before else (reason_of(change.state),)
        history = self._machines[change.id].history
        history += [Moment(change.now, phase, words) for words in (*change.notes, *told)]
        del history[MAX_HISTORY:]

    def _begin(self, change: Change[F, S], facts: F) -> bool:
        if change.id in self._machines or change.key in self._names:
            return False
        record = Record(change.id, facts, change.state, change.now)
        machine = _Machine(record, change.peer, change.final, change.due)
        self._machines[change.id] = machine
        if change.key is not None:
            self._names[change.key] = change.id
        return True

    def _step(self, change: Change[F, S]) -> bool:
        machine = self._machines.get(change.id)
        if machine is None:
            return False
        machine.record = Record(change.id, machine.record.facts, change.state, change.now)
        machine.peer = change.peer or machine.peer
        machine.final, machine.due = change.final, change.due
        return True

    def _keep(self, change: Change[F, S]) -> None:
        """Store the acts and events that a step brings."""
        for act in change.acts:
            self._post(change.id, act)
        for event in change.evidence:
            self._machines[change.id].evidence.setdefault(event.id, event)

    def _post(self, id_: JobId, act: NewRow) -> None:
        self._last_seq += 1
        self._rows[self._last_seq] = Row(self._last_seq, id_, act.desk, act.kind, act.body)
