"""A node of lnd (v0.21) as a wallet, over its REST interface.

The traps of that interface are kept inside: bytes are base64 in JSON, base64url in the paths of
`/v2` and hex in those of `/v1`; 64-bit numbers are strings; a stream sends no head before its first
line; `settle_index` 0 means no past at all, not all of it.
"""

from pylon.adapters.lightning.lnd.opening import open_lnd

__all__ = ["open_lnd"]
