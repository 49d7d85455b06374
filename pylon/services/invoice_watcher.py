"""The actor that hears from the wallet which invoices were paid."""

from collections import deque

import trio
from attrs import frozen

from pylon.core.mail import InvoiceChanged, Mail
from pylon.model.ids import RelayUrl
from pylon.ports.cursors import Cursors
from pylon.ports.wallet import Wallet

CURSOR = (RelayUrl("wallet"), "invoices")  # kept with the relays' cursors: the same kind of fact
IN_FLIGHT = 1024  # statuses that may be on their way to the store: more than any channel holds


@frozen
class InvoiceWatcher:
    """Pass on every change, from where the last run had got to.

    The cursor saved lags behind what was passed on, so that a crash repeats statuses that had not
    reached the store; hearing of a payment twice changes nothing.
    """

    wallet: Wallet
    cursors: Cursors
    mail: trio.MemorySendChannel[Mail]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled; raises `WalletUnavailable` when the wallet goes away."""
        after = await self.cursors.load(*CURSOR) or 0
        async with self.wallet.watch(after=after) as statuses:
            task_status.started()
            passed: deque[int] = deque()
            async for status in statuses:
                await self.mail.send(InvoiceChanged(status))
                passed.append(status.cursor)
                if len(passed) == 2 * IN_FLIGHT:
                    await self.cursors.save(*CURSOR, passed[IN_FLIGHT - 1])
                    for _ in range(IN_FLIGHT):
                        passed.popleft()
