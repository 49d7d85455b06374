"""The actor that keeps the budget: it reserves before a payment and settles after."""

from collections import defaultdict
from collections.abc import Container, Sequence

import trio
from attrs import frozen

from pylon.core.order_machine import BudgetExceeded, BudgetReserved, Release, Reserve, Spend
from pylon.core.order_mail import AboutOrder, OrderMail
from pylon.core.outbox import TREASURER
from pylon.model.budget import Purpose
from pylon.model.ids import JobId, PaymentHash
from pylon.model.order import Offer, Order, OrderState, offer_of
from pylon.ports.budget import Budget, Limits
from pylon.ports.channels import Hint
from pylon.ports.clock import Clock
from pylon.ports.outbox import OutboxReader, entry_of
from pylon.ports.payees import Payees
from pylon.ports.records import Record, Records, Row


@frozen
class Treasurer:
    """Carry out `Reserve`, `Spend` and `Release`: those of one order one after the other.

    Those of several orders are under way at once, so that the store commits them together.
    """

    records: Records[Order, OrderState]
    mine: Container[JobId]
    budget: Budget
    limits: Limits
    payees: Payees
    clock: Clock
    hint: Hint
    mail: trio.MemorySendChannel[OrderMail]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        reader = OutboxReader(self.records, TREASURER, self.mine)
        task_status.started()
        while True:
            orders = defaultdict[JobId, list[Row]](list)
            for row in await reader.take():
                orders[row.subject].append(row)
            async with trio.open_nursery() as nursery:
                for rows in orders.values():
                    nursery.start_soon(self._serve_order, rows)
            await self.hint.wait()

    async def _serve_order(self, rows: Sequence[Row]) -> None:
        for row in rows:
            await self._serve(row)

    async def _serve(self, row: Row) -> None:
        now = int(self.clock.now())
        match entry_of(row):
            case Reserve() as reserve:
                await self._reserve(row, reserve, now)
            case Spend(payment_hash, amount, fee):
                await self.budget.spend(payment_hash, amount=amount, fee=fee, now=now)
                await self._pin(row, payment_hash, now)
                await self.records.drop([row.seq])
            case Release(payment_hash):
                await self._give_back(row.subject, payment_hash)
                await self.records.drop([*await self._reservations(row, payment_hash), row.seq])
            case _:
                return

    async def _give_back(self, order: JobId, payment_hash: PaymentHash) -> None:
        """Release what this order has set aside.

        Two orders may have been offered one invoice: to the second nothing was granted for it.
        """
        entry = (await self.budget.reserved()).get(payment_hash)
        if entry is not None and entry.purpose.order == order:
            await self.budget.release(payment_hash)

    async def _reservations(self, release: Row, payment_hash: PaymentHash) -> list[int]:
        """Find what asked for the reservation given back: left behind, it would be made again."""
        rows = await self.records.outbox(TREASURER, subject=release.subject)
        return [
            row.seq
            for row in rows
            if row.seq < release.seq
            and isinstance(entry := entry_of(row), Reserve)
            and entry.payment_hash == payment_hash
        ]

    async def _pin(self, row: Row, payment_hash: PaymentHash, now: int) -> None:
        """Remember which node a provider was paid at, now that the payment has succeeded."""
        record = await self._record(row)
        offer = _offer(record.state, payment_hash)
        if offer is not None:
            known = await self.payees.known([offer.provider])
            if known.get(offer.provider) != offer.node_key:
                await self.payees.pin(offer.provider, offer.node_key, now=now)

    async def _record(self, row: Row) -> Record[Order, OrderState]:
        return (await self.records.load([row.subject]))[row.subject]

    async def _reserve(self, row: Row, reserve: Reserve, now: int) -> None:
        record = await self._record(row)
        offer = _offer(record.state, reserve.payment_hash)  # None: the order has moved on
        provider = None if offer is None else offer.provider
        refusal = await self.budget.reserve(
            reserve.payment_hash,
            Purpose(row.subject, provider, record.facts.scopes),
            amount=reserve.amount,
            fee=reserve.fee,
            limits=self.limits,
            now=now,
        )
        news = (
            BudgetReserved(reserve.payment_hash)
            if refusal is None
            else BudgetExceeded(reserve.payment_hash, refusal)
        )
        await self.mail.send(AboutOrder(row.subject, news, done=(row.seq,)))


def _offer(state: OrderState, payment_hash: PaymentHash) -> Offer | None:
    """Return the offer that a payment is for, if it is still the one that was picked."""
    offer = offer_of(state)
    return offer if offer is not None and offer.payment_hash == payment_hash else None
