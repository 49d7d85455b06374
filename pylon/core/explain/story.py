"""The shape of an explanation, and the lines that signed events add to it."""

from collections.abc import Iterable

from attrs import frozen

from pylon.errors import PeerFault
from pylon.model.event import Event
from pylon.model.ids import PublicKey
from pylon.model.job import FeedbackStatus
from pylon.model.money import show_sats
from pylon.wire import deletion, jobs
from pylon.wire import event as events
from pylon.wire.jobs.refund import STATUS as REFUND
from pylon.wire.jobs.tags import read_amount, read_locked, read_mode, read_modes, read_msat

MAX_WORDS = 200  # characters of what strangers say that are repeated


@frozen
class Line:
    """One thing that happened. `author` signed it; None: it is known from this node's memory."""

    at: int  # unix seconds, by the clock of whoever tells it
    words: str
    author: PublicKey | None = None
    event: str | None = None  # the id of the signed event that says so


@frozen
class Explanation:
    """Everything there is to say of one job, for people and for programs."""

    state: str  # the class of the state
    money: str  # where it is
    next: str  # what happens without anybody doing anything, or what to do
    facts: tuple[tuple[str, str], ...]  # amounts, hashes, ids: what proves it
    timeline: tuple[Line, ...]  # in order


def in_order(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Sort by time; what is told of one second keeps its order."""
    return tuple(sorted(lines, key=lambda line: line.at))


def told_by(event: Event, *, chosen: str | None = None) -> Line:
    """Say what a signed event says; `chosen` is the id of the offer that was taken. Total."""
    try:
        words = _words(event, chosen)
    except PeerFault as fault:
        words = f"an event that cannot be read: {fault}"
    return Line(event.created_at, brief(words), event.pubkey, event.id)


def brief(text: str) -> str:
    """Make a stranger's text fit for one line."""
    text = " ".join(events.clean(text).split())
    return text if len(text) <= MAX_WORDS else f"{text[:MAX_WORDS]}…"


def _words(event: Event, chosen: str | None) -> str:
    if event.kind in jobs.REQUEST_KINDS:
        modes = read_modes(event.tags) or ()
        return "asks" + (f", and would pay by {', '.join(modes)}" if modes else "")
    if event.kind in jobs.RESULT_KINDS:
        return _result(event, chosen)
    if event.kind == jobs.FEEDBACK_KIND:
        return _feedback(event, chosen)
    if event.kind == deletion.KIND:
        return "calls the job off"
    return f"publishes an event of kind {event.kind}"


def _result(event: Event, chosen: str | None) -> str:
    if read_locked(event.tags) is None:
        return "answers"
    amount, invoice = read_amount(event.tags)
    if amount is None or invoice is None:
        return "answers, locked until the payment is settled"
    taken = "" if chosen in (None, event.id) else "; not taken"
    return f"answers, and offers the key for {show_sats(amount)}{taken}"


def _feedback(event: Event, chosen: str | None) -> str:
    status, text = event.tag("status") or "", _detail(event)
    if status == REFUND:
        return "sends an invoice for what is owed"
    amount, invoice = read_amount(event.tags)
    if status == FeedbackStatus.PAYMENT_REQUIRED and amount is not None and invoice:
        mode, taken = read_mode(event.tags), "; this offer is taken" if chosen == event.id else ""
        lost = "; not taken" if chosen not in (None, event.id) else ""
        return f"offers for {show_sats(amount)}{f', {mode}' if mode else ''}{taken}{lost}"
    owed = event.tag("refund")
    promise = f", and promises {show_sats(read_msat(owed))} back" if owed else ""
    return f"says {status}{f': {text}' if text else ''}{promise}"


def _detail(event: Event) -> str:
    tag = next((tag for tag in event.tags if tag[:1] == ("status",)), ())
    return tag[2] if len(tag) > 2 else ""  # noqa: PLR2004 - NIP-90: status, word, text
