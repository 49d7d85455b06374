"""Decide what happens to a sold job next; do none of it.

`advance` is a pure function of the job, its state and the news. It answers with the next state and
the acts that follow; both are stored in one transaction before anything is done, and every act may
be done twice. Late, double and foreign news leave the state as it is (market.md).

    free                         ► Working ─► Finished ─ published ► Settled
    prepay  Received ► Offered ─ paid ► Working ─► Finished ─ published ► Settled
    hold    Received ► Offered ─ held ► Working ─► Finished ─ published ► Settling ─ paid ► Settled
    locked  Received ► Working ─► Finished ─ published ► Delivered ─ paid ► Settled, or else Unpaid

    Offered ─ expires, and the wallet says unpaid ► Expired
    any failure ► Failed, a cancel ► Cancelled: what is held goes back to its payer, what was paid
    is owed back until the customer sends an invoice for it ► Refunding ► Refunded
"""

from typing import TypeAlias

from attrs import evolve, field, frozen

from pylon.model.event import Event
from pylon.model.ids import EventId, PaymentHash, Preimage
from pylon.model.job import (
    Cancelled,
    Delivered,
    Expired,
    Failed,
    FeedbackStatus,
    Finished,
    Job,
    JobState,
    Offered,
    Received,
    Refund,
    Refunded,
    Refunding,
    Refused,
    Settled,
    Settling,
    Unpaid,
    Working,
)
from pylon.model.money import ZERO, Msat, PayMode
from pylon.model.wallet import InvoiceState, InvoiceStatus, IssuedInvoice

PAYMENT_GRACE_SECONDS = 60  # an invoice paid in its last second is still seen in time
DELIVERY_SECONDS = 86_400  # how long relays that say nothing are waited for
SETTLE_SECONDS = (
    300  # what is held is settled, or given back, so long before it goes back by itself
)
LOOKUP_SECONDS = 5  # how often an unknown refund is asked about
RETRY_SECONDS = 300  # after which a refund that failed is tried again, while its invoice is good

HELD_FIRST = (PayMode.HOLD, PayMode.HOLD_LOCKED)
LOCKED_RESULT = (PayMode.LOCKED, PayMode.HOLD_LOCKED)

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
class Held:
    """The wallet holds the payment of an invoice, until `settle_by` (unix seconds) if it knows."""

    payment_hash: PaymentHash
    settle_by: int | None = None


@frozen
class InvoiceClosed:
    """The wallet says that an invoice was not paid and can no longer be, or that it gave it back."""

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
class RefundAsked:
    """The customer sends an invoice for what is owed (signed, and read for this job)."""

    refund: Refund
    amount: Msat


@frozen
class RefundPaid:
    """The wallet has paid the customer's invoice, and has the preimage."""

    payment_hash: PaymentHash
    preimage: Preimage


@frozen
class RefundRefused:
    """The wallet is certain that the customer's invoice was not paid."""

    payment_hash: PaymentHash


@frozen
class RefundUncertain:
    """The wallet does not know, or did not answer."""

    payment_hash: PaymentHash


@frozen
class TimePassed:
    """It is now this late."""


News: TypeAlias = (
    InvoiceMade
    | InvoiceImpossible
    | Paid
    | Held
    | InvoiceClosed
    | Answered
    | WorkFailed
    | Published
    | Undeliverable
    | CancelAsked
    | RefundAsked
    | RefundPaid
    | RefundRefused
    | RefundUncertain
    | TimePassed
)

# Acts: what the world must now do. Each is an outbox row until its news comes back.


@frozen
class MakeInvoice:
    """Make the job's one invoice (the wallet's idempotency key is the job's id).

    With `knows_preimage` it is to come with its preimage, which will be the key to the result.
    """

    amount: Msat
    expiry_seconds: int
    knows_preimage: bool = False


@frozen
class MakeHoldInvoice:
    """Make the job's one invoice, with its preimage, so that its payment is held for us."""

    amount: Msat
    expiry_seconds: int
    hold_seconds: int


@frozen
class SettleHold:
    """Take what the wallet holds."""

    preimage: Preimage = field(repr=False)


@frozen
class CancelInvoice:
    """Make an invoice unpayable and give back what it holds; what was settled stays settled."""

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
    refund: Msat = ZERO  # what the customer may ask back


@frozen
class Deliver:
    """Publish the signed result, and tell when a relay has it."""

    result: Event


@frozen
class Credit:
    """Count the earning, once per payment hash, if the wallet confirms it."""

    payment_hash: PaymentHash
    amount: Msat


@frozen
class PayRefund:
    """Pay the customer's invoice, once."""

    refund: Refund
    amount: Msat


