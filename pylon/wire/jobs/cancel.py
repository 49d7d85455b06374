"""Calling a job off: a deletion request for its request event (NIP-90, NIP-09)."""

from typing import Final

from pylon.errors import Malformed
from pylon.model.event import Draft, Event
from pylon.model.ids import JobId
from pylon.wire import deletion

MAX_CANCELLED: Final = 100


def write_cancel(job: JobId, kind: int, *, now: int, reason: str = "") -> Draft:
    """Call off a job of ours; `kind` is its request's."""
    return Draft(deletion.KIND, now, (("e", job), ("k", str(kind))), reason)


def read_cancel(event: Event) -> tuple[JobId, ...]:
    """Return the events its author wants deleted, some of which may be jobs of theirs.

    Raises:
        Malformed: if it is no deletion request, or names too many events.
    """
    ids = deletion.read(event).ids
    if len(ids) > MAX_CANCELLED:
        raise Malformed(f"more than {MAX_CANCELLED} events to delete")
    return tuple(JobId(id_) for id_ in sorted(ids))
