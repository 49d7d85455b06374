"""Requests to a wallet and its answers, over the relays of one connection string.

Requests and answers are ephemeral events: whoever does not listen misses them. So the subscription
stands before anything is sent, and after a connection was lost each request that still waits for
its answer is sent again as the same event, which a wallet answers once (NIP-47).
"""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

import trio
from attrs import define, evolve, field

from pylon.adapters.keys import LocalSigner
from pylon.adapters.lightning.nwc.line import Line
from pylon.errors import Misconfigured, PeerFault, WalletUnavailable
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.model.ids import EventId, RelayUrl
from pylon.model.job import Encryption
from pylon.ports.clock import Clock
from pylon.ports.keys import conceal
from pylon.ports.relay import Dial
from pylon.ports.wallet import ANSWER_SECONDS
from pylon.wire import auth
from pylon.wire import event as events
from pylon.wire.frames import (
    Authenticate,
    Challenge,
    Closed,
    EndOfStored,
    Found,
    Ok,
    Prefix,
    RelayFrame,
    Req,
    Submit,
    encode,
    prefix,
)
from pylon.wire.nwc import events as nwc
from pylon.wire.nwc.events import ServiceInfo
from pylon.wire.nwc.payloads import (
    Notification,
    Refusal,
    Request,
    read_notification,
    read_response,
    write_request,
)
from pylon.wire.nwc.uri import WalletUri

T = TypeVar("T")

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 10.0  # for a relay to be reached, and the wallet's info event to come
CLOCK_SLACK_SECONDS = 600
_SUBSCRIPTION = "nwc"
_SHOWN = 120  # characters of a reason that a relay chose
_LARGEST = events.Limits(content=1 << 18, tags=32)


@define(eq=False)
class _Asked:
    """A request that waits for its answer."""

    event: Event
    refusals: dict[RelayUrl, str] = field(factory=dict)
    answer: Event | None = None


