"""The actor that hears from the wallet what becomes of invoices."""

import logging
from collections import deque

import trio
from attrs import frozen

from pylon.core.job_machine import open_invoice
from pylon.core.mail import InvoiceChanged, Mail
from pylon.model.ids import RelayUrl
from pylon.model.job import Job, JobState
from pylon.model.wallet import WalletInfo
from pylon.ports.cursors import Cursors
from pylon.ports.records import Records
from pylon.ports.wallet import Wallet, answers_within

log = logging.getLogger(__name__)

IN_FLIGHT = 1024  # statuses that may be on their way to the store: more than any channel holds


@frozen
class InvoiceWatcher:
    """Pass on every change, from where the last run had got to, and how open invoices stand.

    The cursor saved lags behind what was passed on, so that a crash repeats statuses that had not
    reached the store; hearing of a payment twice changes nothing. It is one wallet's cursor: for
    another one, or where it is lost, the look at the open invoices finds what no change tells.
    """

    records: Records[Job, JobState]
    wallet: Wallet
    cursors: Cursors
    mail: trio.MemorySendChannel[Mail]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled; raises `WalletUnavailable` when the wallet goes away."""
        with answers_within():
            cursor = cursor_of(await self.wallet.info())
        after = await self.cursors.load(*cursor) or 0
        async with self.wallet.watch(after=after) as statuses, trio.open_nursery() as nursery:
            task_status.started()
            nursery.start_soon(self._look_at_open)
            passed: deque[int] = deque()
            async for status in statuses:
                await self.mail.send(InvoiceChanged(status))
                passed.append(status.cursor)
                if len(passed) == 2 * IN_FLIGHT:
                    await self.cursors.save(*cursor, passed[IN_FLIGHT - 1])
                    for _ in range(IN_FLIGHT):
                        passed.popleft()

    async def _look_at_open(self) -> None:
        for record in (await self.records.load(await self.records.unfinished())).values():
            invoice = open_invoice(record.state)
            if invoice is None:
                continue
            with answers_within():
                status = await self.wallet.lookup(invoice.payment_hash)
            if status is None:
                log.warning("job %s: this wallet did not make its invoice", record.id[:8])
            else:
                await self.mail.send(InvoiceChanged(status))


def cursor_of(info: WalletInfo) -> tuple[RelayUrl, str]:
    """Name the cursor of a wallet; it is kept with the relays' cursors, the same kind of fact."""
    return RelayUrl("wallet"), f"invoices of {info.backend} {info.node_key or ''}".rstrip()
