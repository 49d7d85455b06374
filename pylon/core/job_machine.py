"""Decide what happens to a sold job next; do none of it.

`advance` is a pure function of the job, its state and the news. It answers with the next state and
the acts that follow; both are stored in one transaction before anything is done, and every act may
be done twice. Late, double and foreign news leave the state as it is (market.md).

    Received ─ invoiced ► Offered ─ paid ► Working ─ answered ► Finished ─ published ► Settled
    free ────────────────────────────────► Working ─ failed ► Failed (what was paid is owed back)
    Offered ─ expires, and the wallet says unpaid ► Expired ─ paid late ► owed back
    any of these ─ cancel ► Cancelled
"""

from typing import TypeAlias

from attrs import evolve, frozen

from pylon.model.event import Event
from pylon.model.ids import EventId, PaymentHash
from pylon.model.job import (
    Cancelled,
    Expired,
    Failed,
    FeedbackStatus,
    Finished,
    Job,
    JobState,
    Offered,
    Received,
    Refused,
    Settled,
    Working,
)
from pylon.model.money import ZERO, Msat, PayMode
from pylon.model.wallet import IssuedInvoice

PAYMENT_GRACE_SECONDS = 60  # an invoice paid in its last second is still seen in time
DELIVERY_SECONDS = 86_400  # how long relays that say nothing are waited for

# News: what can happen to a job.


@frozen
class InvoiceMade:
    """The wallet made the invoice asked for."""

    invoice: IssuedInvoice


@frozen
class InvoiceImpossible:
    """The wallet cannot make the invoice, now or later."""

    reason: str


@frozen
class Paid:
    """The wallet says that an invoice is settled: the only evidence that counts."""

    payment_hash: PaymentHash


@frozen
class InvoiceClosed:
    """The wallet says that an invoice was not paid and can no longer be."""

    payment_hash: PaymentHash


@frozen
class Answered:
    """The work is done; its result is signed."""

    result: Event


@frozen
class WorkFailed:
    """The work cannot be done."""

    reason: str


@frozen
class Published:
    """Enough relays have taken an event."""

    event_id: EventId


@frozen
class Undeliverable:
    """Every relay has refused an event for good."""

    event_id: EventId
    reason: str


@frozen
class CancelAsked:
    """The job's author wants it called off (NIP-09 event, author already checked)."""


@frozen
class TimePassed:
    """It is now this late."""


News: TypeAlias = (
    InvoiceMade
    | InvoiceImpossible
    | Paid
    | InvoiceClosed
    | Answered
    | WorkFailed
    | Published
    | Undeliverable
    | CancelAsked
    | TimePassed
)

# Acts: what the world must now do. Each is an outbox row until its news comes back.


@frozen
class MakeInvoice:
    """Make the job's one invoice (the wallet's idempotency key is the job's id)."""

    amount: Msat
    expiry_seconds: int


@frozen
class CancelInvoice:
    """Make an invoice unpayable; a wallet that has been paid already says so."""

    payment_hash: PaymentHash


@frozen
class Run:
    """Compute the answer."""

    deadline: int


@frozen
class StopWork:
    """Stop computing: nobody wants the answer any more."""


@frozen
class Say:
    """Publish feedback (kind 7000)."""

    status: FeedbackStatus
    text: str = ""
    invoice: IssuedInvoice | None = None


@frozen
class Deliver:
    """Publish the signed result, and tell when a relay has it."""

    result: Event


@frozen
class Credit:
    """Count the earning, once per payment hash, if the wallet confirms it."""

    payment_hash: PaymentHash
    amount: Msat


Act: TypeAlias = MakeInvoice | CancelInvoice | Run | StopWork | Say | Deliver | Credit


@frozen
class Step:
    """The outcome of one piece of news."""

    state: JobState
    acts: tuple[Act, ...] = ()


def begin(job: Job, now: int) -> Step:
    """Open an admitted job's life."""
    if job.mode is PayMode.FREE:
        return _start_work(job, now, paid=None)
    return Step(Received(), (MakeInvoice(job.price, job.offer_seconds),))


def refuse(reason: str) -> Step:
    """Open and close the life of a job that is not admitted."""
    return Step(Refused(reason), (Say(FeedbackStatus.ERROR, reason),))


def advance(job: Job, state: JobState, news: News, now: int) -> Step:
    """Apply `news`, heard at `now` (unix seconds), to `state`. Total: it never raises."""
    match state:
        case Received():
            return _received(job, state, news, now)
        case Offered():
            return _offered(job, state, news, now)
        case Working():
            return _working(job, state, news, now)
        case Finished():
            return _finished(job, state, news, now)
        case _:
            return _ended(job, state, news)


