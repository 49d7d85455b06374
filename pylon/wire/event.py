"""Events: text to value and back, their ids and signatures (NIP-01)."""

import re
from hashlib import sha256
from typing import Final

import msgspec
from attrs import evolve, frozen

from pylon.errors import BadSignature, Malformed
from pylon.model.event import Draft, Event, Tags
from pylon.model.ids import EventId, PublicKey
from pylon.wire import hexes, json, secp

MAX_KIND: Final = 0xFFFF
MAX_TIME: Final = (1 << 53) - 1  # what every JSON reader can hold

_DECODER: Final = msgspec.json.Decoder(Event)
_ENCODER: Final = msgspec.json.Encoder()
_ESCAPED: Final = (
    rb"\u00"  # how the encoder writes a control character without an escape of its own
)
_CONTROLS: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


@frozen
class Limits:
    """How large an event may be. What surrounds it is limited by the size of a frame."""

    content: int = 262_144  # characters
    tags: int = 2_500


DEFAULT_LIMITS: Final = Limits()


def parse(text: str | bytes, *, max_size: int = json.MAX_SIZE) -> Event:
    """Read an event's shape; `check` it before believing a word of it.

    Raises:
        Malformed: if it is not a JSON object with the seven members, each of its type.
    """
    return json.decode_as(_DECODER, text, max_size=max_size)


def encode(event: Event) -> str:
    """Write an event as its JSON object."""
    return json.encode(event)


def sign(draft: Draft, keys: secp.KeyPair, *, aux: bytes | None = None) -> Event:
    """Give a draft its author, id and signature; `aux` is 32 random bytes for the signature.

    Where the draft holds control characters that implementations hash differently, or lone
    surrogates, `clean` is applied to its content and tags: what we sign verifies everywhere.
    """
    serialised = _portable(draft, keys.public_key)
    if serialised is None:
        tags = tuple(tuple(clean(element) for element in tag) for tag in draft.tags)
        draft = evolve(draft, content=clean(draft.content), tags=tags)
        serialised = _serialise(keys.public_key, draft)
    digest = sha256(serialised).digest()
    return Event(
        id=EventId(digest.hex()),
        pubkey=keys.public_key,
        created_at=draft.created_at,
        kind=draft.kind,
        tags=draft.tags,
        content=draft.content,
        sig=keys.sign32(digest, aux=aux).hex(),
    )


def check(event: Event, limits: Limits = DEFAULT_LIMITS) -> None:
    """Make sure an event is well formed, within limits, and signed by its author.

    The cheap tests come first. The id is always computed anew: a signature over an id that is not
    the hash proves nothing.

    Raises:
        Malformed: if a field is out of its range, or too long.
        BadSignature: if the id is not the hash, or the signature is not the author's.
    """
    check_shape(event, limits)
    digest = _digest(event)
    if digest.hex() != event.id:
        raise BadSignature("the id is not the hash of the event")
    if not secp.verify_schnorr(event.pubkey, digest, bytes.fromhex(event.sig)):
        raise BadSignature("the signature is not the author's")


def check_shape(event: Event, limits: Limits = DEFAULT_LIMITS) -> None:
    """Make sure every field is in its range and within limits; costs about 2 µs.

    Raises:
        Malformed: if one is not.
    """
    if not (
        hexes.is_hex(event.id, 32)
        and hexes.is_hex(event.pubkey, 32)
        and hexes.is_hex(event.sig, 64)
    ):
        raise Malformed("id, pubkey or sig is not lower-case hex of its length")
    if not 0 <= event.kind <= MAX_KIND or not 0 <= event.created_at <= MAX_TIME:
        raise Malformed("kind or created_at is out of range")
    if len(event.tags) > limits.tags or len(event.content) > limits.content:
        raise Malformed("too many tags, or too much content")


def event_id(event: Event) -> EventId:
    """Compute the id an event ought to have.

    Raises:
        Malformed: if its text holds a lone surrogate.
    """
    return EventId(_digest(event).hex())


def clean(text: str) -> str:
    r"""Take out of a text what has no place in an event.

    Control characters except `\n`, `\t` and `\r` (implementations hash them differently, and
    terminals obey them) and lone surrogates (which cannot be encoded).
    """
    return _CONTROLS.sub("", text)


def _digest(event: Event) -> bytes:
    try:
        return sha256(_serialise(event.pubkey, event)).digest()
    except UnicodeEncodeError:
        raise Malformed("text holds a lone surrogate") from None


def _portable(draft: Draft, author: PublicKey) -> bytes | None:
    """Serialise a draft; None where another implementation might serialise it differently."""
    try:
        serialised = _serialise(author, draft)
    except UnicodeEncodeError:
        return None
    return None if _ESCAPED in serialised and _has_controls(draft) else serialised


def _has_controls(draft: Draft) -> bool:
    """Tell control characters from text that speaks of them: a backslash, then u00."""
    elements = (element for tag in draft.tags for element in tag)
    return any(_CONTROLS.search(text) for text in (draft.content, *elements))


def _serialise(author: PublicKey, event: Draft | Event) -> bytes:
    r"""Write what the id is the hash of.

    NIP-01 wants the escapes \n \" \\ \r \t \b \f and everything else verbatim. Other control
    characters come out as \u00xx, as all implementations but one have them.
    """
    tags: Tags = event.tags
    return _ENCODER.encode((0, author, event.created_at, event.kind, tags, event.content))
