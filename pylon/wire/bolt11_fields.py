"""The tagged fields of a BOLT-11 invoice: a letter, a length, and what stands in it.

Everything is in 5-bit symbols, one a byte. Functions that read raise `Malformed`; those that write
also raise `ValueError`.
"""

from typing import Final

from pylon.errors import Malformed
from pylon.model.ids import NodeKey
from pylon.model.invoice import Fallback, RouteHop
from pylon.model.money import Msat
from pylon.wire import bech32

Fields = dict[int, list[bytes]]  # a type's occurrences, in their order; the first one counts

# The value of the letter BOLT-11 names each field by.
P, S, D, H, M, N, X, C, F, R, FEATURES = 1, 16, 13, 23, 27, 19, 6, 24, 9, 3, 5

_FIXED_LENGTHS: Final = {P: 52, S: 52, H: 52, N: 53}
_MAX_LENGTH: Final = 1023  # symbols
_MAX_FEATURE: Final = 5 * _MAX_LENGTH - 1
_MAX_NUMBER: Final = 2**32 - 1  # seconds of expiry, blocks of delta

_HOP_LENGTH: Final = 51
_P2PKH, _P2SH = 17, 18
_PROGRAM_LENGTHS: Final = {0: (20, 32), _P2PKH: (20,), _P2SH: (20,)}
_OTHER_PROGRAM_LENGTHS: Final = range(2, 41)  # BIP-141

_PAYMENT_SECRET: Final = frozenset({14, 15})
_BASIC_MPP: Final = frozenset({16, 17})
# var_onion, payment_secret, basic_mpp, route_blinding, attribution_data, payment_metadata
_UNDERSTOOD: Final = frozenset({8, 9, 14, 15, 16, 17, 24, 25, 36, 37, 48, 49})


def split(symbols: bytes) -> Fields:
    """Take the tagged fields apart, in order: type, two symbols of length, data."""
    fields: Fields = {}
    start, end = 0, len(symbols)
    while start < end:
        if start + 3 > end:
            raise Malformed("cut inside a field")
        kind = symbols[start]
        stop = start + 3 + (symbols[start + 1] << 5 | symbols[start + 2])
        if stop > end:
            raise Malformed("cut inside a field")
        data = symbols[start + 3 : stop]
        if len(data) != _FIXED_LENGTHS.get(kind, len(data)):
            raise Malformed("a field of the wrong length")
        fields.setdefault(kind, []).append(data)
        start = stop
    return fields


def read_data(fields: Fields, kind: int) -> bytes | None:
    """Return the bytes in a field, or None if it is not there."""
    return bech32.to_bytes(fields[kind][0]) if kind in fields else None


def read_hex(fields: Fields, kind: int) -> str | None:
    """Return the bytes in a field in hex, or None if it is not there."""
    data = read_data(fields, kind)
    return None if data is None else data.hex()


def read_number(fields: Fields, kind: int, default: int) -> int:
    """Return the number in a field; BOLT-11 wants it without leading zeros."""
    if kind not in fields:
        return default
    number = _minimal(fields[kind][0])
    if number > _MAX_NUMBER:
        raise Malformed("a number out of all proportion")
    return number


def read_features(fields: Fields) -> frozenset[int]:
    """Return the feature bits that are set (BOLT-9), if we can do all that must be done."""
    if FEATURES not in fields:
        return frozenset()
    number = _minimal(fields[FEATURES][0])
    features = frozenset(bit for bit in range(number.bit_length()) if number >> bit & 1)
    if any(bit % 2 == 0 for bit in features - _UNDERSTOOD):
        raise Malformed("needs a feature we do not have")
    if features & _BASIC_MPP and not features & _PAYMENT_SECRET:
        raise Malformed("a feature without the one it rests on")
    return features


def _minimal(symbols: bytes) -> int:
    if symbols[:1] == b"\0":
        raise Malformed("a number with leading zeros")
    return bech32.to_number(symbols)


