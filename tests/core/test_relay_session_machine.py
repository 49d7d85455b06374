"""Whatever a relay and the line do: what was asked for is heard, and every publish ends."""

from collections import deque
from typing import Any

from attrs import define, evolve, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pylon.core.relay_session import (
    FrameCame,
    HangUp,
    Hear,
    LimitsLearned,
    Lost,
    News,
    Opened,
    Order,
    Ordered,
    Ping,
    Ponged,
    Send,
    Session,
    SignChallenge,
    Signed,
    TimePassed,
    advance,
    is_idle,
    new_session,
)
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.model.ids import EventId, PublicKey, RelayUrl
from pylon.model.relays import (
    CursorMoved,
    Publish,
    PublishOutcome,
    Subscribe,
    Unsubscribe,
    Verdict,
)
from pylon.wire import filters, frames
from pylon.wire.relay_info import Limitation
from tests.model_relay import ModelRelay

RELAY = RelayUrl("wss://relay.example")
START = 1_700_000_000
KINDS = (5050, 7000)
CLAMP = 4  # stored events a relay gives at once
SAME_SECOND = CLAMP - 1  # events with one `created_at`; more of them no page can get past
PING = "ping"
LATE = 5  # seconds by which an event may be older than its publication
SET_BACK = 5  # seconds the clock may be set back
OVERLAP = LATE + SET_BACK

NAMES = st.sampled_from(["jobs", "x" * 70])
REFUSALS = st.sampled_from(
    ["error: no", "rate-limited: slow", "auth-required: who", "blocked: you", "nonsense"]
)


@define
class World:
    """A session, a relay, and a line between them that keeps messages until it is worked."""

    session: Session = field(factory=lambda: new_session(RELAY, overlap=OVERLAP))
    relay: ModelRelay = field(factory=lambda: ModelRelay(most_stored=CLAMP))
    wall: float = START
    connected: bool = False
    to_relay: deque[str] = field(factory=deque)
    to_us: deque[str] = field(factory=deque)
    wanted: dict[str, Subscribe] = field(factory=dict)
    heard: dict[str, set[EventId]] = field(factory=dict)
    verdicts: dict[EventId, list[Verdict]] = field(factory=dict)
    cursors: dict[str, int] = field(factory=dict)
    signed: int = 0

    def news(self, news: News) -> None:
        waiting = deque([news])
        while waiting:
            step = advance(self.session, waiting.popleft())
            self.session = step.session
            for order in step.orders:
                if (answer := self.obey(order)) is not None:
                    waiting.append(answer)

    def obey(self, order: Order) -> News | None:
        match order:
            case Send(texts=texts):
                assert self.connected
                self.to_relay.extend(texts)
            case Hear(subscription=name, event=event):
                assert event.kind in {k for f in self.wanted[name].filters for k in f.kinds or ()}
                self.heard[name].add(event.id)
            case PublishOutcome(event_id=event_id, verdict=verdict):
                self.verdicts[event_id].append(verdict)
            case CursorMoved(subscription=name, cursor=cursor):
                assert self.wanted[name].durable
                assert cursor <= self.wall
                self.cursors[name] = cursor
            case SignChallenge(challenge=challenge):
                self.signed += 1
                tags = (("relay", RELAY), ("challenge", challenge))
                return Signed(evolve(an_event(10**9 + self.signed, START, 22242), tags=tags))
            case Ping():
                self.to_relay.append(PING)
            case HangUp():
                self.drop()
        return None

    def connect(self) -> None:
        self.connected = True
        self.relay.connect()
        self.news(TimePassed(self.wall))
        self.news(Opened())

    def drop(self) -> None:
        self.connected = False
        self.to_relay.clear()
        self.to_us.clear()
        self.relay.subscriptions.clear()
        self.news(Lost())

    def work(self, *, up: int, down: int) -> None:
        for _ in range(min(up, len(self.to_relay))):
            text = self.to_relay.popleft()
            if text != PING:
                self.relay.hear(text)
            elif not self.relay.silent:
                self.relay.said.append(PING)
        self.to_us.extend(self.relay.take())
        for _ in range(min(down, len(self.to_us))):
            if not self.connected:
                return
            text = self.to_us.popleft()
            self.news(Ponged() if text == PING else FrameCame(frames.decode_relay(text)))

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.wall += 1
            self.news(TimePassed(self.wall))


def an_event(number: int, at: int, kind: int) -> Event:
    return Event(EventId(f"{number:064x}"), PublicKey("a" * 64), at, kind, (), "", sig="0" * 128)


