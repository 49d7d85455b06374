"""Telling a client what happens to the wallet's invoices."""

from collections.abc import Awaitable, Callable

import trio
from attrs import frozen

from pylon.core.nwc_answers import transaction
from pylon.model.wallet import Direction, InvoiceState, InvoiceStatus
from pylon.ports.wallet import Wallet, answers_within
from pylon.services.nwc_service.looking import HISTORY, find
from pylon.wire.nwc.payloads import Notification, NotificationType

_TYPES = {
    InvoiceState.SETTLED: NotificationType.PAYMENT_RECEIVED,
    InvoiceState.ACCEPTED: NotificationType.HOLD_ACCEPTED,
}
_ENDED = ("settled", "cancelled", "expired")


@frozen
class Telling:
    """Tell of what is paid or held from now on; what had come to its end before is no news."""

    wallet: Wallet
    notify: Callable[[Notification], Awaitable[None]]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Tell until cancelled; raises `WalletUnavailable` when the wallet goes away."""
        with answers_within():
            entries = await self.wallet.history(limit=HISTORY)
        past = {entry.payment_hash for entry in entries if entry.state in _ENDED}
        async with self.wallet.watch(after=0) as statuses:
            task_status.started()
            async for status in statuses:
                if status.payment_hash not in past:
                    await self._tell(status)

    async def _tell(self, status: InvoiceStatus) -> None:
        kind = _TYPES.get(status.state)
        if kind is None:
            return
        with answers_within():
            entry = await find(self.wallet, status.payment_hash, Direction.INCOMING)
        if entry is not None:
            await self.notify(Notification(kind, transaction(entry, status)))
