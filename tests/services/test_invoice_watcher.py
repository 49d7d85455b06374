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
from pylon.model.ids import EventId, NodeKey, PaymentHash
from pylon.model.job import (
    Delivered,
    Finished,
    Job,
    JobState,
    Offered,
    Received,
    Settled,
    Settling,
    Working,
)
from pylon.model.money import Msat, Network
from pylon.model.wallet import (
    Capabilities,
    InvoiceState,
    InvoiceStatus,
    IssuedInvoice,
    WalletInfo,
)
from pylon.services.invoice_watcher import IN_FLIGHT, InvoiceWatcher, cursor_of
from tests.market.actors import a_paid_job, begun, working
from tests.nostr import NOW


class Till:
    """A wallet with a history of payments, which may break off."""

    def __init__(
        self, payments: int, *, breaks_after: int | None = None, node_key: str = "02"
    ) -> None:
        self.payments = payments
        self.breaks_after = breaks_after
        self.asked_after: list[int] = []
        self.looked_up: list[PaymentHash] = []
        self.node_key = NodeKey(node_key * 33)
        self.open: dict[PaymentHash, InvoiceStatus] = {}

    async def info(self) -> WalletInfo:
        await trio.lowlevel.checkpoint()
        return WalletInfo("till", Network.REGTEST, self.node_key, Capabilities())

    @asynccontextmanager
    async def watch(self, *, after: int) -> AsyncGenerator[AsyncIterator[InvoiceStatus], None]:
        self.asked_after.append(after)
        yield self._tell(after)

    async def lookup(self, payment_hash: PaymentHash) -> InvoiceStatus | None:
        await trio.lowlevel.checkpoint()
        self.looked_up.append(payment_hash)
        return self.open.get(payment_hash)

    async def _tell(self, after: int) -> AsyncIterator[InvoiceStatus]:
        for cursor in range(after + 1, self.payments + 1):
            if cursor == self.breaks_after:
                self.breaks_after = None
                raise WalletUnavailable("gone")
            yield InvoiceStatus(PaymentHash(f"{cursor:064x}"), InvoiceState.SETTLED, cursor=cursor)
        await trio.sleep_forever()


async def heard_by(
    till: Till, cursors: MemoryCursors, records: MemoryRecords[Job, JobState] | None = None
) -> list[int]:
    """Run a watcher until it has nothing more to tell."""
    mail_in, mail = trio.open_memory_channel[Mail](10_000)
    records = MemoryRecords() if records is None else records
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


async def test_another_wallet_is_watched_from_its_own_beginning(autojump_clock: MockClock) -> None:
    cursors, payments = MemoryCursors(), 2 * IN_FLIGHT
    await heard_by(Till(payments), cursors)
    other, same = Till(3, node_key="03"), Till(payments)
    assert await heard_by(other, cursors) == [1, 2, 3]
    assert other.asked_after == [0]
    await heard_by(same, cursors)
    assert same.asked_after == [IN_FLIGHT]


def invoice(number: int) -> IssuedInvoice:
    hash_ = PaymentHash(f"{number:064x}")
    return IssuedInvoice(f"lnbcrt{number}", hash_, Msat(12_000), NOW, NOW + 600)


async def test_every_open_invoice_is_looked_at_once_whatever_the_cursor_says(
    autojump_clock: MockClock,
) -> None:
    """It was paid, or accepted, while we were down, and the wallet's history is lost."""
    records: MemoryRecords[Job, JobState] = MemoryRecords()
    open_states: list[JobState] = [
        Offered(invoice(101)),
        Working(NOW + 60, None, invoice(102), held=True, settle_by=NOW + 3_600),
        Finished(EventId("result"), give_up_at=NOW + 60, invoice=invoice(103), held=True),
        Delivered(EventId("result"), invoice(104)),
        Settling(EventId("result"), invoice(105)),
    ]
    others: list[JobState] = [
        Received(),
        Working(NOW + 60, invoice(107).payment_hash),
        Settled(EventId("result"), invoice(108).payment_hash),
    ]
    for number, state in enumerate((*open_states, *others)):
        await records.save([begun(a_paid_job(number), state)])
    till = Till(2)
    hashes = [invoice(number).payment_hash for number in range(101, 106)]
    for number, hash_ in enumerate(hashes[1:]):  # the first is another wallet's
        till.open[hash_] = InvoiceStatus(hash_, InvoiceState.ACCEPTED, cursor=900 + number)
    heard = await heard_by(till, MemoryCursors(), records)
    assert till.looked_up == hashes
    assert sorted(heard) == [1, 2, 900, 901, 902, 903]
