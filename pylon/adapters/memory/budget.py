"""A budget that lives as long as the process."""

import trio
from attrs import define, evolve, field

from pylon.core import budget as core
from pylon.core.budget import Caps, Committed, Entry, Standing
from pylon.model.ids import JobId, PaymentHash
from pylon.model.money import Msat


@define(eq=False)
class MemoryBudget:
    """A `Budget` in a dict."""

    _entries: dict[PaymentHash, Entry] = field(factory=dict, init=False)

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
        await trio.lowlevel.checkpoint()
        entry = self._entries.get(payment_hash)
        if entry is not None:
            refusal = core.objection(entry, order, amount=amount, fee=fee)
            if refusal is not None or entry.standing is Standing.RESERVED:
                return refusal
        refusal = core.excess(caps, self._committed(order, now), Msat(amount + fee))
        if refusal is None:
            self._entries[payment_hash] = Entry(order, Standing.RESERVED, amount, fee, now)
        return refusal

    async def spend(self, payment_hash: PaymentHash, *, amount: Msat, fee: Msat, now: int) -> None:
        await trio.lowlevel.checkpoint()
        entry = self._entries.get(payment_hash)
        if entry is None or entry.standing is not Standing.SPENT:
            order = None if entry is None else entry.order
            self._entries[payment_hash] = Entry(order, Standing.SPENT, amount, fee, now)

    async def release(self, payment_hash: PaymentHash) -> None:
        await trio.lowlevel.checkpoint()
        entry = self._entries.get(payment_hash)
        if entry is not None and entry.standing is Standing.RESERVED:
            self._entries[payment_hash] = evolve(entry, standing=Standing.RELEASED)

    async def committed(self, *, since: int = 0) -> Msat:
        await trio.lowlevel.checkpoint()
        return self._since(since)

    def _committed(self, order: JobId, now: int) -> Committed:
        of_order = (
            entry.committed
            for entry in self._entries.values()
            if entry.order == order and entry.standing is not Standing.RELEASED
        )
        return Committed(
            job=Msat(sum(of_order)), day=self._since(core.day_start(now)), total=self._since(0)
        )

    def _since(self, since: int) -> Msat:
        return Msat(
            sum(
                entry.committed
                for entry in self._entries.values()
                if entry.standing is Standing.RESERVED
                or (entry.standing is Standing.SPENT and entry.at >= since)
            )
        )
