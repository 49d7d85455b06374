"""One client of the relay, from its first message to its last."""

from collections.abc import Sequence

import trio
from attrs import define, field

from pylon.core.relay_rules import RelayRules
from pylon.core.relay_server import (
    CountStored,
    HangUp,
    Order,
    PassOn,
    Reply,
    Session,
    Step,
    Store,
    Subscribe,
    Unsubscribe,
    begin,
    close,
    passed_on,
    receive,
    stored,
)
from pylon.errors import PeerFault, RelayLost, Transient
from pylon.model.event import Event
from pylon.ports.clock import Clock
from pylon.ports.relay import Wire
from pylon.services.relay_server.hub import Hub, Listener
from pylon.services.relay_server.outbox import Outbox
from pylon.wire.frames import Closed, Counted, EndOfStored, Ok, RelayFrame, Tally, encode

_BURST = 50  # messages between two checkpoints: about 4 ms of verifying
_PAGE = 100  # stored events between two looks at the outbox
_SEND_SECONDS = 20.0
_QUERY_SECONDS = 5.0
_PING_SECONDS = 30.0
_PONG_SECONDS = 15.0
_LAST_WORDS_SECONDS = 2.0


@define(eq=False)
class Connection:
    """Reads, decides through the machine, carries out, answers; four things a client can stall."""

    _wire: Wire
    _hub: Hub
    _rules: RelayRules
    _clock: Clock
    _session: Session = field(init=False)
    _listeners: dict[str, Listener] = field(factory=dict, init=False)
    _outbox: Outbox = field(init=False)
    _scope: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _fault: str | None = field(default=None, init=False)

    async def run(self, challenge: str) -> None:
        """Serve the client until it leaves.

        Raises:
            PeerFault: if it had to be dropped, and why.
        """
        self._outbox = Outbox(lambda: self._drop("too slow to read what it asked for"))
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    nursery.start_soon(self._keep_alive)
                    await self._read(challenge)
                    self._outbox.close()
                    self._wind_up()
        finally:
            for listener in self._listeners.values():
                self._hub.forget(listener)
        if self._fault is not None:
            raise PeerFault(self._fault)

    def _drop(self, reason: str) -> None:
        self._fault = reason
        self._scope.cancel(reason)

    def _wind_up(self) -> None:
        """Leave what is under way a moment: what the client said before it left still counts."""
        self._scope.deadline = trio.current_time() + _LAST_WORDS_SECONDS

    async def _read(self, challenge: str) -> None:
        step = begin(challenge, now=self._clock.now(), rules=self._rules)
        await self._follow(step)
        try:
            while self._fault is None:
                texts = await self._wire.receive()
                for start in range(0, len(texts), _BURST):
                    await self._handle(texts[start : start + _BURST])
                    await self._outbox.room()
        except RelayLost:
            pass

    async def _write(self) -> None:
        try:
            while texts := await self._outbox.take():
                with trio.fail_after(_SEND_SECONDS):
                    await self._wire.send(texts)
        except trio.TooSlowError:
            self._drop("too slow to read what it asked for")
        except RelayLost:
            self._outbox.discard()
            self._wind_up()
        else:
            self._scope.cancel("all is said")

    async def _keep_alive(self) -> None:
        due = trio.current_time()
        try:
            while True:
                due += _PING_SECONDS
                await trio.sleep_until(due)
                with trio.fail_after(_PONG_SECONDS):
                    await self._wire.ping()
        except trio.TooSlowError:
            self._drop("silent")
        except RelayLost:
            self._wind_up()

    async def _handle(self, texts: Sequence[str]) -> None:
        """Apply messages in order; events that follow one another are stored in one go."""
        now = self._clock.now()
        unsaved: list[Event] = []
        for text in texts:
            step = receive(self._session, text, now=now, rules=self._rules)
            self._session = step.session
            for order in step.orders:
                if isinstance(order, Store):
                    unsaved.append(order.event)
                    continue
                if unsaved and not isinstance(order, Reply):
                    await self._keep(unsaved)
                    unsaved = []
                await self._carry_out(order)
        if unsaved:
            await self._keep(unsaved)

    async def _follow(self, step: Step) -> None:
        self._session = step.session
        for order in step.orders:
            await self._carry_out(order)  # no event among them

    async def _carry_out(self, order: Order) -> None:
        match order:
            case Reply(frame=frame):
                self._reply(frame)
            case PassOn(event=event):
                self._reply(passed_on(event, self._hub.tell(event)))
            case Subscribe():
                await self._subscribe(order)
            case Unsubscribe(name=name):
                self._hub.forget(self._listeners.pop(name))
            case CountStored():
                await self._count(order)
            case HangUp(reason=reason):
                self._fault = reason

    def _reply(self, frame: RelayFrame) -> None:
        self._outbox.put(encode(frame))

    async def _keep(self, events: Sequence[Event]) -> None:
        try:
            added = await self._hub.keep(events)
        except Transient as trouble:
            for event in events:
                self._reply(Ok(event.id, accepted=False, message=f"error: {trouble}"))
        else:
            for event, outcome in zip(events, added, strict=True):
                self._reply(stored(event, outcome))

    async def _subscribe(self, order: Subscribe) -> None:
        """Listen first and look after, so that no event falls between the two."""
        name = order.name
        if replaced := self._listeners.pop(name, None):
            self._hub.forget(replaced)
        self._listeners[name] = listener = Listener(name, self._outbox, lambda: self._session.keys)
        self._hub.listen(listener, order.filters)
        try:
            with trio.fail_after(_QUERY_SECONDS):
                found = await self._hub.store.query(
                    order.filters, keys=self._session.keys, now=self._clock.now()
                )
        except (trio.TooSlowError, Transient):
            await self._follow(close(self._session, name, "error: the search takes too long"))
            return
        for count, event in enumerate(listener.unheard(found, self._hub.in_flight), start=1):
            listener.send(event)
            if count % _PAGE == 0 or self._outbox.crowded:
                await self._outbox.room()
        self._reply(EndOfStored(name))

    async def _count(self, order: CountStored) -> None:
        try:
            with trio.fail_after(_QUERY_SECONDS):
                count = await self._hub.store.count(
                    order.filters, keys=self._session.keys, now=self._clock.now()
                )
        except (trio.TooSlowError, Transient):
            self._reply(Closed(order.query, "error: the count takes too long"))
        else:
            self._reply(Counted(order.query, Tally(count)))
