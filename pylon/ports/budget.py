"""What services ask of the budget: no sat is spent outside it."""

from typing import Protocol

from attrs import frozen

from pylon.model.ids import JobId, PaymentHash
from pylon.model.money import Msat


@frozen
class Caps:
    """Limits on spent plus reserved, fees included; None is no limit."""

    per_job: Msat | None = None
    per_day: Msat | None = None
    total: Msat | None = None


class Budget(Protocol):
    """Reservations and spending, per payment hash; every method is one transaction and repeatable."""

    async def reserve(
        self,
        payment_hash: PaymentHash,
        order: JobId,
        *,
        amount: Msat,
        fee: Msat,
        caps: Caps,
        now: int,
    ) -> str | None:
        """Set amount and fee aside; return None, or why it is not allowed.

        The same hash for the same order is reserved once. A hash that belongs to another order, or
        was spent, is refused.
        """
        ...

    async def spend(self, payment_hash: PaymentHash, *, amount: Msat, fee: Msat, now: int) -> None:
        """Turn a reservation into what was really spent."""
        ...

    async def release(self, payment_hash: PaymentHash) -> None:
        """Give a reservation back; one that was spent stays spent."""
        ...

    async def committed(self, *, since: int = 0) -> Msat:
        """Return spent plus reserved since a time (unix seconds)."""
        ...
