"""Stepping machines in batches: load what the news concern, advance, store all in one transaction."""

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from attrs import define, field

from pylon.core import outbox
from pylon.model.event import Event
from pylon.model.ids import JobId
from pylon.ports.outbox import new_row
from pylon.ports.records import Change, Record, Records

F = TypeVar("F")
S = TypeVar("S")


@define
class Steps(Generic[F, S]):
    """The machines that one batch of news concerns, each as its latest step has left it."""

    _records: Records[F, S]
    _now: int
    _known: dict[JobId, Record[F, S]] = field(factory=dict, init=False)
    _changes: list[Change[F, S]] = field(factory=list, init=False)
    _desks: set[str] = field(factory=set, init=False)

    async def fetch(self, ids: Sequence[JobId]) -> None:
        """Load these machines; those that do not exist stay unknown."""
        if ids:
            self._known |= await self._records.load(ids)

    def get(self, id_: JobId) -> Record[F, S] | None:
        """Return a machine as it stands within this batch."""
        return self._known.get(id_)

    def take(
        self,
        id_: JobId,
        state: S,
        entries: Iterable[outbox.Entry] = (),
        *,
        facts: F | None = None,
        peer: str = "",
        final: bool = False,
        due: int | None = None,
        done: tuple[int, ...] = (),
        evidence: tuple[Event, ...] = (),
        key: str | None = None,
        alias: str | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        """Note one machine's step; `facts` are given when it begins."""
        known_facts = facts if facts is not None else self._known[id_].facts
        self._known[id_] = Record(id_, known_facts, state, self._now)
        rows = tuple(new_row(entry) for entry in entries)
        self._desks.update(row.desk for row in rows)
        self._changes.append(
            Change(
                id_,
                state,
                self._now,
                facts=facts,
                peer=peer,
                final=final,
                due=due,
                acts=rows,
                done=done,
                evidence=evidence,
                key=key,
                alias=alias,
                notes=notes,
            )
        )

    async def store(self) -> set[str]:
        """Commit every step noted; return the desks that now have something to do."""
        if self._changes:
            await self._records.save(self._changes)
        return self._desks
