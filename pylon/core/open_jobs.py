"""Which jobs are open, counted as admission looks at them."""

from collections import Counter, deque

from attrs import define, field, frozen

from pylon.core.job_machine import HELD_FIRST, is_final
from pylon.model.ids import JobId, PublicKey
from pylon.model.job import Cancelled, Job, JobState, Received, Unpaid, Working
from pylon.model.money import PayMode

UNPAID_SECONDS = 86_400  # how long a job that was never paid for counts against its buyer


@frozen
class Load:
    """How busy we are, as one customer is concerned."""

    open_jobs: int  # unfinished jobs of this customer
    queued: int  # jobs that are being computed, or wait to be
    unpaid: int = 0  # of this customer, paid after the work: open, or lately given up by it
    holds: int = 0  # payments that are held or may come to be, of all customers
    own_holds: int = 0  # those of this customer


@frozen
class _Counted:
    """What one job counts as."""

    customer: PublicKey
    is_open: bool
    is_queued: bool
    is_unpaid: bool
    is_hold: bool

    @property
    def counts(self) -> bool:
        return self.is_open or self.is_unpaid


@define
class OpenJobs:
    """The jobs of a provider, as far as they count; every step of a job is noted here."""

    _jobs: dict[JobId, _Counted] = field(factory=dict, init=False)
    _never_paid: deque[tuple[int, JobId]] = field(factory=deque, init=False)  # the oldest first
    _open: Counter[PublicKey] = field(factory=Counter, init=False)
    _unpaid: Counter[PublicKey] = field(factory=Counter, init=False)
    _holds: Counter[PublicKey] = field(factory=Counter, init=False)
    _queued: int = field(default=0, init=False)

    def note(self, job: Job, state: JobState, at: int) -> None:
        """Take note of the state that a job has come into (unix seconds)."""
        self._count(self._jobs.pop(job.id, None), -1)
        counted = _read(job, state)
        if counted.counts:
            self._jobs[job.id] = counted
            self._count(counted, 1)
        if counted.is_unpaid and not counted.is_open:
            self._never_paid.append((at, job.id))

    def load(self, customer: PublicKey, now: int) -> Load:
        """Say how busy we are."""
        while self._never_paid and self._never_paid[0][0] <= now - UNPAID_SECONDS:
            self._count(self._jobs.pop(self._never_paid.popleft()[1], None), -1)
        return Load(
            open_jobs=self._open[customer],
            queued=self._queued,
            unpaid=self._unpaid[customer],
            holds=self._holds.total(),
            own_holds=self._holds[customer],
        )

    def _count(self, counted: _Counted | None, sign: int) -> None:
        if counted is None:
            return
        customer = counted.customer
        self._queued += sign * counted.is_queued
        for counter, counts in (
            (self._open, counted.is_open),
            (self._unpaid, counted.is_unpaid),
            (self._holds, counted.is_hold),
        ):
            counter[customer] += sign * counts
            if not counter[customer]:
                del counter[customer]  # strangers are many


def _read(job: Job, state: JobState) -> _Counted:
    is_open, by_credit = not is_final(state), job.mode is PayMode.LOCKED
    called_off = isinstance(state, Cancelled) and state.invoice is not None  # once it was begun
    at_once = isinstance(state, Received) and by_credit  # its work begins when it has an invoice
    return _Counted(
        customer=job.customer,
        is_open=is_open,
        is_queued=isinstance(state, Working) or at_once,
        is_unpaid=by_credit and (is_open or called_off or isinstance(state, Unpaid)),
        is_hold=is_open and job.mode in HELD_FIRST,
    )
