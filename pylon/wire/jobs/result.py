"""Results of jobs: kinds 6000 to 6999, each 1000 more than its request's (NIP-90)."""

from typing import Final

from pylon.errors import Malformed
from pylon.model.event import Draft, Event, Tags
from pylon.model.money import Msat, PayMode
from pylon.model.reply import Locked, Result
from pylon.wire import event as events
from pylon.wire.jobs.tags import (
    encryption_of,
    plaintext,
    read_amount,
    read_job,
    read_key,
    read_locked,
    read_mode,
    write_amount,
    write_locked,
    write_mode,
    write_reference,
)

RESULT_KINDS: Final = range(6000, 7000)
MAX_ECHO: Final = 16_384  # characters of a request that is repeated in its result


def result_kind(request_kind: int) -> int:
    """Return the kind of the answer to a request."""
    return request_kind + 1000


def read_result(event: Event, hidden: str | None = None) -> Result:
    """Read a result; `hidden` is the decrypted content of an encrypted one.

    Raises:
        Malformed: if it is no result, or a tag that matters cannot be read.
    """
    if event.kind not in RESULT_KINDS:
        raise Malformed(f"kind {event.kind} is no result")
    content = plaintext(event, hidden)
    amount, invoice = read_amount(event.tags)
    return Result(
        id=event.id,
        provider=event.pubkey,
        job=read_job(event),
        customer=read_key(event.tag("p")),
        created_at=event.created_at,
        kind=event.kind,
        content=content,
        amount=amount,
        bolt11=invoice,
        mode=read_mode(event.tags),
        encryption=encryption_of(event),
        locked=read_locked(event.tags),
    )


def write_result(
    request: Event,
    content: str,
    *,
    now: int,
    amount: Msat | None = None,
    bolt11: str | None = None,
    mode: PayMode | None = None,
    encrypted: bool = False,
    locked: Locked | None = None,
    relay: str = "",
) -> Draft:
    """Write the answer to a request; `content` is already ciphertext where `encrypted` is set.

    A `locked` one is encrypted twice: under its preimage, and to the customer.

    The request is repeated as NIP-90 wants it, its inputs only in clear. A long one is left to its
    `e` tag, as three copies of an input make an event that relays refuse.
    """
    echo = events.encode(request)
    short = len(echo) <= MAX_ECHO
    inputs = () if encrypted else tuple(tag for tag in request.tags if tag[:1] == ("i",))
    tags: Tags = (
        *((("request", echo),) if short else ()),
        *write_reference(request, relay),
        *(inputs if short else ()),
        *write_amount(amount, bolt11),
        *write_mode(mode),
        *write_locked(locked),
        *((("encrypted",),) if encrypted else ()),
    )
    return Draft(result_kind(request.kind), now, tags, content)
