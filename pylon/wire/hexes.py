"""Lower-case hex, the only spelling Nostr allows for keys, ids and signatures (NIP-01)."""

import re
from typing import Final

from pylon.errors import Malformed

_HEX: Final = re.compile("[0-9a-f]*")


def is_hex(text: str, length: int) -> bool:
    """Say whether `text` is exactly `length` bytes of lower-case hex."""
    return len(text) == 2 * length and _HEX.fullmatch(text) is not None


def decode(text: str, length: int) -> bytes:
    """Read exactly `length` bytes.

    Raises:
        Malformed: if `text` is of another length, or not lower-case hex.
    """
    if not is_hex(text, length):
        raise Malformed(f"not {length} bytes of lower-case hex")
    return bytes.fromhex(text)
