"""Connections, a store and who hears of what, over wires in memory."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
import trio.testing
from attrs import define, evolve, field
from trio.testing import MockClock

from pylon.adapters.memory.events import MemoryEventStore
from pylon.core.relay_rules import Added, RelayRules
from pylon.errors import PeerFault, RelayLost, StoreFull
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.model.ids import PublicKey
from pylon.ports.events import EventStore
from pylon.services.relay_server import RelayServer
from pylon.wire import auth
from pylon.wire.event import encode, sign
from pylon.wire.relay_url import normalise
from tests.nostr import NOW, keys, note

URL = normalise("ws://relay")
RULES = RelayRules(urls=frozenset({URL}))
BOB = keys(2).public_key


class Clock:
    """Wall time that goes with the test's own."""

    def now(self) -> float:
        return NOW + trio.current_time()

    async def sleep_until(self, when: float) -> None:
        await trio.sleep_until(when - NOW)


@define(eq=False)
class Client:
    """The other end of a connection, and the wire between."""

    _to_relay: Any = field(factory=lambda: trio.open_memory_channel[list[str]](1_000))
    _to_client: Any = field(factory=lambda: trio.open_memory_channel[str](100_000))
    reads: bool = True
    pongs: bool = True
    torn: bool = False  # sending fails, receiving does not notice
    pings: int = 0
    end: BaseException | None = None
    ended: trio.Event = field(factory=trio.Event)

    # The relay's side: a `Wire`

    async def send(self, texts: Sequence[str]) -> None:
        if self.torn:
            raise RelayLost("client")
        if not self.reads:
            await trio.sleep_forever()
        try:
            for text in texts:
                await self._to_client[0].send(text)
        except trio.BrokenResourceError:
            raise RelayLost("client") from None

    async def receive(self) -> list[str]:
        try:
            texts: list[str] = await self._to_relay[1].receive()
        except trio.EndOfChannel:
            raise RelayLost("client") from None
        return texts

    async def ping(self) -> None:
        self.pings += 1
        if self.torn:
            raise RelayLost("client")
        if not self.pongs:
            await trio.sleep_forever()

    # Ours

    async def say(self, *messages: Sequence[Any]) -> None:
        await self._to_relay[0].send([_text(message) for message in messages])

    async def hear(self) -> Any:
        return msgspec.json.decode(await self._to_client[1].receive())

    async def hear_until(self, label: str) -> list[Any]:
        heard = [await self.hear()]
        while heard[-1][0] != label:
            heard.append(await self.hear())
        return heard

    async def silence(self) -> bool:
        await trio.testing.wait_all_tasks_blocked()
        waiting: int = self._to_client[1].statistics().current_buffer_used
        return waiting == 0

    async def publish(self, *events: Event) -> list[Any]:
        await self.say(*(("EVENT", event) for event in events))
        return [await self.hear() for _ in events]

    def leave(self) -> None:
        self._to_relay[0].close()
        self._to_client[1].close()


def _text(message: Sequence[Any]) -> str:
    parts = (
        encode(p) if isinstance(p, Event) else msgspec.json.encode(p).decode() for p in message
    )
    return f"[{','.join(parts)}]"


Connect = Callable[[], Client]


@asynccontextmanager
async def relay(
    store: EventStore | None = None, rules: RelayRules = RULES
) -> AsyncGenerator[Callable[..., Client], None]:
    """Run a relay for ten minutes of the test's time; the result connects a client to it."""
    server = RelayServer(store or MemoryEventStore(), rules, Clock(), lambda: "c0ffee")

    async def serve(client: Client) -> None:
        try:
            await server.serve(client)
        except PeerFault as fault:
            client.end = fault
        finally:
            client.ended.set()

    with trio.fail_after(600):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.sweep)

            def connect(**how: Any) -> Client:
                client = Client(**how)
                nursery.start_soon(serve, client)
                return client

            yield connect
            nursery.cancel_scope.cancel()


def ok(event: Event, message: str = "", *, accepted: bool = True) -> list[Any]:
    return ["OK", event.id, accepted, message]


def as_json(event: Event) -> Any:
    return msgspec.json.decode(encode(event))


