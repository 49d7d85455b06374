"""What a payment may cost on top of its amount."""

from pylon.model.money import Msat


def fee_limit(amount: Msat, *, percent: int, floor: Msat) -> Msat:
    """Return the most to pay in routing fees: a share of the amount, but at least the floor."""
    return max(floor, Msat(amount * percent // 100))
