"""One batch of steps as rows: what `Records.save` does inside its transaction."""

from collections.abc import Sequence
from typing import Any

import apsw
from attrs import define, field, frozen

from pylon.adapters.sqlite.codec import to_json
from pylon.adapters.sqlite.database import query
from pylon.adapters.sqlite.statements import Statements
from pylon.model.ids import JobId
from pylon.ports.records import MAX_HISTORY, Change, reason_of

Step = tuple[str, str, str, bool, int | None, int]  # peer, phase, state, final, due, updated_at


@frozen
class Written:
    """A change whose values are JSON already: the writer thread has better things to do."""

    change: Change[Any, Any]
    step: Step
    facts: str | None
    reason: str  # that the state gives for itself
    events: tuple[tuple[str, str], ...]  # event id, JSON


def write(change: Change[Any, Any]) -> Written:
    """Turn a change's values into JSON."""
    phase, state = type(change.state).__name__, to_json(change.state)
    return Written(
        change,
        (change.peer, phase, state, change.final, change.due, change.now),
        None if change.facts is None else to_json(change.facts),
        reason_of(change.state),
        tuple((event.id, to_json(event)) for event in change.evidence),
    )


def save(db: apsw.Connection, sql: Statements, batch: Sequence[Written]) -> None:
    """Store a batch in order; the caller holds the transaction."""
    ids = to_json([item.change.id for item in batch])
    keys = [item.change.key for item in batch if item.change.key is not None]
    known = list(query(db, sql.known, (ids,)))
    rows = _Rows(
        known={id_: n for id_, n, _ in known},
        phases={n: phase for _, n, phase in known},
        taken={name for (name,) in query(db, sql.taken, (to_json(keys),))} if keys else set(),
        last=db.execute(sql.last).get,
    )
    for item in batch:
        rows.add(item)
    rows.store(db, sql)


@define
class _Rows:
    """What a batch comes to, a list for each statement: executemany prepares each once."""

    known: dict[JobId, int]  # machines that have begun, and their n
    phases: dict[int, str]  # where they stand
    taken: set[str]  # names that no machine may begin with
    last: int  # the highest n given out
    begun: list[tuple[Any, ...]] = field(factory=list)
    facts: list[tuple[int, str]] = field(factory=list)
    steps: dict[int, Step] = field(factory=dict)
    names: list[tuple[str, int]] = field(factory=list)
    acts: list[tuple[int, str, str, str]] = field(factory=list)
    done: list[tuple[int]] = field(factory=list)
    events: list[tuple[int, str, str]] = field(factory=list)
    moments: list[tuple[int, int, str, str, int]] = field(factory=list)

    def add(self, item: Written) -> None:
        """Take a change in, or ignore it whole."""
        change = item.change
        n = self._step(item) if item.facts is None else self._begin(item, item.facts)
        if n is None:
            return
        if change.alias is not None:
            self._name(change.alias, n)
        self.acts += [(n, act.desk, act.kind, act.body) for act in change.acts]
        self.done += [(seq,) for seq in change.done]
        self.events += [(n, *event) for event in item.events]
        self._remember(n, item)

    def _remember(self, n: int, item: Written) -> None:
        """Note a change of phase, and whatever else there is to tell."""
        _, phase, _, _, _, at = item.step
        told = [] if self.phases.get(n) == phase else [item.reason]
        self.phases[n] = phase
        self.moments += [
            (n, at, phase, words, MAX_HISTORY) for words in (*item.change.notes, *told)
        ]

    def _begin(self, item: Written, facts: str) -> int | None:
        change = item.change
        if change.id in self.known or change.key in self.taken:
            return None
        self.last += 1
        self.known[change.id] = self.last
        self.begun.append((*item.step, change.id, self.last))
        self.facts.append((self.last, facts))
        if change.key is not None:
            self._name(change.key, self.last)
        return self.last

    def _step(self, item: Written) -> int | None:
        n = self.known.get(item.change.id)
        if n is not None:
            earlier = self.steps.get(n)
            peer = item.change.peer or (earlier[0] if earlier else "")
            self.steps[n] = (peer, *item.step[1:])
        return n

    def _name(self, name: str, n: int) -> None:
        self.taken.add(name)
        self.names.append((name, n))

    def store(self, db: apsw.Connection, sql: Statements) -> None:
        """Write every row."""
        tables: tuple[tuple[str, Sequence[tuple[Any, ...]]], ...] = (
            (sql.begin, self.begun),
            (sql.keep_facts, self.facts),
            (sql.step, [(*step, n) for n, step in self.steps.items()]),
            (sql.name, self.names),
            (sql.drop, self.done),
            (sql.post, self.acts),
            (sql.keep_event, self.events),
            (sql.remember, self.moments),
        )
        for statement, rows in tables:
            db.executemany(statement, rows)