async def test_an_event_is_acknowledged_found_and_heard(autojump_clock: MockClock) -> None:
    async with relay() as connect:
        alice, bob = connect(), connect()
        await bob.say(["REQ", "live", {"kinds": [1]}])
        assert await bob.hear() == ["EOSE", "live"]
        assert await alice.publish(note()) == [ok(note())]
        assert await bob.hear() == ["EVENT", "live", as_json(note())]
        await bob.say(["REQ", "stored", {}])
        assert await bob.hear() == ["EVENT", "stored", as_json(note())]
        assert await bob.hear() == ["EOSE", "stored"]


async def test_a_client_finds_what_it_published_just_before_in_the_same_breath(
    autojump_clock: MockClock,
) -> None:
    async with relay() as connect:
        alice = connect()
        await alice.say(
            ["EVENT", note("1")], ["EVENT", note("2")], ["REQ", "s", {}], ["COUNT", "c", {}]
        )
        heard = await alice.hear_until("COUNT")
        assert [m[0] for m in heard] == ["OK", "OK", "EVENT", "EVENT", "EOSE", "COUNT"]
        assert heard[-1] == ["COUNT", "c", {"count": 2}]


async def test_a_duplicate_is_told_to_nobody_again(autojump_clock: MockClock) -> None:
    async with relay() as connect:
        alice = connect()
        await alice.say(["REQ", "s", {}])
        await alice.hear()
        await alice.publish(note(), note())
        heard = [await alice.hear()]
        assert await alice.silence()
        assert heard == [ok(note(), "duplicate: already have this event")]


async def test_an_event_that_matches_two_filters_comes_once_a_subscription(
    autojump_clock: MockClock,
) -> None:
    async with relay() as connect:
        alice, bob = connect(), connect()
        await bob.say(["REQ", "s", {"kinds": [1]}, {"authors": [note().pubkey]}], ["REQ", "t", {}])
        assert [await bob.hear(), await bob.hear()] == [["EOSE", "s"], ["EOSE", "t"]]
        await alice.publish(note())
        heard = [await bob.hear(), await bob.hear()]
        assert sorted(m[1] for m in heard) == ["s", "t"]
        assert await bob.silence()


async def test_a_closed_or_replaced_subscription_hears_no_more(autojump_clock: MockClock) -> None:
    async with relay() as connect:
        alice = connect()
        await alice.say(["REQ", "s", {"kinds": [1]}], ["REQ", "s", {"kinds": [2]}])
        await alice.say(["REQ", "t", {}], ["CLOSE", "t"])
        await alice.hear_until("EOSE")
        await alice.hear_until("EOSE")
        await alice.hear_until("EOSE")
        assert await alice.publish(note()) == [ok(note())]
        assert await alice.silence()


async def test_an_ephemeral_event_is_heard_and_not_kept(autojump_clock: MockClock) -> None:
    async with relay() as connect:
        alice, bob = connect(), connect()
        event = note(kind=20_001)
        (answer,) = await alice.publish(event)
        assert answer[2] is False
        assert answer[3].startswith("mute: ")
        await bob.say(["REQ", "s", {"kinds": [20_001]}])
        assert await bob.hear() == ["EOSE", "s"]
        assert await alice.publish(event) == [ok(event)]
        assert await bob.hear() == ["EVENT", "s", as_json(event)]
        await alice.say(["COUNT", "c", {}])
        assert await alice.hear() == ["COUNT", "c", {"count": 0}]


async def test_a_private_message_is_heard_by_those_it_concerns_alone(
    autojump_clock: MockClock,
) -> None:
    async with relay() as connect:
        alice, bob, eve = connect(), connect(), connect()
        answer = sign(auth.draft(URL, "c0ffee", now=NOW), keys(2))
        await bob.say(["AUTH", answer])
        assert await bob.hear() == ok(answer)
        for client in (bob, eve):
            await client.say(["REQ", "s", {}])
            assert await client.hear() == ["EOSE", "s"]
        letter = note("", ("p", BOB), kind=4)
        await alice.publish(letter)
        assert await bob.hear() == ["EVENT", "s", as_json(letter)]
        assert await eve.silence()
        await eve.say(["REQ", "t", {"kinds": [4]}])
        assert await eve.hear() == ["AUTH", "c0ffee"]
        assert (await eve.hear())[:2] == ["CLOSED", "t"]


