"""Addresses: the names under which newer events replace older ones (NIP-01)."""

from attrs import frozen

from pylon.errors import Malformed
from pylon.model.event import Event
from pylon.model.ids import PublicKey
from pylon.wire import hexes
from pylon.wire.kinds import KindClass, kind_class

_KIND_DIGITS = 5


@frozen
class Address:
    """Where the newest version of a replaceable or addressable event is found.

    As text, in an `a` tag: `kind:pubkey:identifier`, with an empty identifier for replaceable kinds.
    """

    kind: int
    pubkey: PublicKey
    identifier: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.pubkey}:{self.identifier}"


def parse(text: str) -> Address:
    """Read the value of an `a` tag.

    Raises:
        Malformed: if it is not `kind:pubkey:identifier`.
    """
    kind, _, rest = text.partition(":")
    pubkey, colon, identifier = rest.partition(":")
    if not (kind.isascii() and kind.isdecimal() and len(kind) <= _KIND_DIGITS and colon):
        raise Malformed("not an address: kind:pubkey:identifier")
    if not hexes.is_hex(pubkey, 32):
        raise Malformed("not an address: its public key is not hex")
    return Address(int(kind), PublicKey(pubkey), identifier)


def of(event: Event) -> Address | None:
    """Return an event's address; None where nothing ever replaces it.

    The first `d` tag counts; without one, or without a value in it, the identifier is empty.
    """
    match kind_class(event.kind):
        case KindClass.REPLACEABLE:
            return Address(event.kind, event.pubkey)
        case KindClass.ADDRESSABLE:
            d = next((tag for tag in event.tags if tag[:1] == ("d",)), ("d",))
            return Address(event.kind, event.pubkey, d[1] if len(d) > 1 else "")
        case _:
            return None


def supersedes(event: Event, other: Event) -> bool:
    """Say whether `event` replaces `other`, which has the same address.

    The later one wins; of the same second, the lowest id. No event replaces itself.
    """
    if event.created_at != other.created_at:
        return event.created_at > other.created_at
    return event.id < other.id
