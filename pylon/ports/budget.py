"""What services ask of the budget: no sat is spent outside it."""

from typing import Protocol

from pylon.core.budget import Caps
from pylon.model.ids import JobId, PaymentHash
from pylon.model.money import Msat

__all__ = ["Budget", "Caps"]


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

        The same hash for the same order is reserved once. A hash stays with the order that first
        reserved it: for another one it is refused, and so is a hash that was spent or whose
        reservation stands at another amount.
        """
        ...

    async def spend(self, payment_hash: PaymentHash, *, amount: Msat, fee: Msat, now: int) -> None:
        """Turn a reservation into what was really spent; what has no reservation counts too."""
        ...

    async def release(self, payment_hash: PaymentHash) -> None:
        """Give a reservation back; one that was spent stays spent."""
        ...

    async def committed(self, *, since: int = 0) -> Msat:
        """Return what was spent since a time (unix seconds) and all that is reserved."""
        ...