@frozen
class LookUpRefund:
    """Ask the wallet what became of a refund, by hash."""

    payment_hash: PaymentHash


Act: TypeAlias = (
    MakeInvoice
    | MakeHoldInvoice
    | SettleHold
    | CancelInvoice
    | Run
    | StopWork
    | Say
    | Deliver
    | Credit
    | PayRefund
    | LookUpRefund
)


@frozen
class Step:
    """The outcome of one piece of news."""

    state: JobState
    acts: tuple[Act, ...] = ()


def begin(job: Job, now: int) -> Step:
    """Open an admitted job's life."""
    match job.mode:
        case PayMode.FREE:
            return _start_work(job, now)
        case PayMode.LOCKED:
            expiry = job.offer_seconds + job.work_seconds  # it is for sale once the work is done
            return Step(Received(), (MakeInvoice(job.price, expiry, knows_preimage=True),))
        case PayMode.HOLD | PayMode.HOLD_LOCKED:
            make = MakeHoldInvoice(job.price, job.offer_seconds, hold_seconds(job))
            return Step(Received(), (make,))
        case _:
            return Step(Received(), (MakeInvoice(job.price, job.offer_seconds),))


def hold_seconds(job: Job) -> int:
    """Return for how long a payment must be held: the work, its delivery, and room to settle."""
    return job.work_seconds + 2 * SETTLE_SECONDS


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
        case Delivered():
            return _delivered(job, state, news, now)
        case Settling():
            return _settling(job, state, news)
        case Refunding():
            return _refunding(state, news, now)
        case _:
            return _ended(job, state, news)


def due(job: Job, state: JobState) -> int | None:
    """Return when time itself becomes news for this state (unix seconds)."""
    match state:
        case Received():
            return job.accepted_at + job.offer_seconds
        case Offered(closing=False) | Delivered(closing=False):
            return _closes_at(state)
        case Working(deadline):
            return deadline
        case Finished(give_up_at=give_up_at):
            return give_up_at
        case Refunding(asked_at=int(asked_at)):
            return asked_at + LOOKUP_SECONDS
        case Refunding(retry_at=retry_at):
            return retry_at
        case _:
            return None


def _closes_at(state: Offered | Delivered) -> int:
    return state.invoice.expires_at + PAYMENT_GRACE_SECONDS


def is_final(state: JobState) -> bool:
    """Say whether the job has ended; late money and refunds may still move."""
    return not isinstance(state, Received | Offered | Working | Finished | Delivered | Settling)


def open_invoice(state: JobState) -> IssuedInvoice | None:
    """Return the invoice of which the wallet still has news for this state."""
    match state:
        case Offered() | Working() | Finished() | Delivered() | Settling():
            return state.invoice
        case _:
            return None


def news_of(status: InvoiceStatus) -> News | None:
    """Read what a wallet says of an invoice.

    That one has expired is no news: it may have been paid in its last second, and the wallet is
    asked when that has passed.
    """
    match status.state:
        case InvoiceState.ACCEPTED:
            return Held(status.payment_hash, status.settle_deadline)
        case InvoiceState.SETTLED:
            return Paid(status.payment_hash)
        case InvoiceState.CANCELLED:
            return InvoiceClosed(status.payment_hash)
        case _:
            return None


def _received(job: Job, state: Received, news: News, now: int) -> Step:
    match news:
        case InvoiceMade(invoice) if job.mode is not PayMode.PREPAY and not invoice.preimage:
            return _fail(job, "the wallet keeps the preimage to itself", invoice=invoice)
        case InvoiceMade(invoice) if job.mode is PayMode.LOCKED:
            return _start_work(job, now, invoice=invoice)
        case InvoiceMade(invoice):
            said = Say(FeedbackStatus.PAYMENT_REQUIRED, invoice=invoice)
            return Step(Offered(invoice), (said,))
        case InvoiceImpossible(reason):
            return _fail(job, reason)
        case TimePassed() if now >= job.accepted_at + job.offer_seconds:
            return _fail(job, "the wallet made no invoice in time")
        case CancelAsked():
            return Step(Cancelled())
        case _:
            return Step(state)


def _offered(job: Job, state: Offered, news: News, now: int) -> Step:
    ours = state.invoice.payment_hash
    match news:
        case Paid(payment_hash) if payment_hash == ours:
            return _start_work(job, now, paid=payment_hash)
        case Held(payment_hash, settle_by) if payment_hash == ours and not state.closing:
            return _accept(job, state.invoice, settle_by, now)
        case TimePassed() if not state.closing and now >= _closes_at(state):
            # Paid in time, perhaps, while we were away: only the wallet can tell.
            return Step(evolve(state, closing=True), (CancelInvoice(ours),))
        case InvoiceClosed(payment_hash) if payment_hash == ours:
            return Step(Expired(payment_hash))
        case CancelAsked():
            acts = () if state.closing else (CancelInvoice(ours),)
            return Step(Cancelled(invoice=ours), acts)
        case _:
            return Step(state)


