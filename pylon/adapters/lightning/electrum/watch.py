"""Telling a payee what becomes of its invoices, although Electrum tells nobody.

Its channels are looked at often, which costs little; the table of payments is read when a channel
has changed or money is on its way. The cursor is a unix second before which nothing was left on its
way: the last look at which no HTLC was coming in. What HTLCs brought from then on is told again.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

import trio
from attrs import define, evolve, field

from pylon.adapters.lightning.electrum.answers import Channel, Moved, Table
from pylon.adapters.lightning.electrum.invoices import LONGEST_HOLD_SECONDS, InvoiceDesk
from pylon.adapters.lightning.electrum.rpc import Rpc
from pylon.model.ids import PaymentHash
from pylon.model.wallet import InvoiceState, InvoiceStatus
from pylon.ports.clock import Clock
from pylon.wire import bolt11

POLL_SECONDS: Final = 0.25
CLOCK_SLACK_SECONDS: Final = 60  # between Electrum's clock and ours

_FINAL: Final = (InvoiceState.SETTLED, InvoiceState.CANCELLED, InvoiceState.EXPIRED)
_TOLD: Final = (InvoiceState.ACCEPTED, InvoiceState.SETTLED, InvoiceState.CANCELLED)


@define
class Watch:
    """Every change from the cursor on, and then as they are seen."""

    _rpc: Rpc
    _desk: InvoiceDesk
    _clock: Clock
    _after: int
    _told: deque[InvoiceStatus] = field(factory=deque, init=False)
    _states: dict[PaymentHash, InvoiceState] = field(factory=dict, init=False)
    _seen: frozenset[Channel] | None = field(default=None, init=False)
    _cursor: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._cursor = self._after

    def __aiter__(self) -> "Watch":
        return self

    async def __anext__(self) -> InvoiceStatus:
        while not self._told:
            first = self._seen is None
            if not first:
                await trio.sleep(POLL_SECONDS)
            await self._look(first=first)
        return self._told.popleft()

    async def _look(self, *, first: bool) -> None:
        now = int(self._clock.now())
        channels = frozenset(await self._rpc.call("list_channels", list[Channel]))
        quiet = not any(c.remote_unsettled_sent for c in channels if not c.is_past)
        cancelled = await self._desk.notes.cancelled()
        if first:
            await self._remember(cancelled, now)
        same = channels == self._seen and cancelled.keys() <= self._states.keys()
        if not same or not quiet:
            changes = await self._changes(cancelled)
            if quiet:
                self._cursor = max(self._cursor, now)
            self._told.extend(evolve(status, cursor=self._cursor) for status in changes)
        self._seen = channels

    async def _remember(self, cancelled: Mapping[PaymentHash, int], now: int) -> None:
        """Take what was told before the cursor, or can no longer change, as known."""
        since = self._after - CLOCK_SLACK_SECONDS
        for moved in await self._rpc.call("lightning_history", list[Moved]):
            if moved.payment_hash and moved.timestamp and moved.timestamp < since:
                self._states[moved.payment_hash] = InvoiceState.SETTLED
        for payment_hash, at in cancelled.items():
            if at < since:
                self._states[payment_hash] = InvoiceState.CANCELLED
        for payment_hash, text in (await self._desk.notes.holds()).items():
            if bolt11.decode(text).expires_at + LONGEST_HOLD_SECONDS < now:
                self._states.setdefault(payment_hash, InvoiceState.EXPIRED)

    async def _changes(self, cancelled: Iterable[PaymentHash]) -> list[InvoiceStatus]:
        """Return what stands otherwise than at the last look."""
        table = await self._desk.table()
        holds = await self._desk.notes.holds()
        paid = [payment_hash for payment_hash, row in table.items() if row.is_paid]
        changes = list[InvoiceStatus]()
        for payment_hash in dict.fromkeys((*paid, *holds, *cancelled)):
            before = self._states.get(payment_hash)
            if before in _FINAL:
                continue
            status = await self._status(payment_hash, table, before)
            if status is not None and status.state is not before:
                self._states[payment_hash] = status.state
                if status.state in _TOLD:
                    changes.append(status)
        return changes

    async def _status(
        self, payment_hash: PaymentHash, table: Table, before: InvoiceState | None
    ) -> InvoiceStatus | None:
        status = await self._desk.status(payment_hash, table)
        # An HTLC that was held and is gone was failed by Electrum, close to its expiry. It is not
        # to come a second time.
        gone = status is not None and status.state in (InvoiceState.OPEN, InvoiceState.EXPIRED)
        if gone and before is InvoiceState.ACCEPTED:
            return await self._desk.cancel(payment_hash)
        return status
