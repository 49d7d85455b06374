"""Amounts as people write them."""

import re
from typing import TYPE_CHECKING

from pylon.errors import Misconfigured

if TYPE_CHECKING:
    from pylon.model.money import Msat
    from pylon.model.wallet import Capabilities

_AMOUNT = re.compile(
    r"(?P<whole>[0-9]{1,16}|[0-9]{1,3}(?:,[0-9]{3}){1,5})(?:\.(?P<part>[0-9]{1,3}))?\s*(?:sats?)?",
    re.ASCII | re.IGNORECASE,
)


def read_amount(text: str, *, zero: bool = False) -> "Msat":
    """Read `1500`, `1,500`, `0.5` or `1500 sat`: satoshi, to a thousandth; raise `Misconfigured`."""
    from pylon.model.money import MSAT_PER_SAT, Msat
    from pylon.wire.bolt11 import MAX_AMOUNT

    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise Misconfigured(
            f"{text!r} is no amount: write satoshi, as 1500 or 1,500, to a thousandth at most"
        )
    whole = int(found["whole"].replace(",", ""))
    amount = whole * MSAT_PER_SAT + int((found["part"] or "").ljust(3, "0"))
    if amount > MAX_AMOUNT:
        raise Misconfigured(f"{text!r} is more than all the money there is")
    if not (amount or zero):
        raise Misconfigured("the amount is nothing: write at least 1")
    return Msat(amount)


def check_grain(amount: "Msat", able: "Capabilities") -> None:
    """Raise `Misconfigured` for an amount finer than the wallet counts."""
    from pylon.model.money import MSAT_PER_SAT, show_sats

    if amount % MSAT_PER_SAT and not able.msat:
        raise Misconfigured(
            f"{show_sats(amount)} cannot be asked for: this wallet counts in whole satoshi"
        )