def read_fallbacks(fields: Fields) -> tuple[Fallback, ...]:
    """Return the on-chain addresses, less those of versions that mean nothing yet."""
    return tuple(
        _checked(Fallback(field[0], bech32.to_bytes(field[1:])))
        for field in fields.get(F, ())
        if _version(field) <= _P2SH
    )


def _version(fallback: bytes) -> int:
    if not fallback:
        raise Malformed("a fallback without a version")
    return fallback[0]


def _checked(fallback: Fallback) -> Fallback:
    lengths = _PROGRAM_LENGTHS.get(fallback.version, _OTHER_PROGRAM_LENGTHS)
    if not 0 <= fallback.version <= _P2SH or len(fallback.program) not in lengths:
        raise Malformed("a fallback address of the wrong length")
    return fallback


def read_routes(fields: Fields) -> tuple[tuple[RouteHop, ...], ...]:
    """Return the private routes, each as its hops in order."""
    return tuple(_read_route(bech32.to_bytes(field)) for field in fields.get(R, ()))


def _read_route(data: bytes) -> tuple[RouteHop, ...]:
    if not data or len(data) % _HOP_LENGTH:
        raise Malformed("a route of the wrong length")
    return tuple(_read_hop(data[at : at + _HOP_LENGTH]) for at in range(0, len(data), _HOP_LENGTH))


def _read_hop(data: bytes) -> RouteHop:
    return RouteHop(
        node_key=NodeKey(data[:33].hex()),
        short_channel_id=int.from_bytes(data[33:41], "big"),
        fee_base=Msat(int.from_bytes(data[41:45], "big")),
        fee_ppm=int.from_bytes(data[45:49], "big"),
        cltv_delta=int.from_bytes(data[49:51], "big"),
    )


def write_data(kind: int, data: bytes) -> bytes:
    """Write a field of bytes."""
    return _write(kind, bech32.to_symbols(data))


def write_hex(kind: int, text: str) -> bytes:
    """Write a field of bytes, given in hex."""
    return write_data(kind, bytes.fromhex(text))


def write_number(kind: int, number: int) -> bytes:
    """Write a field of a number in as few symbols as it needs; 0 needs none."""
    if not 0 <= number <= _MAX_NUMBER:
        raise ValueError("a number out of range")
    return _write(kind, _symbols(number))


def write_features(features: frozenset[int]) -> bytes:
    """Write the feature bits, of which there is at least one."""
    if not 0 <= min(features) <= max(features) <= _MAX_FEATURE:
        raise ValueError("a feature out of range")
    return _write(FEATURES, _symbols(sum(1 << bit for bit in features)))


def write_fallback(fallback: Fallback) -> bytes:
    """Write one on-chain address."""
    _checked(fallback)
    return _write(F, bytes([fallback.version]) + bech32.to_symbols(fallback.program))


def write_route(route: tuple[RouteHop, ...]) -> bytes:
    """Write one private route."""
    if not route:
        raise ValueError("a route without hops")
    return write_data(R, b"".join(_write_hop(hop) for hop in route))


def _write(kind: int, symbols: bytes) -> bytes:
    if len(symbols) > _MAX_LENGTH or len(symbols) != _FIXED_LENGTHS.get(kind, len(symbols)):
        raise ValueError("a field of the wrong length")
    return bytes((kind, len(symbols) >> 5, len(symbols) & 31)) + symbols


def _symbols(number: int) -> bytes:
    length = -(-number.bit_length() // 5)
    return bytes(number >> 5 * place & 31 for place in reversed(range(length)))


def _write_hop(hop: RouteHop) -> bytes:
    key = bytes.fromhex(hop.node_key)
    numbers = (hop.short_channel_id, 8), (hop.fee_base, 4), (hop.fee_ppm, 4), (hop.cltv_delta, 2)
    try:
        data = key + b"".join(number.to_bytes(length, "big") for number, length in numbers)
    except OverflowError:
        raise ValueError("a route number out of range") from None
    if len(data) != _HOP_LENGTH:
        raise ValueError("a node key of the wrong length")
    return data
