"""One relay as seen from our end: what to send, what to believe, when to give it up.

`advance` is a pure function of the session and the news. A session outlives connections: what is
wanted and what is not yet published survive `Lost`, and are asked and sent again after `Opened`.

Time comes with `TimePassed`, about once a second, and everything here waits in the seconds of
`relay_pulse`.

A challenge is answered once something was refused for want of it, or where NIP-11 announces that
something will be. What was refused is sent again after the relay's OK, never before.
"""

from typing import Final, TypeAlias

from attrs import evolve, field, frozen

from pylon.core import relay_auth as auths
from pylon.core import relay_publishing as publishing
from pylon.core import relay_pulse as pulses
from pylon.core import relay_subscriptions as subscriptions
from pylon.core.relay_auth import Auth
from pylon.core.relay_publishing import Publishing
from pylon.core.relay_pulse import Finding, Pulse
from pylon.core.relay_subscriptions import OVERLAP_SECONDS, Subscriptions
from pylon.errors import Malformed
from pylon.model.event import Event
from pylon.model.ids import RelayUrl
from pylon.model.relays import (
    CursorMoved,
    Publish,
    PublishOutcome,
    RelayCommand,
    StoredSent,
    Subscribe,
    SubscriptionRefused,
    Verdict,
)
from pylon.wire.frames import (
    Challenge,
    Closed,
    EndOfStored,
    Found,
    Ok,
    Prefix,
    RelayFrame,
    Submit,
    encode,
)
from pylon.wire.relay_info import Limitation

# News: what can happen to a session.


@frozen
class Opened:
    """A connection stands. `fraction`, random in [0, 1), spreads this connection's retries."""

    fraction: float = 0.0


@frozen
class Lost:
    """The connection is gone."""


@frozen
class FrameCame:
    """The relay sent a frame."""

    frame: RelayFrame


@frozen
class Ordered:
    """Somebody of ours wants something. `cursor` goes with a durable `Subscribe`."""

    command: RelayCommand
    cursor: int | None = None


@frozen
class TimePassed:
    """It is `now` (unix seconds). `listening` is false while we keep the relay waiting."""

    now: float
    listening: bool = True


@frozen
class Signed:
    """The AUTH event asked for by `SignChallenge`."""

    event: Event


@frozen
class Ponged:
    """The relay answered a ping."""


@frozen
class LimitsLearned:
    """The relay has told its limits (NIP-11)."""

    limits: Limitation


News: TypeAlias = Opened | Lost | FrameCame | Ordered | TimePassed | Signed | Ponged | LimitsLearned

# Orders: what to do about it, in this order.


@frozen
class Send:
    """Send these frames."""

    texts: tuple[str, ...]


@frozen
class Hear:
    """An event came that a subscription asked for: verify it, and hand it on."""

    subscription: str
    event: Event


@frozen
class SignChallenge:
    """Sign an answer to a challenge (`wire.auth`), and bring it as `Signed`."""

    challenge: str


@frozen
class Ping:
    """Ping the relay, and bring its answer as `Ponged`."""


@frozen
class HangUp:
    """Close the connection."""

    why: str


Order: TypeAlias = (
    Send | Hear | SignChallenge | Ping | HangUp
    | PublishOutcome | StoredSent | CursorMoved | SubscriptionRefused
)  # fmt: skip


_FINDINGS: Final[dict[Finding, tuple[Order, ...]]] = {
    Finding.NOTHING: (),
    Finding.PING: (Ping(),),
    Finding.DEAD: (HangUp("no answer to a ping"),),
}


@frozen
class Session:
    """All that is known of one relay."""

    relay: RelayUrl
    subscriptions: Subscriptions
    publishing: Publishing
    limits: Limitation = field(factory=Limitation)
    auth: Auth = field(factory=Auth)
    connected: bool = False
    fraction: float = 0.0
    pulse: Pulse = field(factory=Pulse)
    unasked: int = 0  # events dropped because nothing asked for them

    @property
    def time(self) -> float:
        """Seconds we were awake and listening."""
        return self.pulse.time


