"""What services ask of the record of earnings."""

from typing import Protocol

from pylon.model.earning import Earning, EarningsTotal


class Earnings(Protocol):
    """Money made; every payment hash counts once."""

    async def credit(self, earning: Earning, *, done: tuple[int, ...] = ()) -> None:
        """Count an earning and remove the outbox rows that asked for it, in one transaction."""
        ...

    async def total(self, *, since: int = 0) -> EarningsTotal:
        """Add up what came in since a time (unix seconds)."""
        ...

    async def recent(self, *, limit: int) -> list[Earning]:
        """Return the latest earnings, newest first."""
        ...
