"""Asking for money back: a customer's invoice for what a provider owes, hidden from all others.

NIP-90 has no word for it. It travels as feedback of the customer on its own job, kind 7000 with the
status `refund`, so that relays which carry jobs carry it too. The content is NIP-44 to the provider
of a JSON array of tags, `[["amount", msat, bolt11]]`.
"""

from typing import Final

from attrs import frozen

from pylon.errors import Malformed
from pylon.model.event import Draft, Event, Tags
from pylon.model.ids import JobId, PublicKey
from pylon.model.money import Msat
from pylon.model.wallet import IssuedInvoice
from pylon.wire import expiration, json
from pylon.wire.jobs.feedback import FEEDBACK_KIND
from pylon.wire.jobs.tags import (
    parse_tags,
    plaintext,
    read_amount,
    read_job,
    read_key,
    write_amount,
)

STATUS: Final = "refund"


@frozen
class RefundRequest:
    """A customer wants back what was paid for a job. Nothing in it is checked against the job yet."""

    job: JobId
    customer: PublicKey
    provider: PublicKey
    amount: Msat
    bolt11: str


def hide_refund(invoice: IssuedInvoice) -> str:
    """Return the text that is encrypted to the provider."""
    return json.encode(write_amount(invoice.amount, invoice.bolt11))


def write_refund(
    job: JobId, provider: PublicKey, ciphertext: str, *, now: int, expires_at: int
) -> Draft:
    """Write the request; it is of no use once its invoice has expired."""
    tags: Tags = (
        ("status", STATUS),
        ("e", job),
        ("p", provider),
        ("encrypted",),
        expiration.tag(expires_at),
    )
    return Draft(FEEDBACK_KIND, now, tags, ciphertext)


def asks_refund(event: Event) -> bool:
    """Say whether this wants to be a request for a refund, before anything is decrypted."""
    return event.kind == FEEDBACK_KIND and event.tag("status") == STATUS


def read_refund(event: Event, hidden: str | None) -> RefundRequest:
    """Read the request; `hidden` is its content, decrypted.

    Raises:
        Malformed: if it is no request for a refund, or has no invoice.
    """
    if not asks_refund(event):
        raise Malformed("this is no request for a refund")
    amount, bolt11 = read_amount(parse_tags(plaintext(event, hidden)))
    if amount is None or bolt11 is None:
        raise Malformed("the request for a refund has no invoice")
    return RefundRequest(
        job=read_job(event),
        customer=event.pubkey,
        provider=read_key(event.tag("p")),
        amount=amount,
        bolt11=bolt11,
    )
