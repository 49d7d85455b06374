"""The relay pool against an independent relay, which cuts every connection after 6,000 messages."""

import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from pylon.adapters.clock import SystemClock
from pylon.adapters.keys import LocalSigner
from pylon.adapters.memory.cursors import MemoryCursors
from pylon.app.relays import Pool, open_pool
from pylon.model.event import Draft, Event
from pylon.model.filter import Filter
from pylon.model.ids import EventId, RelayUrl
from pylon.model.relays import Heard, Publish, Subscribe, Verdict
from tests.integration.market import free_port
from tests.nostr import keys

MANY = 6_500
SECONDS = 50
PER_SECOND = 100  # events with one `created_at`, well under what the relay gives at once
KIND = 5050


@asynccontextmanager
async def local_relay(mode: str = "open", most_stored: int = 500) -> AsyncGenerator[RelayUrl, None]:
    """Run nostr-sdk's relay in a process of its own."""
    arguments = (str(free_port()), mode, str(most_stored))
    command = [sys.executable, "-m", "tests.integration.local_relay", *arguments]
    with trio.fail_after(SECONDS):
        relay = await trio.lowlevel.open_process(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert relay.stdin is not None
        assert relay.stdout is not None
        async with relay.stdin, relay.stdout:
            try:
                yield RelayUrl((await relay.stdout.receive_some()).decode().strip())
            finally:
                relay.kill()
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
                    await relay.wait()


def a_pool(url: RelayUrl, person: int = 1) -> AbstractAsyncContextManager[Pool]:
    return open_pool(
        [url], signer=LocalSigner(keys(person)), cursors=MemoryCursors(), clock=SystemClock()
    )


def many(count: int, began: int) -> list[Event]:
    signer = LocalSigner(keys())
    drafts = (Draft(KIND, began - n // PER_SECOND, (), str(n)) for n in range(count))
    return [signer.sign(draft) for draft in drafts]


async def take(pool: Pool, count: int) -> list[EventId]:
    """Return what is heard, until there is so much of it."""
    heard: list[EventId] = []
    while len(heard) < count:
        if isinstance(item := await pool.heard.receive(), Heard):
            heard.append(item.event.id)
    return heard


async def accepted(pool: Pool, count: int) -> set[EventId]:
    """Return what the relay has accepted, until it is so much."""
    done: set[EventId] = set()
    while len(done) < count:
        outcome = await pool.outcomes.receive()
        if outcome.verdict is Verdict.ACCEPTED:
            done.add(outcome.event_id)
    return done


async def test_more_events_than_the_relay_suffers_on_a_connection_all_arrive_both_ways() -> None:
    began = int(time.time())
    events = many(MANY, began)
    ids = {event.id for event in events}
    want = Subscribe("jobs", (Filter(kinds=(KIND,), since=began - 600),), durable=True)
    heard: list[EventId] = []
    async with local_relay() as url, a_pool(url) as pool:

        async def listen() -> None:
            heard.extend(await take(pool, MANY))

        async def publish() -> None:
            for event in events:
                await pool.commands.send(Publish(event))

        await pool.commands.send(want)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            nursery.start_soon(publish)
            assert await accepted(pool, MANY) == ids

        assert len(heard) == MANY
        assert set(heard) == ids


async def test_a_page_at_a_time_everything_stored_is_fetched() -> None:
    began = int(time.time())
    events = many(1_500, began)
    want = Subscribe("jobs", (Filter(kinds=(KIND,), since=began - 600),), durable=True)
    async with local_relay(most_stored=PER_SECOND + 50) as url:
        async with a_pool(url) as writer:
            writer.heard.close()
            for event in events:
                await writer.commands.send(Publish(event))
            await accepted(writer, len(events))
        async with a_pool(url, person=2) as reader:
            await reader.commands.send(want)

            assert set(await take(reader, len(events))) == {event.id for event in events}


async def test_auth_is_given_to_a_relay_that_demands_it_for_reading_and_writing() -> None:
    began = int(time.time())
    (event,) = many(1, began)
    want = Subscribe("jobs", (Filter(kinds=(KIND,), since=began - 600),), durable=True)
    async with local_relay("auth") as url, a_pool(url) as pool:
        await pool.commands.send(want)
        await pool.commands.send(Publish(event))

        assert await accepted(pool, 1) == {event.id}
        assert await take(pool, 1) == [event.id]
