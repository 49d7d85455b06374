"""Invoices that somebody else made."""

import time

from pylon.model.ids import PaymentHash
from pylon.model.invoice import Invoice
from pylon.model.money import Msat, Network
from pylon.wire.bolt11 import encode
from pylon.wire.secp import KeyPair

KEY = KeyPair(b"\1" * 32)
HASH = PaymentHash("ab" * 32)


def written(**changes: object) -> str:
    """An invoice of somebody else."""
    base = {
        "network": Network.REGTEST,
        "amount": Msat(12_500),
        "created_at": int(time.time()),
        "payment_hash": HASH,
        "payment_secret": "cd" * 32,
        "payee": KEY.node_key,
        "description": "tea",
        "features": frozenset({8, 14}),
    }
    return encode(Invoice(**{**base, **changes}), KEY)  # type: ignore[arg-type]  # a test's own
