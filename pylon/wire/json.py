"""JSON from outside, read within limits; JSON of our own, written as NIP-01 wants it.

The decoder itself refuses lone surrogates, NaN and floats where integers belong. Its other failures
and the limits it does not know are gathered here into `Malformed`.
"""

from typing import Any, Final, TypeVar

import msgspec

from pylon.errors import Malformed

T = TypeVar("T")

MAX_SIZE: Final = 1 << 20  # bytes, or characters of a str
MAX_DEPTH: Final = 32

_ANY: Final = msgspec.json.Decoder()
_ENCODER: Final = msgspec.json.Encoder()


def decode(text: str | bytes, *, max_size: int = MAX_SIZE, max_depth: int = MAX_DEPTH) -> Any:
    """Read any JSON value; arrays and objects nest at most `max_depth` deep.

    Raises:
        Malformed: if it is no JSON, too long or too deep.
    """
    value = decode_as(_ANY, text, max_size=max_size)
    if _is_deeper(value, max_depth):
        raise Malformed(f"JSON nested more than {max_depth} deep")
    return value


def decode_as(
    decoder: msgspec.json.Decoder[T], text: str | bytes, *, max_size: int = MAX_SIZE
) -> T:
    """Read JSON of the decoder's type; members the type does not name are dropped.

    Raises:
        Malformed: if it is no JSON, too long or of another shape.
    """
    if len(text) > max_size:
        raise Malformed(f"JSON of more than {max_size} bytes")
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as fault:
        raise Malformed(f"not the JSON expected: {fault}") from None


def encode(value: Any) -> str:
    """Write JSON without spaces and without escapes that are not needed.

    Raises:
        Malformed: if a string holds a lone surrogate, which no encoding can carry.
    """
    try:
        return _ENCODER.encode(value).decode()
    except UnicodeEncodeError:
        raise Malformed("text holds a lone surrogate") from None


def _is_deeper(value: Any, limit: int) -> bool:
    """Walk level by level: recursion is what a hostile nesting is after."""
    level: list[Any] = [[value]]
    for _ in range(limit + 1):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, list | dict)
        ]
        if not level:
            return False
    return True
