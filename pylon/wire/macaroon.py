"""What a macaroon of lnd may do: binary format 2 of libmacaroons, round lnd's protobuf of operations.

Who holds a macaroon holds its powers, so nothing here ever quotes one.
"""

from collections.abc import Iterator
from typing import Final

from pylon.errors import Malformed

MAX_LENGTH: Final = 4096  # lnd's own admin macaroon has about 300 bytes

_VERSION: Final = 2
_END_OF_SECTION, _LOCATION, _IDENTIFIER = 0, 1, 2  # field types of format 2
_BAKERY_VERSION: Final = 3  # the first byte of an identifier; a `MacaroonId` message follows
_OPS: Final = 3  # field numbers: MacaroonId.ops, Op.entity, Op.actions
_ENTITY, _ACTIONS = 1, 2
_BYTES: Final = 2  # the one wire type of protobuf that these messages have
_MAX_VARINT_BYTES: Final = 4


def permissions(macaroon: bytes) -> frozenset[str]:
    """Return what it allows, as `invoices:read`; caveats that narrow it further are not looked at.

    Raises:
        Malformed: It is no macaroon, or none of lnd's.
    """
    if not macaroon or len(macaroon) > MAX_LENGTH or macaroon[0] != _VERSION:
        raise Malformed("no macaroon of format 2")
    identifier = _identifier(macaroon)
    if not identifier or identifier[0] != _BAKERY_VERSION:
        raise Malformed("a macaroon, but none of lnd's")
    return frozenset(
        f"{entity}:{action}"
        for number, op in _fields(identifier[1:])
        if number == _OPS
        for entity, action in _operations(op)
    )


def _identifier(macaroon: bytes) -> bytes:
    """Find the identifier in the first section; the caveats and the signature come after it."""
    at = 1
    while True:
        kind, at = _varint(macaroon, at)
        if kind == _END_OF_SECTION:
            raise Malformed("a macaroon without identifier")
        value, at = _prefixed(macaroon, at)
        if kind == _IDENTIFIER:
            return value
        if kind != _LOCATION:
            raise Malformed("a macaroon out of order")


def _operations(op: bytes) -> Iterator[tuple[str, str]]:
    fields = list(_fields(op))
    try:
        entities = [value.decode("ascii") for number, value in fields if number == _ENTITY]
        actions = [value.decode("ascii") for number, value in fields if number == _ACTIONS]
    except UnicodeDecodeError:
        raise Malformed("a permission that is no word") from None
    if len(entities) != 1:
        raise Malformed("a permission for nothing")
    return ((entities[0], action) for action in actions)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the fields of a protobuf message that has nothing but byte strings."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 != _BYTES:
            raise Malformed("an identifier of another shape")
        value, at = _prefixed(message, at)
        yield tag >> 3, value


def _prefixed(data: bytes, at: int) -> tuple[bytes, int]:
    length, at = _varint(data, at)
    if at + length > len(data):
        raise Malformed("cut short")
    return data[at : at + length], at + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for place, byte in enumerate(data[at : at + _MAX_VARINT_BYTES]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:  # noqa: PLR2004 - the top bit says that more follows
            return number, at + place + 1
    raise Malformed("cut short, or a number too large")
