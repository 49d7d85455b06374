"""Money is integer millisatoshi; satoshi exist only on the screen and in invoices."""

from enum import StrEnum
from typing import NewType

Msat = NewType("Msat", int)

MSAT_PER_SAT = 1000
ZERO = Msat(0)


class Network(StrEnum):
    """A Bitcoin network; the value is its usual name."""

    MAINNET = "mainnet"
    TESTNET = "testnet"
    SIGNET = "signet"
    REGTEST = "regtest"


class PayMode(StrEnum):
    """In which order work and money change hands; the value is the word in a `pay` tag."""

    FREE = "free"
    PREPAY = "prepay"
    HOLD = "hold"
    LOCKED = "locked"
    HOLD_LOCKED = "hold+locked"


def from_sats(sats: int) -> Msat:
    """Turn whole satoshi into millisatoshi."""
    return Msat(sats * MSAT_PER_SAT)


def whole_sats_up(amount: Msat) -> Msat:
    """Round up to whole satoshi, as invoices want it."""
    return Msat(-(-amount // MSAT_PER_SAT) * MSAT_PER_SAT)


def show_sats(amount: Msat) -> str:
    """Write an amount for people: `12 sat`, `1.5 sat`; exact, never rounded."""
    sign = "-" if amount < 0 else ""
    whole, rest = divmod(abs(amount), MSAT_PER_SAT)
    fraction = f".{rest:03d}".rstrip("0") if rest else ""
    return f"{sign}{whole:,}{fraction} sat"
