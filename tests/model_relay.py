"""A small relay as a value machine: texts in, texts out, and switches for its bad habits."""

from collections import Counter
from collections.abc import Callable, Iterator

from attrs import define, field

from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.wire import filters, frames
from pylon.wire.frames import (
    Authenticate,
    Challenge,
    Close,
    Closed,
    EndOfStored,
    Found,
    Ok,
    RelayFrame,
    Req,
    Submit,
)

SWALLOW = "swallow"  # as a refusal: say nothing at all


@define
class ModelRelay:
    """One relay with one client. What it has to say collects in `said` until it is taken."""

    stored: dict[str, Event] = field(factory=dict)
    most_stored: int = 1_000  # per filter, the newest
    wants_auth: bool = False
    silent: bool = False  # takes everything, says nothing
    refusals: list[str] = field(factory=list)  # messages for the next EVENTs or REQs
    subscriptions: dict[str, tuple[Filter, ...]] = field(factory=dict)
    challenge: str = ""
    authenticated: bool = False
    connections: int = 0
    asked: list[Req] = field(factory=list)
    submitted: Counter[str] = field(factory=Counter)
    answers: list[Event] = field(factory=list)  # to challenges
    said: list[str] = field(factory=list)
    on_store: Callable[[Event], None] = lambda _event: None

    def connect(self) -> None:
        """Begin a connection: nothing of the one before is left but what is stored."""
        self.connections += 1
        self.subscriptions.clear()
        self.said.clear()
        self.authenticated = False
        self.challenge = ""
        if self.wants_auth:
            self.demand()

    def demand(self) -> None:
        """Send a challenge, newer than any."""
        self.challenge = f"challenge {self.connections}.{len(self.answers)}.{len(self.said)}"
        self.say(Challenge(self.challenge))

    def say(self, frame: RelayFrame) -> None:
        if not self.silent:
            self.said.append(frames.encode(frame))

    def take(self) -> list[str]:
        """Return what was said since the last time."""
        said, self.said = self.said, []
        return said

    def hear(self, text: str) -> None:
        """Take a message of the client."""
        match frames.decode_client(text):
            case Submit(event=event):
                self._submitted(event)
            case Req(subscription=key, filters=asked) as req:
                self.asked.append(req)
                self._requested(key, asked)
            case Close(subscription=key):
                self.subscriptions.pop(key, None)
            case Authenticate(event=event):
                self.answers.append(event)
                fits = event.tag("challenge") == self.challenge != ""
                self.authenticated = self.authenticated or fits
                self.say(Ok(event.id, fits, "" if fits else "invalid: another challenge"))

    def store(self, event: Event) -> None:
        """Take an event from anybody, and pass it on."""
        if event.id in self.stored:
            return
        self.stored[event.id] = event
        self.on_store(event)
        for key, asked in self.subscriptions.items():
            if filters.matcher(asked)(event):
                self.say(Found(key, event))

    def close(self, key: str, message: str) -> None:
        """End a subscription."""
        if self.subscriptions.pop(key, None) is not None:
            self.say(Closed(key, message))

    def _refusal(self) -> str:
        if self.wants_auth and not self.authenticated:
            return "auth-required: who are you?"
        return self.refusals.pop(0) if self.refusals else ""

    def _submitted(self, event: Event) -> None:
        self.submitted[event.id] += 1
        if refusal := self._refusal():
            if refusal != SWALLOW:
                self.say(Ok(event.id, accepted=False, message=refusal))
            return
        known = event.id in self.stored
        self.store(event)
        self.say(Ok(event.id, accepted=True, message="duplicate: have it" if known else ""))

    def _requested(self, key: str, asked: tuple[Filter, ...]) -> None:
        if refusal := self._refusal():
            if refusal != SWALLOW:
                self.say(Closed(key, refusal))
            return
        self.subscriptions[key] = asked
        for event in {event.id: event for one in asked for event in self._newest(one)}.values():
            self.say(Found(key, event))
        self.say(EndOfStored(key))

    def _newest(self, one: Filter) -> Iterator[Event]:
        matching = [event for event in self.stored.values() if filters.matches(one, event)]
        matching.sort(key=lambda event: (-event.created_at, event.id))
        limit = self.most_stored if one.limit is None else min(one.limit, self.most_stored)
        yield from matching[:limit]
