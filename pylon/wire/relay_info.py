"""What a relay says about itself (NIP-11), read leniently: wrong types are common."""

from typing import Annotated, Any, Final, TypeAlias

import msgspec
from attrs import asdict, field, fields, frozen
from msgspec import Meta

from pylon.errors import Malformed
from pylon.wire import json

CONTENT_TYPE: Final = "application/nostr+json"
MAX_SIZE: Final = 1 << 17  # bytes

Natural: TypeAlias = Annotated[int, Meta(ge=0)]


@frozen
class Limitation:
    """The limits a relay announces; None where it says nothing we can read."""

    max_message_length: Natural | None = None  # bytes of a whole frame
    max_subscriptions: Natural | None = None  # of one connection
    max_limit: Natural | None = None  # a filter's `limit` is cut to this
    max_subid_length: Natural | None = None
    max_event_tags: Natural | None = None
    max_content_length: Natural | None = None  # characters
    min_pow_difficulty: Natural | None = None  # bits
    auth_required: bool | None = None
    payment_required: bool | None = None
    restricted_writes: bool | None = None
    created_at_lower_limit: Natural | None = None  # seconds into the past
    created_at_upper_limit: Natural | None = None  # seconds into the future
    default_limit: Natural | None = None


@frozen
class RelayInfo:
    """The relay information document, less what only decorates it."""

    name: str | None = None
    description: str | None = None
    pubkey: str | None = None  # of its operator
    contact: str | None = None
    supported_nips: tuple[int, ...] = ()
    software: str | None = None
    version: str | None = None
    limitation: Limitation = field(factory=Limitation)


def read(text: str | bytes, *, max_size: int = MAX_SIZE) -> RelayInfo:
    """Read a document; a member of the wrong type is read if its meaning is plain, else left out.

    Raises:
        Malformed: if the document is not a JSON object of at most `max_size` bytes.
    """
    document = json.decode(text, max_size=max_size)
    if not isinstance(document, dict):
        raise Malformed("a relay information document is a JSON object")
    nips = document.pop("supported_nips", None)
    limitation = document.pop("limitation", None)
    return RelayInfo(
        **_readable(RelayInfo, document),
        supported_nips=tuple(nip for nip in nips if type(nip) is int) if type(nips) is list else (),
        limitation=Limitation(**_readable(Limitation, limitation)),
    )


def write(info: RelayInfo) -> str:
    """Write a document, leaving out what is unknown."""
    return json.encode(asdict(info, filter=lambda _, value: value is not None))


def _readable(model: type[Any], raw: Any) -> dict[str, Any]:
    """Pick the members of `raw` that `model` has and whose values can be taken for its types."""
    known = {}
    for member in fields(model) if isinstance(raw, dict) else ():
        try:
            known[member.name] = msgspec.convert(raw[member.name], member.type, strict=False)
        except (KeyError, msgspec.ValidationError):
            continue
    return known
