"""A sold job explained: why it is unpaid, and what is owed."""

from collections.abc import Sequence

from pylon.core.explain.story import Explanation, Line, brief, in_order, told_by
from pylon.model.event import Event
from pylon.model.job import (
    Cancelled,
    Delivered,
    Expired,
    Failed,
    Finished,
    Job,
    JobState,
    Offered,
    Received,
    Refunded,
    Refunding,
    Settled,
    Settling,
    Unpaid,
    Working,
)
from pylon.model.money import PayMode, show_sats
from pylon.model.wallet import IssuedInvoice

_WENT_THROUGH = {
    "Received": "admitted and priced; its invoice is being made",
    "Offered": "the customer is asked to pay",
    "Working": "the answer is being computed",
    "Finished": "the answer is signed and on its way to the relays",
    "Delivered": "a relay has the locked answer; its key is for sale",
    "Settling": "a relay has the answer; the money that is held is being taken",
    "Settled": "done",
    "Unpaid": "delivered, and not paid for",
    "Refused": "refused",
    "Failed": "failed",
    "Expired": "the offer has expired unpaid",
    "Cancelled": "called off by its author",
    "Refunding": "the customer's invoice for what is owed is being paid",
    "Refunded": "what was paid is given back",
}


def explain_job(
    job: Job,
    state: JobState,
    *,
    history: Sequence[tuple[int, str, str]],
    events: Sequence[Event],
) -> Explanation:
    """Explain a job we were asked to do. `history` is (unix seconds, phase, words)."""
    lines = [Line(at, _went_through(phase, words)) for at, phase, words in history]
    lines += [told_by(event) for event in (job.request, *events)]
    return Explanation(
        state=type(state).__name__,
        money=_money(job, state),
        next=_next(state),
        facts=_facts(job, state),
        timeline=in_order(lines),
    )


def _went_through(phase: str, words: str) -> str:
    sentence = _WENT_THROUGH.get(phase, phase)
    return f"{sentence}: {brief(words)}" if words else sentence


def _money(job: Job, state: JobState) -> str:
    """Say where the money is."""
    price = show_sats(job.price)
    match state:
        case _ if job.mode is PayMode.FREE:
            return "Nothing is asked for this job."
        case Received():
            return f"{price} will be asked for."
        case Offered(closing=True):
            return f"{price} were asked for; the wallet is asked for the last time."
        case Offered():
            return f"{price} are asked for, and not paid yet."
        case Working(paid=str()) | Finished(paid=str()):
            return f"{price} were paid before the work."
        case Working(held=True) | Finished(held=True) | Settling():
            return f"{price} are held for us; they are ours once a relay has the answer."
        case Working() | Finished():
            return f"{price} will be asked for the key to the answer."
        case Delivered():
            return f"{price} are asked for the key to the answer, and not paid yet."
        case Settled():
            return f"{price} are ours."
        case Unpaid() | Expired():
            return f"{price} were asked for and never paid."
        case Failed(owed=owed) | Cancelled(owed=owed) if owed:
            return f"{show_sats(owed)} were paid and are owed back to the customer."
        case Refunding(owed=owed):
            return f"{show_sats(owed)} are being paid back."
        case Refunded(owed=owed):
            return f"{show_sats(owed)} were paid, and have been given back."
        case _:
            return "Nothing was paid."


def _next(state: JobState) -> str:
    """Say what happens next."""
    match state:
        case Received():
            return "The wallet makes the invoice."
        case Offered() | Delivered():
            return "The customer pays, or the invoice expires."
        case Working():
            return "The backend answers, or the work runs out of time."
        case Finished():
            return "A relay takes the answer."
        case Settling():
            return "The wallet takes what it holds, or says that it went back."
        case Failed(owed=owed) | Cancelled(owed=owed) if owed:
            return "The customer sends an invoice for it, which is paid once."
        case Refunding():
            return "The wallet says whether the customer's invoice is paid."
        case _:
            return "Nothing: it has ended."


def _facts(job: Job, state: JobState) -> tuple[tuple[str, str], ...]:
    """List what proves it, as far as there is anything."""
    invoice = getattr(state, "invoice", None)
    issued = invoice if isinstance(invoice, IssuedInvoice) else None
    hash_ = issued.payment_hash if issued else invoice
    known = {
        "request": job.id,
        "customer": job.customer,
        "why": brief(getattr(state, "reason", "")),
        "backend": f"{job.backend}:{job.model}" if job.backend else None,
        "mode": str(job.mode),
        "price": show_sats(job.price),
        "payment hash": getattr(state, "paid", None) or hash_,
        "invoice": issued.bolt11 if issued else None,
        "result": getattr(state, "result", None),
        "refund": state.refund if isinstance(state, Refunded) else None,
    }
    return tuple((name, str(value)) for name, value in known.items() if value)