@frozen
class Step:
    """The session after the news, and what to do."""

    session: Session
    orders: tuple[Order, ...] = ()


def new_session(relay: RelayUrl, *, overlap: int = OVERLAP_SECONDS) -> Session:
    """Begin with nothing wanted and no connection; `overlap` as in `Subscriptions`."""
    return Session(relay, Subscriptions(relay, overlap), Publishing(relay))


def is_idle(session: Session) -> bool:
    """Say whether every event taken on has met its verdict."""
    return not len(session.publishing)


def advance(session: Session, news: News) -> Step:
    """Take note of the news. Foreign, late and double news change nothing."""
    match news:
        case FrameCame(frame=frame):
            return _frame(session, frame)
        case TimePassed():
            return _time(session, news)
        case Ordered(command=command, cursor=cursor):
            return _ordered(session, command, cursor)
        case Opened(fraction=fraction):
            return _opened(session, fraction)
        case Lost():
            return Step(_lost(session))
        case Signed(event=event):
            return _signed(session, event)
        case Ponged():
            return Step(evolve(session, pulse=pulses.alive(session.pulse)))
        case _:
            return _flush(_wish_auth(evolve(session, limits=news.limits)))


# Connections and commands


def _opened(session: Session, fraction: float) -> Step:
    session = evolve(_lost(session), connected=True, fraction=fraction)
    asked, reports = subscriptions.ask_all(session.subscriptions, session.time)
    return _flush(Step(evolve(session, subscriptions=asked), reports))


def _lost(session: Session) -> Session:
    return evolve(
        session,
        connected=False,
        auth=Auth(),
        pulse=pulses.alive(session.pulse),
        subscriptions=subscriptions.disconnected(session.subscriptions),
        publishing=publishing.disconnected(session.publishing),
    )


def _ordered(session: Session, command: RelayCommand, cursor: int | None) -> Step:
    match command:
        case Publish(event=event):
            return _publish(session, event)
        case Subscribe():
            state, texts = subscriptions.subscribe(session.subscriptions, command, cursor=cursor)
            reports: subscriptions.Reports = ()
            if session.connected:
                state, reports = subscriptions.ask(state, command.name, session.time)
        case _:
            state, texts = subscriptions.unsubscribe(session.subscriptions, command.name)
            reports = ()
    return _flush(Step(evolve(session, subscriptions=state), (*_send(texts), *reports)))


def _publish(session: Session, event: Event) -> Step:
    try:
        text = encode(Submit(event))
    except Malformed as fault:
        refusal = PublishOutcome(event.id, session.relay, Verdict.REFUSED, f"invalid: {fault}")
        return Step(session, (refusal,))
    state, outcomes = publishing.enqueue(session.publishing, event.id, text)
    return _flush(Step(evolve(session, publishing=state), outcomes))


def _frame(session: Session, frame: RelayFrame) -> Step:
    if not session.connected:
        return Step(session)
    pulse = pulses.alive(session.pulse)
    if pulse is not session.pulse:
        session = evolve(session, pulse=pulse)
    match frame:
        case Found(subscription=key, event=event):
            return _found(session, key, event)
        case Ok():
            return _ok(session, frame)
        case EndOfStored(subscription=key):
            state, texts, reports = subscriptions.end_of_stored(session.subscriptions, key)
            return _flush(Step(evolve(session, subscriptions=state), (*_send(texts), *reports)))
        case Closed():
            return _closed(session, frame)
        case Challenge(challenge=challenge):
            return _wish_auth(evolve(session, auth=auths.challenged(session.auth, challenge)))
        case _:  # NOTICE is for people, and COUNT was never asked
            return Step(session)


def _found(session: Session, key: str, event: Event) -> Step:
    state, name = subscriptions.found(session.subscriptions, key, event, session.pulse.wall)
    if not name:
        return Step(evolve(session, unasked=session.unasked + 1))
    if state is not session.subscriptions:
        session = evolve(session, subscriptions=state)
    return Step(session, (Hear(name, event),))


