"""The tags that requests, feedback and results share."""

from typing import Final

import msgspec

from pylon.errors import Malformed
from pylon.model.event import Event, Tag, Tags
from pylon.model.ids import EventId, JobId, PaymentHash, PublicKey
from pylon.model.job import Encryption
from pylon.model.money import Msat, PayMode
from pylon.model.reply import Locked
from pylon.wire import bolt11, hexes, json

MAX_TAGS: Final = 512
_MAX_DIGITS: Final = 19  # of every bitcoin there will ever be, in msat
_LOCK_VERSION: Final = "1"
_MODES: Final = {mode.value: mode for mode in PayMode}
_TAGS: Final = msgspec.json.Decoder(Tags)


def encryption_of(event: Event) -> Encryption:
    """Say how an event hides its content: by the shape of it, and only with an `encrypted` tag.

    NIP-90's text names NIP-04, programs in use write NIP-44 as well.
    """
    if find(event.tags, "encrypted") is None:
        return Encryption.NONE
    return Encryption.NIP04 if "?iv=" in event.content else Encryption.NIP44


def plaintext(event: Event, hidden: str | None) -> str:
    """Return the content that is meant for reading: `hidden` where the event is encrypted.

    Raises:
        Malformed: if there are too many tags, or an encrypted content was not decrypted.
    """
    if len(event.tags) > MAX_TAGS:
        raise Malformed(f"more than {MAX_TAGS} tags")
    if encryption_of(event) is Encryption.NONE:
        return event.content
    if hidden is None:
        raise Malformed("the content is encrypted, and nobody has decrypted it")
    return hidden


def parse_tags(text: str) -> Tags:
    """Read a JSON array of tags, as encrypted events hold it; raise `Malformed`."""
    tags = json.decode_as(_TAGS, text)
    if len(tags) > MAX_TAGS:
        raise Malformed(f"more than {MAX_TAGS} tags")
    return tags


def find(tags: Tags, name: str) -> Tag | None:
    """Return the first tag called `name`, whether it has a value or not."""
    for tag in tags:
        if tag and tag[0] == name:
            return tag
    return None


def read_key(text: str | None) -> PublicKey:
    """Read the value of a `p` tag; raise `Malformed`."""
    if text is None or not hexes.is_hex(text, 32):
        raise Malformed("a p tag is missing, or is no public key")
    return PublicKey(text)


def read_job(event: Event) -> JobId:
    """Return the job an event is about, by its first `e` tag; raise `Malformed`."""
    text = event.tag("e")
    if text is None or not hexes.is_hex(text, 32):
        raise Malformed("the e tag is missing, or is no event id")
    return JobId(EventId(text))


def read_msat(text: str) -> Msat:
    """Read an amount of millisatoshi: decimal digits and nothing else; raise `Malformed`."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise Malformed("an amount is a decimal number of millisatoshi")
    amount = Msat(int(text))
    if amount > bolt11.MAX_AMOUNT:
        raise Malformed("more bitcoin than there will ever be")
    return amount


def read_amount(tags: Tags) -> tuple[Msat | None, str | None]:
    """Read `["amount", msat, bolt11?]`; the invoice is text still. Raise `Malformed`."""
    tag = find(tags, "amount")
    if tag is None:
        return None, None
    _, text, invoice, *_ = (*tag, "", "")
    if len(invoice) > bolt11.MAX_LENGTH:
        raise Malformed("the invoice is too long")
    return read_msat(text), invoice or None


def write_amount(amount: Msat | None, invoice: str | None) -> Tags:
    """Write the tag `read_amount` reads; none where nothing is asked for."""
    if amount is None:
        return ()
    return (("amount", str(amount), *((invoice,) if invoice else ())),)


def read_locked(tags: Tags) -> Locked | None:
    """Read `["locked", "1", payment hash, sha256 of the text]` (market.md).

    Raises:
        Malformed: for another version, or for what are no hashes.
    """
    tag = find(tags, "locked")
    if tag is None:
        return None
    _, version, payment_hash, digest, *_ = (*tag, "", "", "")
    if version != _LOCK_VERSION:
        raise Malformed(f"the result is locked in version {version[:8]!r}, which we do not know")
    if not (hexes.is_hex(payment_hash, 32) and hexes.is_hex(digest, 32)):
        raise Malformed("the locked tag has no payment hash, or no hash of the text")
    return Locked(PaymentHash(payment_hash), digest)


def write_locked(locked: Locked | None) -> Tags:
    """Write the tag `read_locked` reads."""
    if locked is None:
        return ()
    return (("locked", _LOCK_VERSION, locked.payment_hash, locked.digest),)


def read_modes(tags: Tags) -> tuple[PayMode, ...] | None:
    """Read `["pay", mode, ...]`, skipping words from another version; None without the tag."""
    tag = find(tags, "pay")
    if tag is None:
        return None
    return tuple(_MODES[word] for word in tag[1:] if word in _MODES)


def read_mode(tags: Tags) -> PayMode | None:
    """Return the mode a provider has chosen."""
    return next(iter(read_modes(tags) or ()), None)


def write_mode(mode: PayMode | None) -> Tags:
    """State the mode chosen."""
    return () if mode is None else (("pay", mode.value),)


def write_reference(request: Event, relay: str) -> Tags:
    """Name the request and its author; `relay` is where the request was found."""
    return (("e", request.id, *((relay,) if relay else ())), ("p", request.pubkey))