async def test_a_listener_that_left_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    async with relay() as connect:
        alice, bob = connect(), connect()
        await bob.say(["REQ", "s", {"kinds": [20_001]}])
        await bob.hear()
        bob.leave()
        await bob.ended.wait()
        (answer,) = await alice.publish(note(kind=20_001))
        assert answer[3].startswith("mute: ")


async def test_what_a_client_sent_before_it_left_counts(autojump_clock: MockClock) -> None:
    async with relay() as connect:
        alice, bob = connect(), connect()
        await bob.say(["REQ", "s", {}])
        await bob.hear()
        await alice.say(*(["EVENT", note(str(n))] for n in range(120)))
        alice.leave()
        heard = [await bob.hear() for _ in range(120)]
        assert {m[2]["content"] for m in heard} == {str(n) for n in range(120)}


async def test_what_expires_is_swept_within_minutes(autojump_clock: MockClock) -> None:
    store = MemoryEventStore()
    async with relay(store) as connect:
        await connect().publish(note("", ("expiration", str(NOW + 30))))
        await trio.sleep(70)
        assert await store.count([Filter()], keys=(), now=NOW) == 0


# Between the stored and the live


@define(eq=False)
class SlowStore:
    """A memory store whose answers can be held back."""

    inner: MemoryEventStore = field(factory=MemoryEventStore)
    before_query: Callable[[], Awaitable[None]] | None = None
    after_query: Callable[[], Awaitable[None]] | None = None
    after_add: Callable[[], Awaitable[None]] | None = None
    trouble: Exception | None = None

    async def add(self, events: Sequence[Event]) -> list[Added]:
        if self.trouble:
            raise self.trouble
        added = await self.inner.add(events)
        if self.after_add:
            await self.after_add()
        return added

    async def query(
        self, filters: Sequence[Filter], *, keys: Collection[PublicKey], now: float
    ) -> list[Event]:
        if self.before_query:
            await self.before_query()
        found = await self.inner.query(filters, keys=keys, now=now)
        if self.after_query:
            await self.after_query()
        return found

    async def count(
        self, filters: Sequence[Filter], *, keys: Collection[PublicKey], now: float
    ) -> int:
        if self.before_query:
            await self.before_query()
        return await self.inner.count(filters, keys=keys, now=now)

    async def drop_expired(self, now: float) -> int:
        if self.trouble:
            raise self.trouble
        return await self.inner.drop_expired(now)


async def test_an_event_that_comes_while_the_store_is_searched_is_heard_once(
    autojump_clock: MockClock,
) -> None:
    store = SlowStore()
    async with relay(store) as connect:
        alice, bob = connect(), connect()
        await alice.publish(note("old", at=NOW - 1))

        async def meanwhile() -> None:
            await alice.publish(note("found"))

        async def after() -> None:
            await alice.publish(note("not found"))

        store.before_query, store.after_query = meanwhile, after
        await bob.say(["REQ", "s", {}])
        heard = await bob.hear_until("EOSE")
        assert sorted(m[2]["content"] for m in heard[:-1]) == ["found", "not found", "old"]
        assert await bob.silence()


async def test_an_event_found_before_it_is_told_of_is_heard_once(autojump_clock: MockClock) -> None:
    store, stored, go_on = SlowStore(), trio.Event(), trio.Event()

    async def linger() -> None:
        stored.set()
        await go_on.wait()

    store.after_add = linger
    async with relay(store) as connect:
        alice, bob = connect(), connect()
        await alice.say(["EVENT", note()])
        await stored.wait()
        await bob.say(["REQ", "s", {}])
        assert await bob.hear() == ["EVENT", "s", as_json(note())]
        assert await bob.hear() == ["EOSE", "s"]
        go_on.set()
        assert await alice.hear() == ok(note())
        assert await bob.silence()


async def test_what_is_stored_is_told_of_even_when_its_author_was_dropped_meanwhile(
    autojump_clock: MockClock,
) -> None:
    store, stored, go_on = SlowStore(), trio.Event(), trio.Event()

    async def linger() -> None:
        stored.set()
        await go_on.wait()

    store.after_add = linger
    async with relay(store) as connect:
        stuck, bob = connect(reads=False), connect()
        await bob.say(["REQ", "s", {}])
        await bob.hear()
        await stuck.say(["REQ", "s", {}], ["EVENT", note()])
        await stored.wait()
        await trio.sleep(25)  # its EOSE went unread for 20 seconds
        go_on.set()
        assert await bob.hear() == ["EVENT", "s", as_json(note())]
        await stuck.ended.wait()
        assert trio.current_time() == 25