def _ok(session: Session, frame: Ok) -> Step:
    if frame.event_id == session.auth.asked:
        return _authenticated(session, frame)
    state, outcomes = publishing.answered(
        session.publishing,
        frame,
        now=session.time,
        fraction=session.fraction,
        can_auth=session.auth.possible,
    )
    return _flush(_wish_auth(evolve(session, publishing=state), outcomes))


def _closed(session: Session, frame: Closed) -> Step:
    state, reports = subscriptions.closed(
        session.subscriptions,
        frame,
        now=session.time,
        fraction=session.fraction,
        can_auth=session.auth.possible,
    )
    return _flush(_wish_auth(evolve(session, subscriptions=state), reports))


# Authentication


def _wish_auth(session: Session, before: tuple[Order, ...] = ()) -> Step:
    """Ask for a signature where something waits for it, or will."""
    waiting = session.publishing.locked or subscriptions.has_locked(session.subscriptions)
    if not session.connected or not (waiting or session.limits.auth_required):
        return Step(session, before)
    auth, challenge = auths.wish(session.auth, session.time)
    session = evolve(session, auth=auth)
    return Step(session, before if challenge is None else (*before, SignChallenge(challenge)))


def _signed(session: Session, event: Event) -> Step:
    auth, texts = auths.signed(session.auth, event, session.time)
    return Step(evolve(session, auth=auth), _send(texts))


def _authenticated(session: Session, frame: Ok) -> Step:
    session = evolve(session, auth=auths.settled(session.auth))
    if not frame.accepted:
        return _fail_locked(session, frame.message or "error: authentication refused")
    session = evolve(
        session,
        subscriptions=subscriptions.unlock(session.subscriptions),
        publishing=publishing.unlock(session.publishing),
    )
    return _flush(Step(session))


def _fail_locked(session: Session, reason: str) -> Step:
    asked, reports = subscriptions.fail_locked(session.subscriptions, reason)
    going, outcomes = publishing.fail_locked(session.publishing, reason)
    session = evolve(session, subscriptions=asked, publishing=going)
    return _flush(Step(session, (*reports, *outcomes)))


def _time(session: Session, news: TimePassed) -> Step:
    pulse = pulses.passed(session.pulse, news.now, listening=news.listening)
    session = evolve(session, pulse=pulse)
    if not session.connected or not news.listening:
        return Step(session)
    asked, reports = subscriptions.tick(session.subscriptions, session.time)
    going, outcomes = publishing.tick(session.publishing, session.time, session.fraction)
    session = evolve(session, subscriptions=asked, publishing=going)
    return _flush(_check_auth(_check_pulse(session, (*reports, *outcomes))))


def _check_pulse(session: Session, before: tuple[Order, ...]) -> Step:
    pulse, finding = pulses.examine(session.pulse)
    return Step(evolve(session, pulse=pulse), (*before, *_FINDINGS[finding]))


def _check_auth(step: Step) -> Step:
    session = step.session
    if not auths.is_overdue(session.auth, session.time):
        return step
    if session.auth.asked is not None:
        return Step(session, (*step.orders, HangUp("no answer to AUTH")))
    session = evolve(session, auth=auths.settled(session.auth))
    failed = _fail_locked(session, f"{Prefix.AUTH_REQUIRED}: but no challenge came")
    return Step(failed.session, (*step.orders, *failed.orders))


def _flush(step: Step) -> Step:
    """Send what there is room for."""
    session = step.session
    if not session.connected:
        return step
    asked, questions, refusals = subscriptions.start(
        session.subscriptions, session.time, session.limits
    )
    longest = session.limits.max_message_length or None
    going, events, outcomes = publishing.fill(session.publishing, session.time, longest)
    if asked is not session.subscriptions or going is not session.publishing:
        session = evolve(session, subscriptions=asked, publishing=going)
    return Step(session, (*step.orders, *_send(questions + events), *refusals, *outcomes))


def _send(texts: tuple[str, ...]) -> tuple[Send, ...]:
    return (Send(texts),) if texts else ()