def due(job: Job, state: JobState) -> int | None:
    """Return when time itself becomes news for this state (unix seconds)."""
    match state:
        case Received():
            return job.accepted_at + job.offer_seconds
        case Offered(closing=False):
            return _closes_at(state)
        case Working(deadline):
            return deadline
        case Finished(give_up_at=give_up_at):
            return give_up_at
        case _:
            return None


def _closes_at(state: Offered) -> int:
    return state.invoice.expires_at + PAYMENT_GRACE_SECONDS


def is_final(state: JobState) -> bool:
    """Say whether nothing more is to be done (late money aside)."""
    return isinstance(state, Settled | Refused | Failed | Expired | Cancelled)


def _received(job: Job, state: Received, news: News, now: int) -> Step:
    match news:
        case InvoiceMade(invoice):
            said = Say(FeedbackStatus.PAYMENT_REQUIRED, invoice=invoice)
            return Step(Offered(invoice), (said,))
        case InvoiceImpossible(reason):
            return _fail(job, reason, paid=None)
        case TimePassed() if now >= job.accepted_at + job.offer_seconds:
            return _fail(job, "the wallet made no invoice in time", paid=None)
        case CancelAsked():
            return Step(Cancelled())
        case _:
            return Step(state)


def _offered(job: Job, state: Offered, news: News, now: int) -> Step:
    match news:
        case Paid(payment_hash) if payment_hash == state.invoice.payment_hash:
            return _start_work(job, now, paid=payment_hash)
        case TimePassed() if not state.closing and now >= _closes_at(state):
            # Paid in time, perhaps, while we were away: only the wallet can tell.
            withdrawn = CancelInvoice(state.invoice.payment_hash)
            return Step(evolve(state, closing=True), (withdrawn,))
        case InvoiceClosed(payment_hash) if payment_hash == state.invoice.payment_hash:
            return Step(Expired(payment_hash))
        case CancelAsked():
            withdrawn = CancelInvoice(state.invoice.payment_hash)
            acts = () if state.closing else (withdrawn,)
            return Step(Cancelled(invoice=state.invoice.payment_hash), acts)
        case _:
            return Step(state)


def _start_work(job: Job, now: int, *, paid: PaymentHash | None) -> Step:
    deadline = now + job.work_seconds
    return Step(Working(deadline, paid), (Say(FeedbackStatus.PROCESSING), Run(deadline)))


def _working(job: Job, state: Working, news: News, now: int) -> Step:
    match news:
        case Answered(result):
            done = Say(FeedbackStatus.SUCCESS)
            finished = Finished(result.id, state.paid, give_up_at=now + DELIVERY_SECONDS)
            return Step(finished, (Deliver(result), done))
        case WorkFailed(reason):
            return _fail(job, reason, paid=state.paid)
        case TimePassed() if now >= state.deadline:
            step = _fail(job, "the work took too long", paid=state.paid)
            return evolve(step, acts=(StopWork(), *step.acts))
        case CancelAsked():
            return Step(
                Cancelled(paid=state.paid, owed=_paid_amount(job, state.paid)), (StopWork(),)
            )
        case _:
            return Step(state)


def _finished(job: Job, state: Finished, news: News, now: int) -> Step:
    match news:
        case Published(event_id) if event_id == state.result:
            credit = () if state.paid is None else (Credit(state.paid, job.price),)
            return Step(Settled(state.result, state.paid), credit)
        case Undeliverable(event_id, reason) if event_id == state.result:
            return _fail(job, f"no relay takes the result: {reason}", paid=state.paid)
        case TimePassed() if now >= state.give_up_at:
            return _fail(job, "no relay took the result in time", paid=state.paid)
        case _:
            return Step(state)


def _ended(job: Job, state: JobState, news: News) -> Step:
    """Money that comes after the end is owed back, once."""
    match state, news:
        case Expired(invoice), Paid(payment_hash) if payment_hash == invoice:
            return _fail(job, "paid after the offer had expired", paid=payment_hash)
        case Cancelled(invoice=invoice, paid=None), Paid(payment_hash) if payment_hash == invoice:
            return Step(Cancelled(paid=payment_hash, owed=job.price))
        case _:
            return Step(state)


def _fail(job: Job, reason: str, *, paid: PaymentHash | None) -> Step:
    owed = _paid_amount(job, paid)
    return Step(Failed(reason, paid, owed), (Say(FeedbackStatus.ERROR, reason),))


def _paid_amount(job: Job, paid: PaymentHash | None) -> Msat:
    return ZERO if paid is None else job.price