def _accept(job: Job, invoice: IssuedInvoice, settle_by: int | None, now: int) -> Step:
    """Begin to work for money that is held, if it is held for long enough."""
    settle_by = now + hold_seconds(job) if settle_by is None else settle_by
    if settle_by < now + job.work_seconds + SETTLE_SECONDS:
        return _fail(job, "the payment goes back before the work could be done", invoice=invoice)
    return _start_work(job, now, invoice=invoice, settle_by=settle_by)


def _start_work(
    job: Job,
    now: int,
    *,
    paid: PaymentHash | None = None,
    invoice: IssuedInvoice | None = None,
    settle_by: int | None = None,
) -> Step:
    deadline = now + job.work_seconds
    held = settle_by is not None
    working = Working(deadline, paid, invoice, held=held, settle_by=settle_by)
    return Step(working, (Say(FeedbackStatus.PROCESSING), Run(deadline)))


def _working(job: Job, state: Working, news: News, now: int) -> Step:
    match news:
        case Answered(result):
            return _finish(state, result, now)
        case WorkFailed(reason):
            return _fail(job, reason, paid=state.paid, invoice=state.invoice)
        case TimePassed() if now >= state.deadline:
            return _stop(
                _fail(job, "the work took too long", paid=state.paid, invoice=state.invoice)
            )
        case Paid(payment_hash) if _is(state.invoice, payment_hash):
            return Step(Working(state.deadline, payment_hash))
        case Held(payment_hash) if _is(state.invoice, payment_hash):
            return Step(evolve(state, held=True))
        case InvoiceClosed(payment_hash) if _is(state.invoice, payment_hash):
            return _stop(_fail(job, "the payment went back before the answer was there"))
        case CancelAsked() if not (job.streaming and (state.paid or state.held)):
            # What is told piece by piece could be read for nothing: paid for, it is finished.
            return _stop(_cancel(job, paid=state.paid, invoice=state.invoice))
        case _:
            return Step(state)


def _finish(state: Working, result: Event, now: int) -> Step:
    give_up_at = now + DELIVERY_SECONDS
    if state.settle_by is not None:
        give_up_at = state.settle_by - SETTLE_SECONDS
    finished = Finished(
        result.id, state.paid, give_up_at=give_up_at, invoice=state.invoice, held=state.held
    )
    return Step(finished, (Deliver(result), Say(FeedbackStatus.SUCCESS)))


def _finished(job: Job, state: Finished, news: News, now: int) -> Step:
    match news:
        case Published(event_id) if event_id == state.result:
            return _delivery(job, state)
        case Undeliverable(event_id, reason) if event_id == state.result:
            reason = f"no relay takes the result: {reason}"
            return _fail(job, reason, paid=state.paid, invoice=state.invoice)
        case TimePassed() if now >= state.give_up_at:
            reason = "no relay took the result in time"
            return _fail(job, reason, paid=state.paid, invoice=state.invoice)
        case Held(payment_hash) if _is(state.invoice, payment_hash):
            return Step(evolve(state, held=True))
        case Paid(payment_hash) if _is(state.invoice, payment_hash):
            return Step(evolve(state, paid=payment_hash, invoice=None, held=False))
        case InvoiceClosed(payment_hash) if _is(state.invoice, payment_hash):
            return Step(Unpaid(state.result, payment_hash, "the payment went back"))
        case _:
            return Step(state)


def _delivery(job: Job, state: Finished) -> Step:
    """Go on from where a relay has the result."""
    if state.invoice is None:
        credit = () if state.paid is None else (Credit(state.paid, job.price),)
        return Step(Settled(state.result, state.paid), credit)
    if state.held:
        return _settle(state.result, state.invoice)
    return Step(Delivered(state.result, state.invoice))


def _settle(result: EventId, invoice: IssuedInvoice) -> Step:
    acts = () if invoice.preimage is None else (SettleHold(invoice.preimage),)
    return Step(Settling(result, invoice), acts)


def _delivered(job: Job, state: Delivered, news: News, now: int) -> Step:
    ours = state.invoice.payment_hash
    match news:
        case Paid(payment_hash) if payment_hash == ours:
            return Step(Settled(state.result, ours), (Credit(ours, job.price),))
        case Held(payment_hash) if payment_hash == ours and not state.closing:
            return _settle(state.result, state.invoice)
        case TimePassed() if not state.closing and now >= _closes_at(state):
            return Step(evolve(state, closing=True), (CancelInvoice(ours),))
        case InvoiceClosed(payment_hash) if payment_hash == ours:
            return Step(Unpaid(state.result, ours, "not paid in time"))
        case _:
            return Step(state)


