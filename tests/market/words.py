"""What providers say, honest and other, signed in one line."""

from typing import Any

from attrs import evolve

from pylon.model.event import Draft, Event, Tags
from pylon.model.invoice import Invoice
from pylon.model.job import FeedbackStatus
from pylon.model.money import Msat, Network
from pylon.model.order import Order
from pylon.model.wallet import IssuedInvoice
from pylon.wire import bolt11, jobs
from pylon.wire.event import sign
from tests.nostr import keys

PAYEE = 3


def an_invoice(now: int, **changes: Any) -> IssuedInvoice:
    """Make an invoice that is good but for the changes."""
    invoice = Invoice(
        network=Network.REGTEST,
        amount=Msat(12_000),
        created_at=now,
        payment_hash=changes.pop("payment_hash", "ab" * 32),
        payment_secret="5e" * 32,
        payee=keys(PAYEE).node_key,
        description="work",
        expiry_seconds=600,
    )
    invoice = evolve(invoice, **changes)
    return IssuedInvoice(
        bolt11.encode(invoice, keys(PAYEE)),
        invoice.payment_hash,
        Msat(invoice.amount or 0),
        invoice.created_at,
        invoice.expires_at,
    )


def an_offer(
    order: Order, invoice: IssuedInvoice, *, by: int = PAYEE, says: int | None = None, at: int = 0
) -> Event:
    """Demand payment of an invoice, or of what it `says` instead."""
    if says is not None:
        invoice = evolve(invoice, amount=Msat(says))
    draft = jobs.write_feedback(
        order.request,
        FeedbackStatus.PAYMENT_REQUIRED,
        now=at or invoice.created_at,
        invoice=invoice,
    )
    # A relay keeps no feedback that has expired; an offer need not say when it does.
    tags = tuple(tag for tag in draft.tags if tag[0] != "expiration")
    return sign(evolve(draft, tags=tags), keys(by))


def a_result(order: Order, text: str, *, by: int, at: int, kind: int | None = None) -> Event:
    """Answer an order."""
    draft = jobs.write_result(order.request, text, now=at)
    return sign(draft if kind is None else evolve(draft, kind=kind), keys(by))


def a_word(
    order: Order, status: FeedbackStatus, *, by: int, at: int, text: str = "", content: str = ""
) -> Event:
    """Say how an order is getting on."""
    draft = jobs.write_feedback(order.request, status, now=at, text=text, content=content)
    return sign(draft, keys(by))


def an_error(order: Order, *, by: int, at: int) -> Event:
    """Refuse an order."""
    return a_word(order, FeedbackStatus.ERROR, by=by, at=at, text="no luck")


def with_tags(event: Event, tags: Tags, *, by: int) -> Event:
    """Sign an event again, with other tags."""
    return sign(Draft(event.kind, event.created_at, tags, event.content), keys(by))