class RelaySessionMachine(RuleBasedStateMachine):
    """Rules are what users, relay, line and clock may do, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.made = 0
        self.latest = 0.0
        self.seconds: dict[int, int] = {}
        self.owed: dict[str, set[EventId]] = {}

    def make(self, kind: int, late: int) -> Event | None:
        """Make an event of lately, unless its second is full."""
        at = int(self.world.wall) - late
        if self.seconds.get(at, 0) == SAME_SECOND:
            return None
        self.seconds[at] = self.seconds.get(at, 0) + 1
        self.made += 1
        event = an_event(self.made, at, kind)
        for name, want in self.world.wanted.items():
            if want.durable and filters.matcher(want.filters)(event):
                self.owed[name].add(event.id)
        return event

    @initialize()
    def begin(self) -> None:
        self.world.news(TimePassed(START))

    @rule(name=NAMES, kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=2, unique=True))
    def subscribe(self, name: str, kinds: list[int]) -> None:
        since = int(self.world.wall) - LATE
        want = Subscribe(name, tuple(Filter(kinds=(kind,), since=since) for kind in kinds), True)
        self.world.wanted[name] = want
        self.world.heard.setdefault(name, set())
        self.world.cursors.pop(name, None)
        self.owed[name] = set()
        self.world.news(Ordered(want))

    @rule(name=NAMES)
    def unsubscribe(self, name: str) -> None:
        self.world.wanted.pop(name, None)
        self.owed.pop(name, None)
        self.world.news(Ordered(Unsubscribe(name)))

    @rule(kind=st.sampled_from(KINDS), late=st.integers(0, LATE))
    def publish(self, kind: int, late: int) -> None:
        if (event := self.make(kind, late)) is not None:
            self.world.verdicts[event.id] = []
            self.world.news(Ordered(Publish(event)))

    @rule(kind=st.sampled_from(KINDS), late=st.integers(0, LATE), count=st.integers(1, 6))
    def others_publish(self, kind: int, late: int, count: int) -> None:
        for n in range(count):
            if (event := self.make(kind, (late + n) % (LATE + 1))) is not None:
                self.world.relay.store(event)
                self.world.to_us.extend(self.world.relay.take() if self.world.connected else ())

    @rule()
    def connect(self) -> None:
        if not self.world.connected:
            self.world.connect()

    @rule()
    def lose_the_line(self) -> None:
        self.world.drop()

    @rule(up=st.integers(0, 9), down=st.integers(0, 9))
    def work(self, up: int, down: int) -> None:
        self.world.work(up=up, down=down)

    @rule(seconds=st.integers(1, 40))
    def pass_time(self, seconds: int) -> None:
        self.world.pass_time(seconds)

    @rule()
    def set_the_clock_ahead(self) -> None:
        self.world.wall += 3_600

    @precondition(lambda self: self.world.wall >= self.latest)
    @rule()
    def set_the_clock_back(self) -> None:
        self.latest = self.world.wall
        self.world.wall -= SET_BACK

    @precondition(lambda self: self.world.to_us)
    @rule()
    def say_it_twice(self) -> None:
        self.world.to_us.append(self.world.to_us[-1])

    @precondition(lambda self: self.world.connected)
    @rule(key=st.sampled_from(["1", "2", "3", "x"]), kind=st.sampled_from([*KINDS, 1]))
    def stray(self, key: str, kind: int) -> None:
        event = an_event(10**8, int(self.world.wall), kind)
        self.world.to_us.append(frames.encode(frames.Found(key, event)))

    @rule(messages=st.lists(REFUSALS, max_size=3))
    def refuse(self, messages: list[str]) -> None:
        self.world.relay.refusals.extend(messages)

    @precondition(lambda self: self.world.relay.subscriptions)
    @rule(message=REFUSALS, data=st.data())
    def close_a_subscription(self, message: str, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.world.relay.subscriptions)))
        self.world.relay.close(key, message)

    @rule(wants=st.booleans())
    def demand_auth(self, wants: bool) -> None:
        self.world.relay.wants_auth = wants
        if wants and self.world.connected:
            self.world.relay.demand()

    @rule()
    def fall_silent(self) -> None:
        self.world.relay.silent = True

    @rule()
    def learn_limits(self) -> None:
        limits = Limitation(max_subscriptions=12, max_limit=3, max_message_length=4_000)
        self.world.news(LimitsLearned(limits))

    @rule()
    def restart_the_program(self) -> None:
        """Everything in memory goes; the cursors and what is wanted stay."""
        self.world.drop()
        self.world.session = new_session(RELAY, overlap=OVERLAP)
        self.world.verdicts.clear()
        self.world.news(TimePassed(self.world.wall))
        for name, want in self.world.wanted.items():
            self.world.news(Ordered(want, self.world.cursors.get(name)))

    @invariant()
    def no_event_meets_two_verdicts(self) -> None:
        for verdicts in self.world.verdicts.values():
            assert [v for v in verdicts if v is not Verdict.DEFERRED] in (
                [],
                [Verdict.ACCEPTED],
                [Verdict.REFUSED],
            )
            assert Verdict.DEFERRED in verdicts[:1] or len(verdicts) <= 1

    def teardown(self) -> None:
        """In the end the relay behaves, and all that is owed is delivered."""
        world = self.world
        world.relay.silent = world.relay.wants_auth = False
        world.relay.refusals.clear()
        world.drop()
        world.connect()
        for _ in range(700):  # longer than the longest delay
            world.work(up=100, down=100)
            if not world.connected:
                world.connect()
            world.pass_time(1)
        assert is_idle(world.session)
        for event_id, verdicts in world.verdicts.items():
            assert verdicts, event_id
            assert verdicts[-1] is not Verdict.DEFERRED
        for name, owed in self.owed.items():
            assert owed & world.relay.stored.keys() <= world.heard[name]


TestRelaySession: Any = RelaySessionMachine.TestCase
TestRelaySession.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