def _settling(job: Job, state: Settling, news: News) -> Step:
    ours = state.invoice.payment_hash
    match news:
        case Paid(payment_hash) if payment_hash == ours:
            return Step(Settled(state.result, ours), (Credit(ours, job.price),))
        case InvoiceClosed(payment_hash) if payment_hash == ours:
            return Step(Unpaid(state.result, ours, "the payment went back before it was settled"))
        case _:
            return Step(state)


def _ended(job: Job, state: JobState, news: News) -> Step:
    """Hear of money that comes after the end; what comes to be held goes back."""
    match state, news:
        case Expired() | Failed() | Cancelled() | Unpaid(), Held(payment_hash) if (
            payment_hash == state.invoice
        ):
            return Step(state, (CancelInvoice(payment_hash),))
        case Failed() | Cancelled(), _:
            return _owing(job, state, news)
        case Expired(invoice), Paid(payment_hash) if payment_hash == invoice:
            return _fail(job, "paid after the offer had expired", paid=payment_hash)
        case Unpaid(result, invoice), Paid(payment_hash) if payment_hash == invoice:
            return Step(Settled(result, invoice), (Credit(invoice, job.price),))
        case _:
            return Step(state)


def _owing(job: Job, state: Failed | Cancelled, news: News) -> Step:
    """Owe back what was paid, whenever it was; and give it back for an invoice of the customer's."""
    match news:
        case Paid(payment_hash) if state.paid is None and payment_hash == state.invoice:
            if isinstance(state, Cancelled):
                return _cancel(job, paid=payment_hash)
            return _fail(job, state.reason, paid=payment_hash)
        case RefundAsked(refund, amount) if state.paid is not None and amount == state.owed:
            reason = "called off by its author" if isinstance(state, Cancelled) else state.reason
            refunding = Refunding(reason, state.paid, state.owed, refund)
            return Step(refunding, (PayRefund(refund, amount),))
        case _:
            return Step(state)


def _refunding(state: Refunding, news: News, now: int) -> Step:
    ours = state.refund.payment_hash
    match news:
        case RefundPaid(payment_hash, preimage) if payment_hash == ours:
            return Step(Refunded(state.reason, state.paid, state.owed, ours, preimage))
        case RefundRefused(payment_hash) if payment_hash == ours:
            if now + RETRY_SECONDS >= state.refund.expires_at:
                return Step(Failed(state.reason, state.paid, state.owed))
            return Step(evolve(state, asked_at=None, retry_at=now + RETRY_SECONDS))
        case RefundUncertain(payment_hash) if payment_hash == ours:
            return Step(evolve(state, asked_at=now))
        case TimePassed() if state.asked_at is not None and now >= state.asked_at + LOOKUP_SECONDS:
            return Step(evolve(state, asked_at=now), (LookUpRefund(ours),))
        case TimePassed() if state.retry_at is not None and now >= state.retry_at:
            return Step(evolve(state, retry_at=None), (PayRefund(state.refund, state.owed),))
        case _:
            return Step(state)


def _fail(
    job: Job, reason: str, *, paid: PaymentHash | None = None, invoice: IssuedInvoice | None = None
) -> Step:
    """End without an answer: give back what is held, owe what was paid."""
    owed = ZERO if paid is None else job.price
    ours = None if invoice is None else invoice.payment_hash
    acts = () if ours is None else (CancelInvoice(ours),)
    said = Say(FeedbackStatus.ERROR, reason, refund=owed)
    return Step(Failed(reason, paid, owed, ours), (*acts, said))


def _cancel(
    job: Job, *, paid: PaymentHash | None = None, invoice: IssuedInvoice | None = None
) -> Step:
    """End as its author asks: give back what is held, owe what was paid."""
    if paid is not None:
        said = Say(FeedbackStatus.ERROR, "called off by its author", refund=job.price)
        return Step(Cancelled(paid=paid, owed=job.price), (said,))
    if invoice is None:
        return Step(Cancelled())
    ours = invoice.payment_hash
    return Step(Cancelled(invoice=ours), (CancelInvoice(ours),))


def _stop(step: Step) -> Step:
    return evolve(step, acts=(StopWork(), *step.acts))


def _is(invoice: IssuedInvoice | None, payment_hash: PaymentHash) -> bool:
    return invoice is not None and invoice.payment_hash == payment_hash
