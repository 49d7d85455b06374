"""The actor that keeps one relay connected."""

import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

import trio
from attrs import define, field

from pylon.core.backoff import Backoff
from pylon.core.recent import Recent
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
from pylon.errors import PeerFault, RelayLost
from pylon.model.event import Event
from pylon.model.ids import EventId, RelayUrl
from pylon.model.relays import (
    Heard,
    Publish,
    PublishOutcome,
    RelayCommand,
    RelayHealth,
    RelayReport,
    Subscribe,
    Verdict,
)
from pylon.ports.channels import Hint, Inbox
from pylon.ports.clock import Clock
from pylon.ports.cursors import Cursors
from pylon.ports.keys import Signer
from pylon.ports.relay import Dial, FetchInfo, Wire
from pylon.wire import auth, event, frames

log = logging.getLogger(__name__)

RECONNECT = Backoff(first=1.0, ceiling=60.0)
HEALTHY_SECONDS = 30.0  # a connection that stood so long was worth having
DIAL_SECONDS = 15.0
SEND_SECONDS = 30.0
TICK_SECONDS = 1.0
COMMAND_BATCH = 64
SEND_BATCH = 64  # messages
CHECK_BATCH = 50  # messages between two checkpoints: each may cost a signature's verification
MOST_REPORTS = 256  # that wait for the pool before we stop reading
MOST_FAULTS = 100  # forged or unreadable messages on one connection
ACCEPTED_EVENTS = 16_384


