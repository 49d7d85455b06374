"""An event is published when enough relays have it, and its row stays until then."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from pylon.adapters.memory.records import MemoryRecords
from pylon.core.outbox import Post
from pylon.errors import StoreBusy
from pylon.model.event import Event
from pylon.model.ids import EventId, JobId, RelayUrl
from pylon.model.job import Job, JobState, Refused
from pylon.model.relays import Publish, PublishOutcome, Verdict
from pylon.ports.channels import Hint
from pylon.services import publisher
from pylon.services.publisher import Publisher
from tests.market.actors import a_job, begun, working
from tests.market.trouble import Trouble
from tests.nostr import note

JOB = a_job()
A, B, C = (RelayUrl(f"ws://{name}") for name in "abc")
OK, NO, LATER = Verdict.ACCEPTED, Verdict.REFUSED, Verdict.DEFERRED

Told = tuple[EventId, str]


class Press:
    """A publisher between a store and relays that answer on order."""

    def __init__(self, *, relays: int = 1, acks: int = 1, records: Any = None) -> None:
        self.records: MemoryRecords[Job, JobState] = records or MemoryRecords()
        self.hint = Hint()
        commands, self.commands = trio.open_memory_channel[Publish](9_999)
        self.outcomes, outcomes = trio.open_memory_channel[PublishOutcome](9_999)
        mail, self.mail = trio.open_memory_channel[Told](99)

        def published(_: JobId, event: EventId, __: int) -> Told:
            return event, "published"

        def undeliverable(_: JobId, event: EventId, why: str, __: int) -> Told:
            return event, why

        self.service: Publisher[Told] = Publisher(
            self.records,
            relays,
            acks,
            self.hint,
            commands,
            outcomes,
            mail,
            published,
            undeliverable,
        )

    async def post(self, *events: Event, tell: bool = False) -> None:
        acts = [Post(event, tell) for event in events]
        job = a_job(len(await self.records.recent(limit=99)) + 1)
        await self.records.save([begun(job, Refused(""), *acts)])
        self.hint.poke()
        await trio.testing.wait_all_tasks_blocked()

    async def answer(self, event: Event, relay: RelayUrl, verdict: Verdict, why: str = "") -> None:
        await self.outcomes.send(PublishOutcome(event.id, relay, verdict, why))
        await trio.testing.wait_all_tasks_blocked()

    async def rows(self) -> int:
        return len(await self.records.outbox("publisher"))

    def told(self) -> list[Told]:
        found = []
        while self.mail.statistics().current_buffer_used:
            found.append(self.mail.receive_nowait())
        return found

    def sent(self) -> list[EventId]:
        found = []
        while self.commands.statistics().current_buffer_used:
            found.append(self.commands.receive_nowait().event.id)
        return found


@asynccontextmanager
async def press(**how: Any) -> AsyncGenerator[Press, None]:
    made = Press(**how)
    async with working(made.service.run):
        yield made


EVENT, OTHER = note("an event"), note("another")


async def test_an_accepted_event_is_done(autojump_clock: MockClock) -> None:
    async with press() as at:
        await at.post(EVENT)
        assert (at.sent(), await at.rows()) == ([EVENT.id], 1)
        await at.answer(EVENT, A, OK)
        assert (at.told(), await at.rows()) == ([], 0)


async def test_whoever_wants_to_know_is_told_and_ends_the_row(autojump_clock: MockClock) -> None:
    async with press() as at:
        await at.post(EVENT, tell=True)
        await at.answer(EVENT, A, OK)
        assert at.told() == [(EVENT.id, "published")]
        assert await at.rows() == 1, "it goes with the step that the news cause"
        await at.answer(EVENT, A, OK)
        assert at.told() == []


async def test_as_many_relays_must_accept_as_are_asked_for(autojump_clock: MockClock) -> None:
    async with press(relays=3, acks=2) as at:
        await at.post(EVENT, tell=True)
        await at.answer(EVENT, A, OK)
        await at.answer(EVENT, A, OK)
        await at.answer(EVENT, B, LATER)
        assert at.told() == []
        await at.answer(EVENT, B, OK)
        assert at.told() == [(EVENT.id, "published")]


async def test_more_acks_than_relays_means_all_of_them(autojump_clock: MockClock) -> None:
    async with press(relays=2, acks=9) as at:
        await at.post(EVENT, tell=True)
        await at.answer(EVENT, A, OK)
        assert at.told() == []
        await at.answer(EVENT, B, OK)
        assert at.told() == [(EVENT.id, "published")]


async def test_an_event_that_too_many_refuse_is_undeliverable(autojump_clock: MockClock) -> None:
    async with press(relays=3, acks=2) as at:
        await at.post(EVENT, tell=True)
        await at.answer(EVENT, A, NO, "blocked: you")
        await at.answer(EVENT, A, NO, "blocked: you")
        await at.answer(EVENT, C, OK)
        assert at.told() == []
        await at.answer(EVENT, B, NO, "invalid: it")
        assert at.told() == [(EVENT.id, "ws://a: blocked: you; ws://b: invalid: it")]


async def test_what_nobody_asks_about_is_dropped_when_refused(autojump_clock: MockClock) -> None:
    async with press() as at:
        await at.post(EVENT)
        await at.answer(EVENT, A, NO, "pow: too little")
        assert (at.told(), await at.rows()) == ([], 0)


async def test_verdicts_on_the_events_of_others_change_nothing(autojump_clock: MockClock) -> None:
    async with press() as at:
        await at.post(EVENT)
        await at.answer(OTHER, A, OK)
        assert (at.told(), await at.rows()) == ([], 1)


async def test_a_publication_survives_a_restart(autojump_clock: MockClock) -> None:
    records: MemoryRecords[Job, JobState] = MemoryRecords()
    async with press(records=records) as at:
        await at.post(EVENT)
    async with press(records=records) as at:
        await trio.testing.wait_all_tasks_blocked()
        assert at.sent() == [EVENT.id]
        await at.answer(EVENT, A, OK)
        assert await at.rows() == 0


async def test_a_busy_store_delays_a_publication_and_loses_none(autojump_clock: MockClock) -> None:
    store = Trouble(MemoryRecords())
    async with press(records=store) as at:
        store.fail("drop", StoreBusy("not now"))
        await at.post(EVENT, OTHER)
        await at.answer(EVENT, A, OK)
        await trio.sleep(60)
        assert at.sent() == [EVENT.id, OTHER.id, EVENT.id, OTHER.id], "published anew"
        await at.answer(EVENT, A, OK)
        await at.answer(OTHER, A, OK)
        assert await at.rows() == 0


async def test_no_more_events_are_on_their_way_than_there_is_room_for(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "MOST_PENDING", 2)
    events = [note(str(number)) for number in range(4)]
    async with press() as at:
        await at.post(*events)
        assert at.sent() == [event.id for event in events[:2]]
        await at.answer(events[1], A, OK)
        assert at.sent() == [events[2].id]
        for event in (events[0], events[2], events[3]):
            await at.answer(event, A, OK)
        assert await at.rows() == 0


async def test_a_full_desk_is_not_stuck_after_a_restart(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verdicts that were in hand when it failed are never given again."""
    monkeypatch.setattr(publisher, "MOST_PENDING", 1)
    store = Trouble(MemoryRecords())
    async with press(records=store) as at:
        await at.post(EVENT)
        store.fail("outbox", StoreBusy("not now"))
        at.hint.poke()
        await trio.sleep(60)
        assert at.sent() == [EVENT.id, EVENT.id]
        await at.answer(EVENT, A, OK)
        assert await at.rows() == 0
