"""What services ask of the budget: no sat is spent outside it."""

from typing import Protocol

from pylon.core.budget import Caps, Entry, Limits, Span, Usage, Used
from pylon.model.budget import NODE, Purpose, Scope
from pylon.model.ids import PaymentHash
from pylon.model.money import Msat

__all__ = ["NODE", "Budget", "Caps", "Entry", "Limits", "Purpose", "Scope", "Span", "Usage", "Used"]


class Budget(Protocol):
    """Reservations and spending, per payment hash; every method is one transaction and repeatable.

    Whoever pays does it in this order: `reserve`; `veto`, right before the payment is dispatched;
    then `spend` when it is known to have happened, or `release` when it certainly has not. What is
    not known stays reserved.
    """

    async def reserve(
        self,
        payment_hash: PaymentHash,
        purpose: Purpose,
        *,
        amount: Msat,
        fee: Msat,
        limits: Limits,
        now: int,
    ) -> str | None:
        """Set amount and fee aside in every scope of the purpose; return None, or why it may not be.

        It may not where a cap of any of those scopes would be broken, or one of them is paused. The
        same hash for the same order is reserved once, and that stands also while spending is paused.
        A hash stays with the order that first reserved it: for another one it is refused, and so is
        a hash that was spent or whose reservation stands at another amount.
        """
        ...

    async def veto(self, payment_hash: PaymentHash) -> str | None:
        """Say why a payment must not be dispatched now: spending is paused, or nothing is reserved."""
        ...

    async def spend(self, payment_hash: PaymentHash, *, amount: Msat, fee: Msat, now: int) -> None:
        """Turn a reservation into what was really spent; what has no reservation counts too."""
        ...

    async def release(self, payment_hash: PaymentHash) -> None:
        """Give a reservation back; one that was spent stays spent."""
        ...

    async def pause(self, *, now: int, scope: Scope = NODE) -> None:
        """Stop all spending of a scope until `resume`, in every process; pausing twice is once."""
        ...

    async def resume(self, *, scope: Scope = NODE) -> None:
        """Let a scope spend again."""
        ...

    async def paused(self, scope: Scope = NODE) -> int | None:
        """Return since when a scope is paused (unix seconds); None if it is not."""
        ...

    async def usage(self, purpose: Purpose, *, now: int) -> dict[Scope, Usage]:
        """Return what is spent and reserved in each scope, over each span that the purpose has.

        A reservation counts in every hour and day until it is spent or given back.
        """
        ...

    async def most(self, span: Span, *, scope: Scope = NODE) -> tuple[str, Used] | None:
        """Return the job, or the provider, that has cost most, and what it has; None before any has."""
        ...

    async def reserved(self) -> dict[PaymentHash, Entry]:
        """Return what is set aside and neither spent nor given back, the oldest first."""
        ...

    async def committed(self) -> Msat:
        """Return all that is spent or reserved, ever."""
        ...
