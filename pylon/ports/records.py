"""What services ask of the store: the state of machines, and the acts they have caused."""

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from attrs import frozen

from pylon.model.event import Event
from pylon.model.ids import JobId

MAX_HISTORY = 256  # moments kept of one machine; strangers cause some of them

F = TypeVar("F")  # facts: Job or Order
S = TypeVar("S")  # state: JobState or OrderState


@frozen
class Record(Generic[F, S]):
    """One machine as stored."""

    id: JobId
    facts: F
    state: S
    updated_at: int  # unix seconds


@frozen
class Moment:
    """One line of a machine's history: it came into a state, or something was noted of it."""

    at: int  # unix seconds
    phase: str  # the class of the state it was in then
    words: str = ""  # what was noted, or the reason the state gives


@frozen
class Row:
    """An act in the outbox. `body` is JSON that only the desk that carries it out reads."""

    seq: int
    subject: JobId
    desk: str  # which actor: cashier, worker, publisher, payer, accountant
    kind: str  # the act's name
    body: str


@frozen
class NewRow:
    """An act on its way into the outbox."""

    desk: str
    kind: str
    body: str


@frozen
class Change(Generic[F, S]):
    """One step of one machine, to be stored whole or not at all."""

    id: JobId
    state: S
    now: int  # unix seconds
    facts: F | None = None  # given once, when the machine begins
    peer: str = ""  # the customer of a job, the provider of an order; empty leaves what is stored
    final: bool = False
    due: int | None = None  # unix seconds at which time becomes news
    acts: tuple[NewRow, ...] = ()
    done: tuple[int, ...] = ()  # outbox rows that this news answers
    evidence: tuple[Event, ...] = ()  # signed events to keep with the machine
    key: str | None = None  # with `facts`: an idempotency key, unique in the store
    alias: str | None = None  # a second name, such as the payment hash: `find` answers to it
    notes: tuple[str, ...] = ()  # what is worth telling later and changes nothing


class Records(Protocol[F, S]):
    """Remembers machines of one sort, jobs or orders, and their outbox.

    Every method is one transaction: when it returns it has happened and will survive a crash. Any
    may raise `StoreBusy` or `StoreFull`, and has then changed nothing.
    """

    async def load(self, ids: Sequence[JobId]) -> dict[JobId, Record[F, S]]:
        """Return what is stored of the machines named."""
        ...

    async def save(self, changes: Sequence[Change[F, S]]) -> None:
        """Store steps and their acts in one transaction; later changes of an id win.

        A change with `facts` for an id that exists already is ignored whole, acts and all, and so
        is one whose `key` is taken: beginning twice is beginning once. A change without `facts` for
        an id that does not exist is ignored too. Keys and aliases are names of one sort, and a name
        stays with the machine that had it first. A machine keeps each event once, and the first
        `MAX_HISTORY` moments of its history.
        """
        ...

    async def find(self, names: Sequence[str]) -> dict[str, JobId]:
        """Return the machines known by these idempotency keys or aliases; others are left out."""
        ...

    async def due(self, now: int) -> list[JobId]:
        """Return the machines for which time has become news, the longest due first."""
        ...

    async def next_due(self) -> int | None:
        """Return when time next becomes news (unix seconds)."""
        ...

    async def outbox(
        self, desk: str, *, after: int = 0, limit: int = 256, subject: JobId | None = None
    ) -> list[Row]:
        """Return a desk's open acts in order, those with `seq` above `after`."""
        ...

    async def ask(self, id_: JobId, act: NewRow) -> None:
        """Put an act into a machine's outbox, wherever it stands: whoever drives it will find it.

        Of a machine that does not exist nothing can be asked.
        """
        ...

    async def drop(self, seqs: Sequence[int]) -> None:
        """Remove acts that have been carried out and need no news."""
        ...

    async def unfinished(self, *, peer: str | None = None) -> list[JobId]:
        """Return machines that have not ended, oldest first."""
        ...

    async def recent(self, *, limit: int) -> list[Record[F, S]]:
        """Return the machines changed last, newest first."""
        ...

    async def in_phases(self, phases: Sequence[str], *, since: int = 0) -> list[Record[F, S]]:
        """Return the machines whose state is of a class named in `phases`, those changed first first.

        `since` (unix seconds) leaves out those that have not changed since then.
        """
        ...

    async def count(self, phase: str) -> dict[str, int]:
        """Count by peer the machines whose state is of the class named `phase`."""
        ...

    async def open_in(self, phases: Sequence[str]) -> int:
        """Count the machines that have not ended and whose state is of a class named in `phases`."""
        ...

    async def evidence(self, id_: JobId) -> list[Event]:
        """Return the signed events kept with a machine, in the order they were kept."""
        ...

    async def history(self, id_: JobId) -> list[Moment]:
        """Return what a machine went through, in order: every change of phase, and every note."""
        ...

    async def version(self) -> int:
        """Return a number that changes when any process has changed the store."""
        ...


def reason_of(state: object) -> str:
    """Return the reason that a state gives for itself, where it gives one."""
    reason = getattr(state, "reason", "")
    return reason if isinstance(reason, str) else ""
