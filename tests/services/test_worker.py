"""What is wanted is computed, what is not wanted any more is not."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
import trio.testing
from attrs import evolve
from trio.testing import MockClock

from pylon.adapters.memory.clock import MemoryClock
from pylon.adapters.memory.records import MemoryRecords
from pylon.core.job_machine import Run, StopWork, WorkFailed
from pylon.core.mail import AboutJob, Mail, Partial, WorkDone
from pylon.model.inference import BackendHealth
from pylon.model.job import Cancelled, Job, JobState, Working
from pylon.ports.channels import Cell, Hint
from pylon.services.worker import Worker
from tests.market.actors import a_job, begun, working
from tests.market.backend import ScriptedBackend
from tests.nostr import NOW

DEADLINE = NOW + 300


class Shop:
    """A worker with one backend."""

    def __init__(self, backend: ScriptedBackend) -> None:
        self.backend = backend
        self.records: MemoryRecords[Job, JobState] = MemoryRecords()
        self.clock = MemoryClock(NOW - trio.current_time())
        self.hint = Hint()
        self.healths: Cell[tuple[BackendHealth, ...]] = Cell(
            (BackendHealth("llamacpp", available=True, slots=backend.slots),)
        )
        self.pace = Cell(10.0)
        mail, self.mail = trio.open_memory_channel[Mail](99)
        partials, self.partials = trio.open_memory_channel[Partial](1)
        self.worker = Worker(
            self.records,
            {"llamacpp": backend},
            self.healths,
            self.clock,
            self.hint,
            mail,
            partials,
            self.pace,
        )

    async def begin(self, job: Job, state: JobState | None = None, *acts: Run | StopWork) -> None:
        state = state or Working(DEADLINE)
        await self.records.save([begun(job, state, *(acts or (Run(DEADLINE),)))])
        self.hint.poke()

    async def rows(self) -> list[str]:
        return [row.kind for row in await self.records.outbox("worker")]


@asynccontextmanager
async def shop(backend: ScriptedBackend | None = None) -> AsyncGenerator[Shop, None]:
    made = Shop(backend or ScriptedBackend())
    async with working(made.worker.run):
        yield made


async def test_an_answer_is_told_with_the_row_it_ends(autojump_clock: MockClock) -> None:
    async with shop() as at:
        job = a_job()
        await at.begin(job)
        news = await at.mail.receive()
        assert isinstance(news, WorkDone)
        assert (news.job, news.completion.text, news.done) == (job.id, "four", (1,))
        assert await at.rows() == ["Run"]


async def test_what_ended_before_a_crash_is_not_computed_after_it(
    autojump_clock: MockClock,
) -> None:
    async with shop() as at:
        await at.begin(a_job(1), Cancelled(), Run(DEADLINE))
        await at.begin(a_job(2), Cancelled(), Run(DEADLINE), StopWork())
        await at.begin(job := a_job(3))
        news = await at.mail.receive()
        assert isinstance(news, WorkDone)
        assert news.job == job.id
        assert len(at.backend.prompts) == 1
        assert await at.rows() == ["Run"]


async def test_a_backend_that_is_gone_fails_the_job(autojump_clock: MockClock) -> None:
    async with shop() as at:
        await at.begin(a_job(backend="ollama"))
        news = await at.mail.receive()
        assert isinstance(news, AboutJob)
        assert news.news == WorkFailed("ollama is no longer configured here")


async def test_work_that_was_due_before_it_could_begin_fails(autojump_clock: MockClock) -> None:
    async with shop(ScriptedBackend(seconds=1)) as at:
        await at.begin(a_job(), Working(NOW - 5), Run(NOW - 5))
        news = await at.mail.receive()
        assert isinstance(news, AboutJob)
        assert news.news == WorkFailed("the work took too long")


async def test_slots_that_come_and_go_are_used(autojump_clock: MockClock) -> None:
    async with shop(ScriptedBackend(seconds=1, slots=1)) as at:
        for number in range(3):
            await at.begin(a_job(number))
        await trio.sleep(0.5)
        assert at.backend.at_work == 1
        at.healths.value = (BackendHealth("llamacpp", available=True, slots=2),)
        await at.begin(a_job(3))
        await trio.sleep(0.1)
        assert at.backend.at_work == 2


async def test_work_that_waits_for_a_slot_can_be_stopped(autojump_clock: MockClock) -> None:
    async with shop(ScriptedBackend(seconds=50, slots=1)) as at:
        await at.begin(a_job(1))
        await trio.testing.wait_all_tasks_blocked()
        await at.begin(a_job(2))
        await trio.testing.wait_all_tasks_blocked()
        stopped = evolve(begun(a_job(2), Cancelled(), StopWork()), facts=None)
        await at.records.save([stopped])
        at.hint.poke()
        await at.mail.receive()
        assert await at.rows() == ["Run"]
        assert len(at.backend.prompts) == 1


async def test_pieces_that_find_no_room_come_with_the_next(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(("a", "b", "c", "d"), seconds=1)
    async with shop(backend) as at:
        await at.begin(a_job(streaming=True))
        await trio.sleep(3.5)
        first = at.partials.receive_nowait()
        assert (first.number, first.text) == (0, "a")
        await at.mail.receive()
        second = at.partials.receive_nowait()
        assert (second.number, second.text) == (1, "bcd")


async def test_pieces_for_nobody_do_not_keep_the_work_from_ending(
    autojump_clock: MockClock,
) -> None:
    async with shop(ScriptedBackend(seconds=1)) as at:
        at.partials.close()
        await at.begin(a_job(streaming=True))
        assert isinstance(await at.mail.receive(), WorkDone)


async def test_the_pace_follows_what_jobs_really_take(autojump_clock: MockClock) -> None:
    async with shop(ScriptedBackend(("a",), seconds=2)) as at:
        for number in range(20):
            await at.begin(a_job(number))
            await at.mail.receive()
        assert 2 < at.pace.value < 2.2
