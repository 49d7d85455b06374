"""No payment is missed, over any number of them and any number of restarts."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing
from trio.testing import MockClock

from pylon.adapters.memory.cursors import MemoryCursors
from pylon.adapters.memory.records import MemoryRecords
from pylon.core.mail import InvoiceChanged, Mail
from pylon.errors import WalletUnavailable
from pylon.model.ids import NodeKey, PaymentHash
from pylon.model.job import Job, JobState
from pylon.model.money import Network
from pylon.model.wallet import Capabilities, InvoiceState, InvoiceStatus, WalletInfo
from pylon.services.invoice_watcher import IN_FLIGHT, InvoiceWatcher, cursor_of
from tests.market.actors import working


class Till:
    """A wallet with a history of payments, which may break off."""

    def __init__(self, payments: int, *, breaks_after: int | None = None) -> None:
        self.payments = payments
        self.breaks_after = breaks_after
        self.asked_after: list[int] = []
        self.node_key = NodeKey("02" * 33)

    async def info(self) -> WalletInfo:
        await trio.lowlevel.checkpoint()
        return WalletInfo("till", Network.REGTEST, self.node_key, Capabilities())

    @asynccontextmanager
    async def watch(self, *, after: int) -> AsyncGenerator[AsyncIterator[InvoiceStatus], None]:
        self.asked_after.append(after)
        yield self._tell(after)

    async def _tell(self, after: int) -> AsyncIterator[InvoiceStatus]:
        for cursor in range(after + 1, self.payments + 1):
            if cursor == self.breaks_after:
                self.breaks_after = None
                raise WalletUnavailable("gone")
            yield InvoiceStatus(PaymentHash(f"{cursor:064x}"), InvoiceState.SETTLED, cursor=cursor)
        await trio.sleep_forever()


async def heard_by(till: Till, cursors: MemoryCursors) -> list[int]:
    """Run a watcher until it has nothing more to tell."""
    mail_in, mail = trio.open_memory_channel[Mail](10_000)
    records: MemoryRecords[Job, JobState] = MemoryRecords()
    watcher = InvoiceWatcher(records, till, cursors, mail_in)  # type: ignore[arg-type]  # it only watches
    async with working(watcher.run):
        await trio.sleep(100)
    heard = []
    while mail.statistics().current_buffer_used:
        item = mail.receive_nowait()
        assert isinstance(item, InvoiceChanged)
        heard.append(item.status.cursor)
    return heard


async def test_every_payment_is_told_in_order(autojump_clock: MockClock) -> None:
    till = Till(5)
    assert await heard_by(till, MemoryCursors()) == [1, 2, 3, 4, 5]
    assert till.asked_after == [0]


async def test_a_wallet_that_breaks_off_is_watched_again(autojump_clock: MockClock) -> None:
    heard = await heard_by(Till(5, breaks_after=3), MemoryCursors())
    assert heard == [1, 2, 1, 2, 3, 4, 5]


async def test_a_restart_repeats_what_may_not_have_been_stored_and_little_more(
    autojump_clock: MockClock,
) -> None:
    cursors, payments = MemoryCursors(), 5 * IN_FLIGHT
    assert await heard_by(Till(payments), cursors) == list(range(1, payments + 1))
    saved = await cursors.load(*cursor_of(await Till(0).info()))
    assert saved is not None
    assert payments - 2 * IN_FLIGHT <= saved <= payments - IN_FLIGHT
    till = Till(payments)
    assert await heard_by(till, cursors) == list(range(saved + 1, payments + 1))
    assert till.asked_after == [saved]
