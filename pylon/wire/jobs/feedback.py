"""Feedback on jobs: kind 7000 (NIP-90)."""

from typing import Final

from attrs import evolve

from pylon.errors import Malformed
from pylon.model.event import Draft, Event, Tags
from pylon.model.job import Encryption, FeedbackStatus
from pylon.model.money import ZERO, Msat, PayMode
from pylon.model.reply import Feedback
from pylon.model.wallet import IssuedInvoice
from pylon.wire import expiration
from pylon.wire.jobs.tags import (
    encryption_of,
    find,
    parse_tags,
    plaintext,
    read_amount,
    read_job,
    read_key,
    read_mode,
    read_msat,
    write_amount,
    write_mode,
    write_reference,
)

FEEDBACK_KIND: Final = 7000
LIFE_SECONDS: Final = 7 * 86_400
PARTIAL_LIFE_SECONDS: Final = 3_600  # the result says it all again

_STATUSES: Final = {status.value: status for status in FeedbackStatus}
_MAX_STATUS: Final = 64
_MAX_SEQ_DIGITS: Final = 9


def read_feedback(event: Event, hidden: str | None = None) -> Feedback:
    """Read feedback; `hidden` is the decrypted content of an encrypted one.

    Hidden is the content, or (as nostrdvm writes it) a JSON array of all tags with the content as
    `["content", text]`. Statuses that NIP-90 does not know are passed on as they are.

    Raises:
        Malformed: if it is no feedback, or a tag that matters cannot be read.
    """
    if event.kind != FEEDBACK_KIND:
        raise Malformed(f"kind {event.kind} is no feedback")
    opened = _open(event, hidden)
    status, text = _read_status(opened)
    amount, invoice = read_amount(opened.tags)
    return Feedback(
        id=event.id,
        provider=event.pubkey,
        job=read_job(event),
        customer=read_key(event.tag("p")),
        created_at=event.created_at,
        status=status,
        text=text,
        amount=amount,
        bolt11=invoice,
        mode=read_mode(opened.tags),
        content=opened.content,
        seq=_read_seq(opened),
        refund=_read_refund(opened),
    )


def write_feedback(
    request: Event,
    status: FeedbackStatus,
    *,
    now: int,
    text: str = "",
    content: str = "",
    invoice: IssuedInvoice | None = None,
    mode: PayMode | None = None,
    seq: int | None = None,
    encrypted: bool = False,
    refund: Msat = ZERO,
    relay: str = "",
) -> Draft:
    """Write feedback on a request.

    `text` says more about the status, `content` is a piece of the answer: already ciphertext where
    `encrypted` is set. A demand for payment expires with its invoice, a partial answer soon.
    `refund` is what the customer may send an invoice for.
    """
    tags: Tags = (
        ("status", status.value, *((text,) if text else ())),
        *(write_amount(invoice.amount, invoice.bolt11) if invoice else ()),
        *write_mode(mode),
        *write_reference(request, relay),
        *((("refund", str(refund)),) if refund else ()),
        *(() if seq is None else (("seq", str(seq)),)),
        *((("encrypted",),) if encrypted else ()),
        expiration.tag(_void_at(status, invoice, now)),
    )
    return Draft(FEEDBACK_KIND, now, tags, content)


def _void_at(status: FeedbackStatus, invoice: IssuedInvoice | None, now: int) -> int:
    if invoice is not None:
        return invoice.expires_at
    return now + (PARTIAL_LIFE_SECONDS if status is FeedbackStatus.PARTIAL else LIFE_SECONDS)


def _open(event: Event, hidden: str | None) -> Event:
    """Return the event as it would look in clear, whichever dialect hides it."""
    text = plaintext(event, hidden)
    if encryption_of(event) is Encryption.NONE or find(event.tags, "status"):
        return evolve(event, content=text)
    tags = parse_tags(text)
    _, content, *_ = (*(find(tags, "content") or ("content",)), "")
    return evolve(event, tags=tags, content=content)


def _read_status(opened: Event) -> tuple[str, str]:
    """Return the status and what it says more; a reason may also be in the content."""
    _, word, text, *_ = (*(find(opened.tags, "status") or ("status",)), "", "")
    if not word or len(word) > _MAX_STATUS:
        raise Malformed("the status is missing, or too long")
    status = _STATUSES.get(word, word)
    return status, text or (opened.content if status == FeedbackStatus.ERROR else "")


def _read_seq(opened: Event) -> int | None:
    text = opened.tag("seq") or ""
    readable = text.isascii() and text.isdecimal() and len(text) <= _MAX_SEQ_DIGITS
    return int(text) if readable else None


def _read_refund(opened: Event) -> Msat | None:
    text = opened.tag("refund")
    return None if text is None else read_msat(text)
