"""Whatever a relay and the line do: what was asked for is heard, and every publish ends."""

from collections import deque
from enum import Enum, auto
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
from tests.model_relay import SWALLOW, ModelRelay

RELAY = RelayUrl("wss://relay.example")
START = 1_700_000_000
KINDS = (5050, 7000)
CLAMP = 4  # stored events a relay gives at once
SAME_SECOND = CLAMP - 1  # events with one `created_at`; more of them no page can get past
PING = "ping"
LONGEST_DELAY = 600
LATE = 5  # seconds by which an event may be older than its publication
SET_BACK = 5  # seconds the clock may be set back
OVERLAP = LATE + SET_BACK

NAMES = st.sampled_from(["jobs", "x" * 70])
SOME_KINDS = st.lists(st.sampled_from(KINDS), min_size=1, max_size=2, unique=True)
REFUSALS = st.sampled_from(
    ["error: no", "rate-limited: slow", "auth-required: who", "blocked: you", "nonsense"]
)


class Habit(Enum):
    """What relays do to their clients."""

    REFUSES = auto()
    SWALLOWS = auto()  # gives one event or question no answer
    CLOSES = auto()
    DEMANDS_AUTH = auto()
    TRUSTS_AGAIN = auto()
    FALLS_SILENT = auto()  # until the next connection
    STRAYS = auto()  # sends what nobody asked for
    REPEATS = auto()
    HAS_LIMITS = auto()


@define
class World:
    """A session, a relay, and a line between them that keeps messages until it is worked."""

    session: Session = field(factory=lambda: new_session(RELAY, overlap=OVERLAP))
    relay: ModelRelay = field(factory=lambda: ModelRelay(most_stored=CLAMP))
    wall: float = START
    connected: bool = False
    hung_up: bool = False
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
        if self.hung_up:
            self.drop()

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
                self.cursors[name] = cursor
            case SignChallenge(challenge=challenge):
                self.signed += 1
                tags = (("relay", RELAY), ("challenge", challenge))
                return Signed(evolve(an_event(10**9 + self.signed, START, 22242), tags=tags))
            case Ping():
                self.to_relay.append(PING)
            case HangUp():
                self.hung_up = True
        return None

    def connect(self) -> None:
        self.connected = True
        self.relay.silent = False
        self.relay.connect()
        self.news(TimePassed(self.wall))
        self.news(Opened())

    def drop(self) -> None:
        self.connected = self.hung_up = False
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
        self.world.relay.on_store = self.owe

    def make(self, kind: int, late: int) -> Event | None:
        """Make an event of lately, unless its second is full."""
        at = int(self.world.wall) - late
        if self.seconds.get(at, 0) == SAME_SECOND:
            return None
        self.seconds[at] = self.seconds.get(at, 0) + 1
        self.made += 1
        return an_event(self.made, at, kind)

    def owe(self, event: Event) -> None:
        """Owe an event to whoever wants it as it reaches the relay, if it comes in time."""
        for name, want in self.world.wanted.items():
            in_time = event.created_at >= self.world.wall - LATE
            if in_time and filters.matcher(want.filters)(event):
                self.owed[name].add(event.id)

    @initialize()
    def begin(self) -> None:
        self.world.connect()
        self.want("jobs", [*KINDS])

    def want(self, name: str, kinds: list[int]) -> None:
        since = int(self.world.wall) - LATE
        filters = tuple(Filter(kinds=(kind,), since=since) for kind in kinds)
        want = Subscribe(name, filters, durable=True)
        self.world.wanted[name] = want
        self.world.heard.setdefault(name, set())
        self.world.cursors.pop(name, None)
        self.owed[name] = set()
        self.world.news(Ordered(want))

    @rule(name=NAMES, kinds=SOME_KINDS)
    def subscribe(self, name: str, kinds: list[int]) -> None:
        if name not in self.world.wanted:
            self.want(name, kinds)

    @rule(name=NAMES, kinds=SOME_KINDS, again=st.booleans())
    def think_otherwise(self, name: str, kinds: list[int], *, again: bool) -> None:
        if again:
            self.want(name, kinds)
        else:
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

    @rule(back_soon=st.booleans())
    def lose_the_line(self, *, back_soon: bool) -> None:
        self.world.drop()
        if back_soon:
            self.world.connect()

    @rule(up=st.integers(0, 9), down=st.integers(0, 9))
    def work(self, up: int, down: int) -> None:
        self.world.work(up=up, down=down)

    @rule(seconds=st.integers(1, 40))
    def all_is_well_for_a_while(self, seconds: int) -> None:
        for _ in range(seconds):
            if not self.world.connected:
                self.world.connect()
            self.world.work(up=100, down=100)
            self.world.pass_time(1)

    @rule(seconds=st.integers(1, 40))
    def pass_time(self, seconds: int) -> None:
        self.world.pass_time(seconds)

    @rule(ahead=st.booleans())
    def set_the_clock(self, *, ahead: bool) -> None:
        if ahead:
            self.world.wall += 3_600
        elif self.world.wall >= self.latest:
            self.latest = self.world.wall
            self.world.wall -= SET_BACK

    @precondition(lambda self: self.world.connected)
    @rule(habit=st.sampled_from(Habit), message=REFUSALS, data=st.data())
    def misbehave(self, habit: Habit, message: str, data: st.DataObject) -> None:
        world = self.world
        match habit:
            case Habit.REFUSES:
                world.relay.refusals.append(message)
            case Habit.SWALLOWS:
                world.relay.refusals.append(SWALLOW)
            case Habit.CLOSES if world.relay.subscriptions:
                key = data.draw(st.sampled_from(sorted(world.relay.subscriptions)))
                world.relay.close(key, message)
            case Habit.DEMANDS_AUTH:
                world.relay.wants_auth = True
                world.relay.demand()
            case Habit.TRUSTS_AGAIN:
                world.relay.wants_auth = False
            case Habit.FALLS_SILENT:
                world.relay.silent = True
            case Habit.STRAYS:
                key = data.draw(st.sampled_from(["1", "2", "3", "x"]))
                event = an_event(10**8, int(world.wall), 1)
                world.to_us.append(frames.encode(frames.Found(key, event)))
            case Habit.REPEATS if world.to_us:
                world.to_us.append(world.to_us[-1])
            case Habit.HAS_LIMITS:
                limits = Limitation(max_subscriptions=12, max_limit=3, max_message_length=4_000)
                world.news(LimitsLearned(limits))

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
        for _ in range(LONGEST_DELAY + LATE):
            if is_idle(world.session) and not any(self.missing().values()):
                break
            world.work(up=100, down=100)
            if not world.connected:
                world.connect()
            world.pass_time(1)
        assert is_idle(world.session)
        assert not any(self.missing().values())
        for verdicts in world.verdicts.values():
            assert verdicts[-1] is not Verdict.DEFERRED

    def missing(self) -> dict[str, set[EventId]]:
        return {name: ids - self.world.heard[name] for name, ids in self.owed.items()}


TestRelaySession: Any = RelaySessionMachine.TestCase
TestRelaySession.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
