"""Keys, ids and addresses as people see them: npub, nsec, nprofile, nevent, naddr (NIP-19, NIP-21).

These forms never go into events or filters, which hold hex.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias, assert_never

from attrs import field, frozen

from pylon.errors import Malformed
from pylon.model.ids import EventId, PublicKey
from pylon.wire import bech32, hexes
from pylon.wire.address import Address

MAX_LENGTH: Final = 5000  # characters
_MAX_VALUE: Final = 255  # bytes of one element
_KEY_LENGTH: Final = 32
_KIND_LENGTH: Final = 4
_SCHEME: Final = "nostr:"
_SPECIAL, _RELAY, _AUTHOR, _KIND = range(4)

Elements: TypeAlias = dict[int, list[bytes]]


@frozen
class PublicKeyEntity:
    """npub: a public key."""

    public_key: PublicKey


@frozen
class SecretKeyEntity:
    """nsec: a secret key, which stays out of the repr."""

    secret: bytes = field(repr=False)


@frozen
class NoteEntity:
    """note: an event id."""

    id: EventId


@frozen
class ProfileEntity:
    """nprofile: a key, and relays where its owner may be found."""

    public_key: PublicKey
    relays: tuple[str, ...] = ()


@frozen
class EventEntity:
    """nevent: an event, and relays where it may be found."""

    id: EventId
    relays: tuple[str, ...] = ()
    author: PublicKey | None = None
    kind: int | None = None


@frozen
class AddressEntity:
    """naddr: the newest event of an address, and relays where it may be found."""

    address: Address
    relays: tuple[str, ...] = ()


Entity: TypeAlias = (
    PublicKeyEntity | SecretKeyEntity | NoteEntity | ProfileEntity | EventEntity | AddressEntity
)


def encode(entity: Entity) -> str:
    """Write the bech32 form.

    Raises:
        Malformed: if a relay or an identifier is longer than 255 bytes, or cannot be encoded.
    """
    try:
        return _encode(entity)
    except UnicodeEncodeError:
        raise Malformed("a relay or an identifier that cannot be encoded") from None


def decode(text: str) -> Entity:
    """Read any of the forms, with or without `nostr:` before it (NIP-21 forbids that before nsec).

    Raises:
        Malformed: if it is none of them, or more than 5000 characters.
    """
    bare = text.removeprefix(_SCHEME)
    if len(bare) > MAX_LENGTH:
        raise Malformed("a Nostr entity of more than 5000 characters")
    hrp, symbols = bech32.decode(bare)
    if hrp == "nsec" and text.startswith(_SCHEME):
        raise Malformed("a secret key is no nostr: link")
    return _read(hrp, bech32.to_bytes(symbols))


def uri(entity: Entity) -> str:
    """Write the `nostr:` link (NIP-21).

    Raises:
        Malformed: for a secret key, which must not be linked to.
    """
    if isinstance(entity, SecretKeyEntity):
        raise Malformed("a secret key is no nostr: link")
    return _SCHEME + encode(entity)


def npub(public_key: PublicKey) -> str:
    """Write a public key as people see it."""
    return encode(PublicKeyEntity(public_key))


def public_key(text: str) -> PublicKey:
    """Read a public key in any form a person may type: hex, npub, nprofile, `nostr:` links.

    Raises:
        Malformed: if it is none of these.
    """
    if hexes.is_hex(text.lower(), _KEY_LENGTH):
        return PublicKey(text.lower())
    match decode(text):
        case PublicKeyEntity(key) | ProfileEntity(key):
            return key
        case _:
            raise Malformed("not a public key, which begins with npub")


def _encode(entity: Entity) -> str:
    match entity:
        case PublicKeyEntity(public_key):
            return _bech32("npub", bytes.fromhex(public_key))
        case SecretKeyEntity(secret):
            return _bech32("nsec", secret)
        case NoteEntity(event_id):
            return _bech32("note", bytes.fromhex(event_id))
        case ProfileEntity(public_key, relays):
            return _bech32("nprofile", _elements(bytes.fromhex(public_key), relays))
        case EventEntity(event_id, relays, author, kind):
            special = bytes.fromhex(event_id)
            return _bech32("nevent", _elements(special, relays, author=author, kind=kind))
        case AddressEntity(place, relays):
            special = place.identifier.encode()
            rest = _elements(special, relays, author=place.pubkey, kind=place.kind)
            return _bech32("naddr", rest)
        case _:
            assert_never(entity)


def _read(hrp: str, data: bytes) -> Entity:
    match hrp:
        case "npub":
            return PublicKeyEntity(PublicKey(_key(data)))
        case "nsec":
            return SecretKeyEntity(bytes.fromhex(_key(data)))
        case "note":
            return NoteEntity(EventId(_key(data)))
        case "nprofile" | "nevent" | "naddr":
            return _read_elements(hrp, _split(data))
        case _:
            raise Malformed(f"not a Nostr entity: {hrp[:16]}")


def _read_elements(hrp: str, elements: Elements) -> Entity:
    special = elements.get(_SPECIAL)
    if special is None:
        raise Malformed(f"{hrp} without what it names")
    try:
        relays = tuple(relay.decode("ascii") for relay in elements.get(_RELAY, ()))
        if hrp == "nprofile":
            return ProfileEntity(PublicKey(_key(special[0])), relays)
        author, kind = _author(elements), _kind(elements)
        if hrp == "nevent":
            return EventEntity(EventId(_key(special[0])), relays, author, kind)
        if author is None or kind is None:
            raise Malformed("naddr without author or kind")
        return AddressEntity(Address(kind, author, special[0].decode()), relays)
    except UnicodeDecodeError:
        raise Malformed(f"{hrp} with text that cannot be read") from None


def _split(data: bytes) -> Elements:
    """Split type, length, value; types we do not know are kept apart and never looked at."""
    elements: Elements = {}
    at = 0
    while at < len(data):
        header, at = data[at : at + 2], at + 2
        value = data[at : at + header[-1]]
        if len(header) != 2 or len(value) != header[1]:  # noqa: PLR2004 - type and length
            raise Malformed("a Nostr entity that breaks off")
        elements.setdefault(header[0], []).append(value)
        at += len(value)
    return elements


def _author(elements: Elements) -> PublicKey | None:
    values = elements.get(_AUTHOR)
    return PublicKey(_key(values[0])) if values else None


def _kind(elements: Elements) -> int | None:
    values = elements.get(_KIND)
    if not values:
        return None
    if len(values[0]) != _KIND_LENGTH:
        raise Malformed("a kind is four bytes long")
    return int.from_bytes(values[0], "big")


def _key(value: bytes) -> str:
    if len(value) != _KEY_LENGTH:
        raise Malformed("a key or id is 32 bytes long")
    return value.hex()


def _elements(
    special: bytes,
    relays: Sequence[str],
    *,
    author: PublicKey | None = None,
    kind: int | None = None,
) -> bytes:
    def values() -> Iterator[tuple[int, bytes]]:
        yield _SPECIAL, special
        for relay in relays:
            yield _RELAY, relay.encode("ascii")
        if author is not None:
            yield _AUTHOR, bytes.fromhex(author)
        if kind is not None:
            yield _KIND, kind.to_bytes(_KIND_LENGTH, "big")

    return b"".join(_element(name, value) for name, value in values())


def _element(name: int, value: bytes) -> bytes:
    if len(value) > _MAX_VALUE:
        raise Malformed("a relay or identifier of more than 255 bytes has no such form")
    return bytes([name, len(value)]) + value


def _bech32(hrp: str, data: bytes) -> str:
    return bech32.encode(hrp, bech32.to_symbols(data))