@define(eq=False)
class Relay:
    """One relay: connect, stay connected, obey commands, report.

    Everything decided is decided by `core.relay_session`; news are applied to it where they
    arrive, between two awaits, and its orders go into lists that a task of their own works off. So
    a command never waits for a report to be taken, and no cycle of waiting can come about.

    `verified` (signatures by event id) and `handed_on` (event ids by subscription) are shared with
    the other relays: what another one has brought is not verified, or not reported, a second time.
    """

    url: RelayUrl
    commands: trio.MemoryReceiveChannel[RelayCommand]
    reports: trio.MemorySendChannel[tuple[RelayReport, ...]]
    dial: Dial
    fetch_info: FetchInfo
    signer: Signer
    clock: Clock
    cursors: Cursors
    verified: Recent[EventId, str]
    handed_on: Mapping[str, Recent[EventId, None]]
    fraction: Callable[[], float] = random.random
    _session: Session = field(init=False)
    _inbox: Inbox[RelayCommand] = field(init=False)
    _accepted: Recent[EventId, None] = field(init=False)
    _outbox: deque[str] = field(factory=deque, init=False)
    _reports: list[RelayReport] = field(factory=list, init=False)
    _to_send: Hint = field(factory=Hint, init=False)
    _to_report: Hint = field(factory=Hint, init=False)
    _to_ping: Hint = field(factory=Hint, init=False)
    _room: Hint = field(factory=Hint, init=False)
    _moved: Hint = field(factory=Hint, init=False)
    _listening: bool = field(default=True, init=False)
    _connection: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _why_lost: str = field(default="", init=False)
    _faults: int = field(default=0, init=False)
    _knows_limits: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._session = new_session(self.url)
        self._inbox = Inbox(self.commands, COMMAND_BATCH)
        self._accepted = Recent(ACCEPTED_EVENTS)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until the commands end; then wait until what is connected has taken every event.

        The caller bounds that wait. May be run again after a failure: nothing is forgotten.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._stay_connected)
            nursery.start_soon(self._keep_time)
            nursery.start_soon(self._report)
            task_status.started()
            await self._obey()
            await self._finish()
            nursery.cancel_scope.cancel(f"{self.url} is no longer needed")

    # Commands

    async def _obey(self) -> None:
        while batch := await self._inbox.take():
            for command in batch:
                await self._take(command)
            self._inbox.done()

    async def _take(self, command: RelayCommand) -> None:
        cursor = None
        match command:
            case Subscribe(name=name, durable=True):
                cursor = await self.cursors.load(self.url, name)
            case Publish(event=Event(id=event_id)) if event_id in self._accepted:
                self._tell(PublishOutcome(event_id, self.url, Verdict.ACCEPTED))
                return
        self._feed(Ordered(command, cursor))

    async def _finish(self) -> None:
        while self._reports or (self._session.connected and not is_idle(self._session)):
            await self._moved.wait()

    # News in, orders out

    def _feed(self, news: News) -> None:
        waiting = deque((news,))
        while waiting:
            step = advance(self._session, waiting.popleft())
            self._session = step.session
            for order in step.orders:
                if (answer := self._carry_out(order)) is not None:
                    waiting.append(answer)
        self._moved.poke()

    def _carry_out(self, order: Order) -> News | None:
        match order:
            case Hear(subscription=name, event=heard):
                self._hear(name, heard)
            case Send(texts=texts):
                self._outbox.extend(texts)
                self._to_send.poke()
            case SignChallenge(challenge=challenge):
                draft = auth.draft(self.url, challenge, now=int(self.clock.now()))
                return Signed(self.signer.sign(draft))
            case Ping():
                self._to_ping.poke()
            case HangUp(why=why):
                self._hang_up(why)
            case report:
                self._tell(report)
        return None

    def _tell(self, report: RelayReport) -> None:
        if isinstance(report, PublishOutcome) and report.verdict is Verdict.ACCEPTED:
            self._accepted.put(report.event_id, None)
        self._reports.append(report)
        self._to_report.poke()

    def _hear(self, name: str, heard: Event) -> None:
        """Report an event if it is what it claims to be, and not reported yet.

        Only verified ids are remembered, with their signatures: a forgery under a true id is
        neither believed nor does it keep the true event out.
        """
        if heard.id in self.handed_on.get(name, ()):
            return
        try:
            if self.verified.get(heard.id) != heard.sig or event.event_id(heard) != heard.id:
                event.check(heard)
                self.verified.put(heard.id, heard.sig)
        except PeerFault as fault:
            self._fault(fault)
        else:
            self._tell(Heard(name, heard, self.url))

    def _fault(self, fault: PeerFault) -> None:
        self._faults += 1
        log.debug("%s: %s", self.url, fault)
        if self._faults == MOST_FAULTS:
            self._hang_up(f"{MOST_FAULTS} forged or unreadable messages, the last: {fault}")

    # The connection

    async def _stay_connected(self) -> None:
        failures = 0
        while True:
            began = trio.current_time()
            why = await self._connect()
            healthy = trio.current_time() - began >= HEALTHY_SECONDS
            failures = 1 if healthy else failures + 1
            delay = RECONNECT.after(failures, self.fraction())
            log.info("%s: %s; connecting again in %.1f s", self.url, why, delay)
            self._tell(RelayHealth(self.url, connected=False, detail=why))
            await trio.sleep(delay)

    async def _connect(self) -> str:
        """Be connected once; returns why it ended."""
        try:
            with trio.move_on_after(DIAL_SECONDS) as dialling:
                async with self.dial(self.url) as wire:
                    dialling.deadline = float("inf")
                    await self._converse(wire)
                return self._why_lost
        except RelayLost as lost:
            return self._why_lost or lost.why
        return f"no connection within {DIAL_SECONDS:.0f} s"

    async def _converse(self, wire: Wire) -> None:
        self._why_lost, self._faults = "", 0
        try:
            async with trio.open_nursery() as nursery:
                self._connection = nursery.cancel_scope
                self._feed(TimePassed(self.clock.now()))
                self._feed(Opened(self.fraction()))
                self._tell(RelayHealth(self.url, connected=True))
                for task in (self._read, self._write, self._ping):
                    nursery.start_soon(self._until_lost, task, wire)
                nursery.start_soon(self._learn_limits)
        finally:
            self._outbox.clear()
            self._feed(Lost())

    async def _until_lost(self, task: Callable[[Wire], Awaitable[None]], wire: Wire) -> None:
        try:
            await task(wire)
        except RelayLost as lost:
            self._hang_up(lost.why)

    def _hang_up(self, why: str) -> None:
        self._why_lost = self._why_lost or why
        self._connection.cancel(why)

    async def _read(self, wire: Wire) -> None:
        while True:
            for number, text in enumerate(await wire.receive(), start=1):
                self._read_one(text)
                if number % CHECK_BATCH == 0:
                    await self._pause()
            await self._pause()

    def _read_one(self, text: str) -> None:
        try:
            frame = frames.decode_relay(text)
        except PeerFault as fault:
            self._fault(fault)
        else:
            self._feed(FrameCame(frame))

    async def _pause(self) -> None:
        """Let others run; while the pool is slow the relay waits, and we do not hold it against it."""
        await trio.lowlevel.checkpoint()
        try:
            while len(self._reports) >= MOST_REPORTS:
                self._listening = False
                await self._room.wait()
        finally:
            self._listening = True

    async def _write(self, wire: Wire) -> None:
        while True:
            while self._outbox:
                batch = [self._outbox.popleft() for _ in range(min(SEND_BATCH, len(self._outbox)))]
                with trio.move_on_after(SEND_SECONDS) as sending:
                    await wire.send(batch)
                if sending.cancelled_caught:
                    raise RelayLost(self.url, "it takes nothing any more")
            await self._to_send.wait()

    async def _ping(self, wire: Wire) -> None:
        while True:
            await self._to_ping.wait()
            await wire.ping()
            self._feed(Ponged())

    async def _learn_limits(self) -> None:
        if not self._knows_limits and (info := await self.fetch_info(self.url)) is not None:
            self._knows_limits = True
            self._feed(LimitsLearned(info.limitation))

    # Tasks that last

    async def _keep_time(self) -> None:
        due = trio.current_time()
        while True:
            self._feed(TimePassed(self.clock.now(), listening=self._listening))
            due = max(due + TICK_SECONDS, trio.current_time())
            await trio.sleep_until(due)

    async def _report(self) -> None:
        while True:
            while batch := tuple(self._reports):
                await self.reports.send(batch)
                del self._reports[: len(batch)]
                self._room.poke()
                self._moved.poke()
            await self._to_report.wait()