@define(eq=False)
class Session:
    """One client of one wallet. `notified` and `resumed` are called as things happen."""

    _uri: WalletUri
    _clock: Clock
    _dial: Dial
    _fraction: Callable[[], float]
    lines: list[Line] = field(init=False)
    _signer: LocalSigner = field(init=False)
    notified: Callable[[Notification], None] = field(default=lambda _: None, init=False)
    resumed: Callable[[], None] = field(default=lambda: None, init=False)
    _asked: dict[EventId, _Asked] = field(factory=dict, init=False)
    _info: tuple[int, ServiceInfo] | None = field(default=None, init=False)
    _authenticating: set[EventId] = field(factory=set, init=False)
    _news: trio.Event = field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._signer = LocalSigner(self._uri.keys())
        self.lines = [Line(url, self._dial, self, self._fraction) for url in self._uri.relays]

    async def run(self) -> None:
        """Keep every relay connected until cancelled."""
        async with trio.open_nursery() as nursery:
            for line in self.lines:
                nursery.start_soon(line.run)

    async def info(self) -> ServiceInfo:
        """Return what the wallet says it can do.

        Raises:
            WalletUnavailable: if no relay can be reached, or none has the wallet's word.
        """
        with trio.move_on_after(PATIENCE_SECONDS):
            while self._info is None or not any(line.up for line in self.lines):
                await self._moved()
            return self._info[1]
        raise WalletUnavailable(self._trouble())

    async def call(
        self, request: Request, wanted: type[T], *, seconds: float = ANSWER_SECONDS
    ) -> T | Refusal:
        """Ask, and return the result, or why there is none.

        Raises:
            WalletUnavailable: without an answer in time; the wallet may still do it, but only
                within `seconds`, for the request says so.
            Misconfigured: The wallet speaks no encryption that we know.
        """
        void_at = int(self._clock.now() + seconds)
        with trio.move_on_after(seconds):
            encryption = (await self.info()).preferred()
            if encryption is None:
                raise Misconfigured("the wallet wants an encryption that is not known here")
            answer = await self._ask(request, encryption, void_at)
            return self._read(answer, wanted)
        raise WalletUnavailable(self._trouble() or f"the wallet does not answer for {seconds:g} s")

    async def _ask(self, request: Request, encryption: Encryption, void_at: int) -> Event:
        text = conceal(self._signer, write_request(request), self._uri.wallet, encryption)
        now = int(self._clock.now())
        draft = nwc.request_draft(self._uri.wallet, text, encryption, now=now, void_at=void_at)
        asked = _Asked(self._signer.sign(draft))
        self._asked[asked.event.id] = asked
        try:
            for line in self.lines:
                line.send(encode(Submit(asked.event)))
            while asked.answer is None:
                self._check_taken(asked)
                await self._moved()
        finally:
            del self._asked[asked.event.id]
        return asked.answer

    def _check_taken(self, asked: _Asked) -> None:
        """Give up on a request that every relay we reach has refused."""
        up = [line.url for line in self.lines if line.up]
        if up and all(url in asked.refusals for url in up):
            why = "; ".join(f"{url}: {asked.refusals[url]}" for url in up)
            raise WalletUnavailable(f"the wallet was not reached: {why}")

    def _read(self, answer: Event, wanted: type[T]) -> T | Refusal:
        try:
            return read_response(self._signer.decrypt(answer.content, answer.pubkey), wanted)
        except PeerFault as fault:
            raise WalletUnavailable(f"the wallet's answer cannot be read: {fault}") from fault

    def _trouble(self) -> str:
        """Say why no relay helps; nothing where one is connected and the wallet is known."""
        down = [f"{line.url}: {line.trouble}" for line in self.lines if not line.up]
        if len(down) == len(self.lines):
            return "the wallet's relays cannot be reached: " + "; ".join(down)
        if self._info is None:
            return "the wallet has not said on its relays what it can do: is it running?"
        return ""

    # What happens on a line

    def opened(self, line: Line) -> None:
        """Listen first, then ask again what was not answered."""
        line.send(encode(Req(_SUBSCRIPTION, self._wanted())))
        for asked in self._asked.values():
            asked.refusals.pop(line.url, None)
            line.send(encode(Submit(asked.event)))
        self._tell()

    def _wanted(self) -> tuple[Filter, ...]:
        """Ask for all that the wallet says to us; some wallets do not say whom they answer."""
        since = int(self._clock.now()) - CLOCK_SLACK_SECONDS
        about_us = {"p": (self._signer.public_key,)}
        told = tuple(nwc.NOTIFICATION_KINDS.values())
        wanted = Filter(authors=(self._uri.wallet,))
        return (
            evolve(wanted, kinds=(nwc.INFO_KIND,), limit=1),
            evolve(wanted, kinds=(nwc.RESPONSE_KIND,), since=since),
            evolve(wanted, kinds=told, tags=about_us, since=since),
        )

    def closed(self) -> None:
        """Let those who wait see that a relay is gone."""
        self._tell()

    def came(self, line: Line, frame: RelayFrame) -> None:
        """Take note of a frame."""
        match frame:
            case Found(event=event):
                self._hear(event)
            case Ok():
                self._said(line, frame)
            case EndOfStored():
                self.resumed()
            case Challenge(challenge=challenge):
                draft = auth.draft(line.url, challenge, now=int(self._clock.now()))
                event = self._signer.sign(draft)
                self._authenticating.add(event.id)
                line.send(encode(Authenticate(event)))
            case Closed(message=message) if prefix(message) is not Prefix.AUTH_REQUIRED:
                line.hang_up(f"does not let us listen: {message[:_SHOWN]}")
            case _:
                return
        self._tell()

    def _said(self, line: Line, frame: Ok) -> None:
        if frame.event_id in self._authenticating:
            self._authenticating.discard(frame.event_id)
            if frame.accepted:
                self.opened(line)
            return
        asked = self._asked.get(frame.event_id)
        kept = frame.accepted or prefix(frame.message) in (Prefix.DUPLICATE, Prefix.AUTH_REQUIRED)
        if asked is not None and not kept:
            asked.refusals[line.url] = frame.message[:_SHOWN]

    def _hear(self, event: Event) -> None:
        """Believe the wallet alone."""
        if event.pubkey != self._uri.wallet:
            return
        try:
            events.check(event, _LARGEST)
            self._take(event)
        except PeerFault as fault:
            log.debug("passed over: %s", fault)

    def _take(self, event: Event) -> None:
        if event.kind == nwc.INFO_KIND:
            if self._info is None or event.created_at >= self._info[0]:
                self._info = (event.created_at, nwc.read_info(event))
        elif event.kind == nwc.RESPONSE_KIND:
            asked = self._asked.get(nwc.answered_request(event))
            if asked is not None:
                asked.answer = event
        elif event.kind in self._notification_kinds():
            text = self._signer.decrypt(event.content, event.pubkey)
            self.notified(read_notification(text))

    def _notification_kinds(self) -> Iterable[int]:
        """Listen to one of the two kinds: a wallet that knows both encryptions sends both."""
        encryption = None if self._info is None else self._info[1].preferred()
        return () if encryption is None else (nwc.NOTIFICATION_KINDS[encryption],)

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def _moved(self) -> None:
        await self._news.wait()
