"""Pylon: a node that sells and buys inference over Nostr and Lightning."""

import sys

__version__ = "0.1.0"

_SUPPORTED = ((3, 11), (3, 12), (3, 13))

# Before any import that would fail with a riddle instead.
if sys.version_info[:2] not in _SUPPORTED:
    sys.exit(
        "pylon: Python 3.11, 3.12 or 3.13 is needed, and this is "
        f"{sys.version_info[0]}.{sys.version_info[1]}: secp256k1 and coincurve, "
        "the libraries that sign, have no wheels for it"
    )
