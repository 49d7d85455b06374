"""Macaroons as lnd bakes them, for the tests."""

from hashlib import sha256


def bake(*powers: str, nonce: bytes = b"\7" * 16) -> bytes:
    """Write a macaroon as lnd does."""
    entities: dict[str, list[str]] = {}
    for power in powers:
        entity, _, action = power.partition(":")
        entities.setdefault(entity, []).append(action)
    ops = b"".join(
        _bytes(3, _bytes(1, entity.encode()) + b"".join(_bytes(2, a.encode()) for a in actions))
        for entity, actions in entities.items()
    )
    identifier = b"\3" + _bytes(1, nonce) + _bytes(2, b"0") + ops
    sections = b"\1" + _sized(b"lnd") + b"\2" + _sized(identifier) + b"\0"
    return b"\2" + sections + b"\0\6" + _sized(sha256(identifier).digest())


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _sized(value)


def _sized(value: bytes) -> bytes:
    return _varint(len(value)) + value


def _varint(number: int) -> bytes:
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(high) if high else bytes([low])