async def test_a_store_that_does_not_answer_is_an_error_to_who_publishes(
    autojump_clock: MockClock,
) -> None:
    async with relay(SlowStore(after_add=trio.sleep_forever)) as connect:
        message = "error: the event store does not answer"
        assert await connect().publish(note()) == [ok(note(), message, accepted=False)]
        assert trio.current_time() == 30


async def test_a_full_store_refuses_and_the_relay_goes_on(autojump_clock: MockClock) -> None:
    store = SlowStore(trouble=StoreFull("the disk is full"))
    async with relay(store) as connect:
        alice = connect()
        assert await alice.publish(note()) == [
            ok(note(), "error: the disk is full", accepted=False)
        ]
        await trio.sleep(70)
        store.trouble = None
        assert await alice.publish(note()) == [ok(note())]


async def test_a_search_without_end_is_closed_and_hears_nothing(autojump_clock: MockClock) -> None:
    store = SlowStore(before_query=trio.sleep_forever)
    async with relay(store) as connect:
        alice = connect()
        await alice.say(["REQ", "s", {}], ["COUNT", "c", {}])
        assert await alice.hear() == ["CLOSED", "s", "error: the search takes too long"]
        assert await alice.hear() == ["CLOSED", "c", "error: the count takes too long"]
        assert await alice.publish(note()) == [ok(note())]
        assert await alice.silence()


# Clients that do not behave


async def test_a_client_that_reads_nothing_is_dropped_and_holds_nobody_up(
    autojump_clock: MockClock,
) -> None:
    async with relay() as connect:
        alice, bob, stuck = connect(), connect(), connect(reads=False)
        for client in (bob, stuck):
            await client.say(["REQ", "s", {}])
        await bob.hear()
        for n in range(30):
            await alice.publish(note(f"{n}" + "x" * 200_000))
            assert (await bob.hear())[0] == "EVENT"
        assert trio.current_time() < 1
        await stuck.ended.wait()
        assert str(stuck.end) == "too slow to read what it asked for"


async def test_a_client_that_reads_too_slowly_is_dropped_in_time(autojump_clock: MockClock) -> None:
    async with relay() as connect:
        stuck = connect(reads=False)
        await stuck.say(["REQ", "s", {}])
        await stuck.ended.wait()
        assert trio.current_time() == 20


async def test_a_large_answer_waits_for_its_reader(autojump_clock: MockClock) -> None:
    store = MemoryEventStore()
    await store.add([note(f"{n}" + "x" * 200_000) for n in range(100)])
    async with relay(store) as connect:
        alice = connect()
        await alice.say(["REQ", "s", {"limit": 100}])
        heard = await alice.hear_until("EOSE")
        assert len(heard) == 101


async def test_a_silent_client_is_noticed_within_a_minute(autojump_clock: MockClock) -> None:
    async with relay() as connect:
        good, dead = connect(), connect(pongs=False)
        await dead.ended.wait()
        assert str(dead.end) == "silent"
        assert trio.current_time() < 60
        await trio.sleep(300)
        assert not good.ended.is_set()
        assert good.pings > 5


async def test_a_connection_torn_one_way_is_given_up(autojump_clock: MockClock) -> None:
    async with relay() as connect:
        quiet, asking = connect(torn=True), connect(torn=True)
        await asking.say(["REQ", "s", {}])
        await asking.ended.wait()
        assert trio.current_time() == 2
        await quiet.ended.wait()
        assert trio.current_time() == 32


async def test_a_flood_is_hung_up_on_with_the_reason(autojump_clock: MockClock) -> None:
    rules = evolve(RULES, rate=1, burst=10)
    async with relay(rules=rules) as connect:
        alice = connect()
        await alice.say(*(["CLOSE", "s"] for _ in range(40)))
        await alice.ended.wait()
        assert str(alice.end) == "rate-limited: far too many messages"
        notice = ["NOTICE", "invalid: rate-limited: slow down"]
        assert await alice.hear() == notice


async def test_stopping_the_relay_ends_every_connection(autojump_clock: MockClock) -> None:
    async with relay() as connect:
        alice = connect()
        await alice.publish(note())
    assert alice.ended.is_set()
    assert alice.end is None
