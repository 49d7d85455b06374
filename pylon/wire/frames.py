"""Relay frames: JSON arrays on the wire, frozen values inside, for both ends of the connection.

The frames are msgspec structs written as arrays, so that reading one is a single typed pass over the
text (the label picks the struct) and writing one is the encoder alone. Elements after the last one we
know are ignored, as NIP-67's hint after EOSE is.
"""

from enum import StrEnum
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from pylon.errors import Malformed
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.model.ids import EventId
from pylon.wire import filters, json

MAX_FILTERS: Final = 100  # of one request: each costs time with every event that comes
SubscriptionId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]


# Client to relay


class Submit(Struct, frozen=True, array_like=True, tag="EVENT"):
    """A client's event, to be stored and passed on."""

    event: Event


class Close(Struct, frozen=True, array_like=True, tag="CLOSE"):
    """The end of a subscription, as the client wishes it."""

    subscription: SubscriptionId


class Authenticate(Struct, frozen=True, array_like=True, tag="AUTH"):
    """A client's answer to a challenge (NIP-42)."""

    event: Event


class Req(Struct, frozen=True):
    """A subscription; the same name again replaces it."""

    subscription: SubscriptionId
    filters: tuple[Filter, ...]


class Count(Struct, frozen=True):
    """A question how many events match (NIP-45)."""

    query: SubscriptionId
    filters: tuple[Filter, ...]


# Relay to client


class Found(Struct, frozen=True, array_like=True, tag="EVENT"):
    """An event for a subscription."""

    subscription: str
    event: Event


class Ok(Struct, frozen=True, array_like=True, tag="OK"):
    """What became of an event sent; `message` is `prefix: text` where it was refused."""

    event_id: EventId
    accepted: bool
    message: str = ""


class EndOfStored(Struct, frozen=True, array_like=True, tag="EOSE"):
    """All that was stored has been sent; what follows is live."""

    subscription: str


class Closed(Struct, frozen=True, array_like=True, tag="CLOSED"):
    """The end of a subscription, as the relay wishes it; `message` is `prefix: text`."""

    subscription: str
    message: str = ""


class Notice(Struct, frozen=True, array_like=True, tag="NOTICE"):
    """Words for a person."""

    text: str


class Challenge(Struct, frozen=True, array_like=True, tag="AUTH"):
    """What a client has to sign to authenticate (NIP-42); a new one replaces the old."""

    challenge: str


class Tally(Struct, frozen=True, omit_defaults=True):
    """A count, exact unless said otherwise (NIP-45)."""

    count: Annotated[int, Meta(ge=0)]
    approximate: bool = False


class Counted(Struct, frozen=True, array_like=True, tag="COUNT"):
    """The answer to COUNT."""

    query: str
    tally: Tally


class _ReqHead(Struct, frozen=True, array_like=True, tag="REQ"):
    """A REQ without its filters, which a struct of fixed length cannot hold."""

    subscription: SubscriptionId


class _CountHead(Struct, frozen=True, array_like=True, tag="COUNT"):
    query: SubscriptionId


ClientFrame: TypeAlias = Submit | Req | Close | Authenticate | Count
RelayFrame: TypeAlias = Found | Ok | EndOfStored | Closed | Notice | Challenge | Counted

_CLIENT: Final[msgspec.json.Decoder[Submit | Close | Authenticate | _ReqHead | _CountHead]] = (
    msgspec.json.Decoder(Submit | Close | Authenticate | _ReqHead | _CountHead)
)
_RELAY: Final[msgspec.json.Decoder[RelayFrame]] = msgspec.json.Decoder(RelayFrame)


class Refused(Malformed):
    """A REQ or COUNT that cannot be served; a relay answers CLOSED with `subscription` and `reason`."""

    def __init__(self, subscription: str, reason: str) -> None:
        super().__init__(reason)
        self.subscription = subscription
        self.reason = reason


class Prefix(StrEnum):
    """The machine-readable beginning of an OK or CLOSED message."""

    DUPLICATE = "duplicate"
    POW = "pow"
    BLOCKED = "blocked"
    RATE_LIMITED = "rate-limited"
    INVALID = "invalid"
    RESTRICTED = "restricted"
    MUTE = "mute"
    ERROR = "error"  # also stands for every prefix we do not know
    AUTH_REQUIRED = "auth-required"
    UNSUPPORTED = "unsupported"


def decode_client(text: str | bytes, *, max_size: int = json.MAX_SIZE) -> ClientFrame:
    """Read what a client sent. The event in it is not yet checked (`wire.event.check`).

    Raises:
        Refused: if it is a REQ or COUNT with a filter we cannot serve.
        Malformed: if it is no frame we know.
    """
    frame = json.decode_as(_CLIENT, text, max_size=max_size)
    match frame:
        case _ReqHead(subscription=name):
            return Req(name, _filters(name, text, max_size))
        case _CountHead(query=name):
            return Count(name, _filters(name, text, max_size))
        case _:
            return frame


def decode_relay(text: str | bytes, *, max_size: int = json.MAX_SIZE) -> RelayFrame:
    """Read what a relay sent. The event in it is not yet checked (`wire.event.check`).

    Raises:
        Malformed: if it is no frame we know.
    """
    return json.decode_as(_RELAY, text, max_size=max_size)


def encode(frame: ClientFrame | RelayFrame) -> str:
    """Write a frame.

    Raises:
        Malformed: if a text in it holds a lone surrogate.
    """
    match frame:
        case Req(subscription=name):
            return json.encode(["REQ", name, *map(filters.to_json, frame.filters)])
        case Count(query=name):
            return json.encode(["COUNT", name, *map(filters.to_json, frame.filters)])
        case _:
            return json.encode(frame)


def prefix(message: str) -> Prefix:
    """Return the prefix of an OK or CLOSED message; `error` where there is none we know."""
    try:
        return Prefix(message.partition(":")[0])
    except ValueError:
        return Prefix.ERROR


def _filters(name: str, text: str | bytes, max_size: int) -> tuple[Filter, ...]:
    _label, _name, *objects = json.decode(text, max_size=max_size)
    if not 1 <= len(objects) <= MAX_FILTERS:
        raise Refused(name, f"invalid: 1 to {MAX_FILTERS} filters, not {len(objects)}")
    try:
        return tuple(map(filters.from_json, objects))
    except Malformed as fault:
        raise Refused(name, str(fault)) from None
