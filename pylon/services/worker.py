"""The actor that computes answers: as many at once as the backends have slots."""

import logging
from collections.abc import Mapping

import trio
from attrs import define, field

from pylon.core.job_machine import Run, StopWork, WorkFailed
from pylon.core.mail import AboutJob, Mail, Partial, WorkDone
from pylon.core.outbox import WORKER
from pylon.errors import BackendUnavailable, GenerationFailed
from pylon.model.ids import JobId
from pylon.model.inference import BackendHealth, Completion
from pylon.model.job import Job, JobState, Working
from pylon.ports.channels import Cell, Hint
from pylon.ports.clock import Clock
from pylon.ports.inference import Backend
from pylon.ports.outbox import OutboxReader, entry_of
from pylon.ports.records import Records, Row

log = logging.getLogger(__name__)

RETRY_SECONDS = (1.0, 2.0)  # the pauses between three tries
NEWEST_COUNTS = 0.2  # of the moving average of seconds per job
PARTIAL_SECONDS = 0.25  # pieces are gathered this long before they are told


@define
class Worker:
    """Carry out `Run` and `StopWork`.

    A run that is cut off by a crash or a shutdown stays in the outbox and starts again with the
    process; its deadline, set when work began, does not move.
    """

    records: Records[Job, JobState]
    backends: Mapping[str, Backend]
    healths: Cell[tuple[BackendHealth, ...]]
    clock: Clock
    hint: Hint
    mail: trio.MemorySendChannel[Mail]
    partials: trio.MemorySendChannel[Partial]
    pace: Cell[float]  # seconds a job takes; a moving average of ours
    _running: dict[JobId, trio.CancelScope] = field(factory=dict, init=False)
    _slots: dict[str, trio.CapacityLimiter] = field(factory=dict, init=False)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled."""
        reader = OutboxReader(self.records, WORKER)
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                await self._take(nursery, await reader.take())
                await self.hint.wait()

    async def _take(self, nursery: trio.Nursery, rows: list[Row]) -> None:
        jobs = await self.records.load([row.subject for row in rows])
        wanted = {id_ for id_, record in jobs.items() if isinstance(record.state, Working)}
        over: list[int] = []
        for row in rows:
            match entry_of(row):
                case Run(deadline) if row.subject in wanted:
                    nursery.start_soon(self._work, jobs[row.subject].facts, row.seq, deadline)
                case Run() | StopWork():
                    over.append(row.seq)
                    if row.subject in self._running:
                        self._running[row.subject].cancel()
        if over:
            await self.records.drop(over)

    async def _work(self, job: Job, seq: int, deadline: int) -> None:
        with trio.CancelScope() as scope:
            self._running[job.id] = scope
            try:
                async with self._limiter(job.backend):
                    news = await self._answer(job, seq, deadline)
                await self.mail.send(news)
            finally:
                del self._running[job.id]
        if scope.cancelled_caught:
            await self.records.drop([seq])

    def _limiter(self, backend: str) -> trio.CapacityLimiter:
        slots = next((h.slots for h in self.healths.value if h.backend == backend), 1)
        limiter = self._slots.setdefault(backend, trio.CapacityLimiter(slots))
        limiter.total_tokens = max(1, slots)
        return limiter

    async def _answer(self, job: Job, seq: int, deadline: int) -> Mail:
        """Try a few times: a paid job is worth a second try, but not the customer's whole day."""
        backend = self.backends.get(job.backend)
        if backend is None:
            reason = f"{job.backend} is no longer configured here"
            return AboutJob(job.id, WorkFailed(reason), done=(seq,))
        reason = "the work took too long"
        for delay in (*RETRY_SECONDS, None):
            try:
                with trio.fail_after(max(0.0, deadline - self.clock.now())):
                    began = trio.current_time()
                    completion = await self._generate(backend, job)
                self._learn(trio.current_time() - began)
                return WorkDone(job.id, completion, done=(seq,))
            except trio.TooSlowError:
                break
            except (BackendUnavailable, GenerationFailed) as exc:
                reason = str(exc)
                log.warning("job %s: %s", job.id[:8], exc)
            if delay is not None:
                await trio.sleep(delay)
        return AboutJob(job.id, WorkFailed(reason), done=(seq,))

    def _learn(self, seconds: float) -> None:
        self.pace.value += (seconds - self.pace.value) * NEWEST_COUNTS

    async def _generate(self, backend: Backend, job: Job) -> Completion:
        async with backend.generate(job.prompt) as generation:
            if job.streaming:
                teller = _Teller(job, self.partials)
                async for piece in generation:
                    teller.add(piece)
                teller.flush()
            return await generation.completion()


@define
class _Teller:
    """Gather pieces and tell of them at a readable pace; a busy channel only delays."""

    job: Job
    partials: trio.MemorySendChannel[Partial]
    _text: str = field(default="", init=False)
    _number: int = field(default=0, init=False)
    _told_at: float = field(factory=trio.current_time, init=False)

    def add(self, piece: str) -> None:
        self._text += piece
        if trio.current_time() - self._told_at >= PARTIAL_SECONDS:
            self.flush()

    def flush(self) -> None:
        if not self._text:
            return
        try:
            self.partials.send_nowait(Partial(self.job, self._number, self._text))
        except (trio.WouldBlock, trio.BrokenResourceError):  # busy, or gone before us at the end
            return
        self._number += 1
        self._text = ""
        self._told_at = trio.current_time()
