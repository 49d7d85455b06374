"""bech32 (BIP-173) without its 90-character limit, which neither NIP-19 nor BOLT-11 keeps.

A string is `hrp 1 symbols checksum`. Symbols are 5-bit values, held here one a byte. The constant of
bech32m is refused: no format we read uses it. Whoever calls limits the length.
"""

from base64 import b32encode
from itertools import chain
from typing import Final

from pylon.errors import Malformed

_CHARSET: Final = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_CHECKSUM_LENGTH: Final = 6
_NO_SYMBOL: Final = 255
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)

_VALUES: Final = bytes(range(32))
_TO_SYMBOLS: Final = bytes(_CHARSET.find(c) if c in _CHARSET else _NO_SYMBOL for c in range(256))
_TO_CHARS: Final = bytes.maketrans(_VALUES, _CHARSET)
_TO_DIGITS: Final = bytes.maketrans(_VALUES, b"0123456789abcdefghijklmnopqrstuv")
_FROM_BASE32: Final = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", _VALUES)


def _feedback(top: int) -> int:
    """Return what the five bits shifted out of the checksum add back to it."""
    total = 0
    for bit, generator in enumerate(_GENERATORS):
        if top >> bit & 1:
            total ^= generator
    return total


_FEEDBACK: Final = tuple(_feedback(top) for top in range(32))


def decode(text: str) -> tuple[str, bytes]:
    """Split a bech32 string into its lower-case prefix and its symbols, the checksum taken off.

    Raises:
        Malformed: if the case is mixed, a character is foreign or the checksum is wrong.
    """
    lower = text.lower()
    if not text.isascii() or text not in (lower, text.upper()):
        raise Malformed("bech32: mixed case or foreign characters")
    hrp, separator, data = lower.rpartition("1")
    if not separator or not _is_hrp(hrp) or len(data) < _CHECKSUM_LENGTH:
        raise Malformed("bech32: no prefix or no checksum")
    symbols = data.encode("ascii").translate(_TO_SYMBOLS)
    if _NO_SYMBOL in symbols:
        raise Malformed("bech32: a character outside the alphabet")
    if _polymod(hrp, symbols) != 1:
        raise Malformed("bech32: wrong checksum")
    return hrp, symbols[:-_CHECKSUM_LENGTH]


def encode(hrp: str, symbols: bytes) -> str:
    """Write a bech32 string; `hrp` is lower case, `symbols` are values below 32."""
    rest = _polymod(hrp, symbols + bytes(_CHECKSUM_LENGTH)) ^ 1
    checksum = bytes(rest >> shift & 31 for shift in (25, 20, 15, 10, 5, 0))
    return f"{hrp}1{(symbols + checksum).translate(_TO_CHARS).decode('ascii')}"


def to_symbols(data: bytes) -> bytes:
    """Regroup bytes into 5-bit symbols, the last one filled up with zero bits."""
    return b32encode(data).rstrip(b"=").translate(_FROM_BASE32)


def to_bytes(symbols: bytes) -> bytes:
    """Regroup symbols into bytes.

    Raises:
        Malformed: if five or more bits are left over, or any that is not zero.
    """
    length, spare = divmod(len(symbols) * 5, 8)
    value = to_number(symbols)
    if spare > 4 or value & ((1 << spare) - 1):  # noqa: PLR2004 - a whole symbol of padding is one too many
        raise Malformed("bech32: wrong padding")
    return (value >> spare).to_bytes(length, "big")


def to_number(symbols: bytes) -> int:
    """Read symbols as one big-endian number; no symbols are 0."""
    return int(symbols.translate(_TO_DIGITS), 32) if symbols else 0


def _is_hrp(hrp: str) -> bool:
    return bool(hrp) and all("!" <= char <= "~" for char in hrp)


def _polymod(hrp: str, symbols: bytes) -> int:
    codes = hrp.encode("ascii")
    feedback = _FEEDBACK
    checksum = 1
    for value in chain((c >> 5 for c in codes), b"\0", (c & 31 for c in codes), symbols):
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value ^ feedback[checksum >> 25]
    return checksum
