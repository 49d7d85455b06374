"""Earnings that live as long as the process."""

from typing import Any

import trio
from attrs import define, field

from pylon.adapters.memory.records import MemoryRecords
from pylon.model.earning import Earning, EarningsTotal
from pylon.model.ids import PaymentHash
from pylon.model.money import Msat


@define(eq=False)
class MemoryEarnings:
    """An `Earnings` in a dict, beside the jobs whose outbox asks for credit."""

    _jobs: MemoryRecords[Any, Any]
    _earnings: dict[PaymentHash, Earning] = field(factory=dict, init=False)

    async def credit(self, earning: Earning, *, done: tuple[int, ...] = ()) -> None:
        await trio.lowlevel.checkpoint()
        self._earnings.setdefault(earning.payment_hash, earning)
        self._jobs.remove(done)

    async def total(self, *, since: int = 0) -> EarningsTotal:
        await trio.lowlevel.checkpoint()
        amounts = [earning.amount for earning in self._earnings.values() if earning.at >= since]
        return EarningsTotal(Msat(sum(amounts)), len(amounts))

    async def recent(self, *, limit: int) -> list[Earning]:
        await trio.lowlevel.checkpoint()
        newest_first = reversed(self._earnings.values())
        return sorted(newest_first, key=lambda earning: earning.at, reverse=True)[:limit]
