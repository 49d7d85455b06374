"""Telling a payee what becomes of its invoices.

One stream of lnd's tells of what is settled and what is new, from a settle index on; it is silent
about holds that are accepted and invoices that are cancelled. Each hold therefore has a stream of
its own, and now and then all that is pending is listed, which finds what no stream has told.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeAlias

import trio
from attrs import define, evolve, field

from pylon.adapters.lightning.lnd.invoices import InvoiceDesk
from pylon.adapters.lightning.lnd.messages import Invoice, Invoices, State
from pylon.adapters.lightning.lnd.rest import Params, Rest, in_path
from pylon.errors import Misconfigured, WalletUnavailable
from pylon.model.ids import PaymentHash
from pylon.model.wallet import InvoiceState, InvoiceStatus
from pylon.ports.clock import Clock

FIRST_PAUSE_SECONDS: Final = 0.1
HASTY_SECONDS: Final = 1.0  # before the first settlement ever
POLL_SECONDS: Final = 5.0
PAST_SECONDS: Final = 2 * 86_400  # an invoice that may be held is not older
_PAGE: Final = 500
_BUFFER: Final = 16

_Told: TypeAlias = InvoiceStatus | WalletUnavailable | Misconfigured


@define
class Watch:
    """What was learned, in the order it was learned in; raises what ended the learning."""

    _told: "trio.MemoryReceiveChannel[_Told]"

    def __aiter__(self) -> "Watch":
        return self

    async def __anext__(self) -> InvoiceStatus:
        try:
            told = await self._told.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
        if isinstance(told, InvoiceStatus):
            return told
        self._told.close()
        raise told


@asynccontextmanager
async def watch_invoices(
    rest: Rest, desk: InvoiceDesk, clock: Clock, *, after: int
) -> AsyncGenerator[Watch, None]:
    """Watch from a settle index on; 0 means from the beginning."""
    send, receive = trio.open_memory_channel[_Told](_BUFFER)
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        watcher = _Watcher(rest, desk, clock, send, nursery, after)
        watcher.start(watcher.follow_settlements)
        watcher.start(watcher.look_around)
        try:
            yield Watch(receive)
        except Exception as error:  # noqa: BLE001 - raised below, as itself and in no group
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


@define
class _Watcher:
    """The tasks behind one watch."""

    _rest: Rest
    _desk: InvoiceDesk
    _clock: Clock
    _tell: "trio.MemorySendChannel[_Told]"
    _nursery: trio.Nursery
    _after: int
    _cursor: int = field(init=False)  # all settlements up to this index have been told
    _open: dict[PaymentHash, InvoiceState] = field(factory=dict, init=False)  # what may yet change
    _indexed: trio.Event = field(factory=trio.Event, init=False)  # the cursor is not 0

    def __attrs_post_init__(self) -> None:
        self._cursor = self._after

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run a task that ends the watch when it fails."""
        self._nursery.start_soon(self._guarded, work)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (WalletUnavailable, Misconfigured) as error:
            await self._tell.send(error)

    async def follow_settlements(self) -> None:
        """Learn of each settlement, and of each new invoice, as it happens."""
        await self._indexed.wait()
        since = {"settle_index": self._cursor}
        path = "/v1/invoices/subscribe"
        async with self._rest.stream(path, Invoice, params=since) as invoices:
            async for invoice in invoices:
                unheard = invoice.settle_index > self._cursor
                self._cursor = max(self._cursor, invoice.settle_index)
                await self._learn(invoice, news=unheard)
        raise WalletUnavailable("lnd ended the stream of settlements")

    async def follow_hold(self, payment_hash: PaymentHash) -> None:
        """Learn what becomes of a hold until it is settled, which the other stream tells."""
        path = f"/v2/invoices/subscribe/{in_path(payment_hash)}"
        async with self._rest.stream(path, Invoice) as updates:
            async for invoice in updates:
                if invoice.state is State.SETTLED:
                    return
                await self._learn(invoice)
                if invoice.state is State.CANCELED:
                    return

    async def look_around(self) -> None:
        """Learn of what is now, and from time to time of what no stream has told.

        From index 0 lnd's stream has no past, and does not say when it begins; so until there is a
        first settlement to begin from, all there is is listed, and often.
        """
        await self._look(all_of_it=not self._after, first=True)
        pause = FIRST_PAUSE_SECONDS
        while True:
            await trio.sleep(pause)
            pause = min(2 * pause, POLL_SECONDS if self._cursor else HASTY_SECONDS)
            await self._look(all_of_it=not self._cursor)

    async def _look(self, *, all_of_it: bool, first: bool = False) -> None:
        a_while_ago = max(0, int(self._clock.now()) - PAST_SECONDS)
        some: Params = {"creation_date_start": a_while_ago} if first else {"pending_only": "true"}
        found = await self._list({} if all_of_it else some)
        for invoice in sorted(found, key=lambda invoice: invoice.settle_index):
            settled = invoice.state is State.SETTLED
            if settled and all_of_it:
                self._cursor = invoice.settle_index
            if all_of_it or not settled:  # the stream tells those, in their order
                await self._learn(invoice, news=first or settled)
        for gone in self._open.keys() - {invoice.payment_hash for invoice in found}:
            if closed := await self._desk.find(gone):
                await self._learn(closed)
        if self._cursor:
            self._indexed.set()

    async def _list(self, which: Params) -> list[Invoice]:
        found, offset = list[Invoice](), 0
        while True:
            where = {"num_max_invoices": _PAGE, "index_offset": offset}
            page = await self._rest.get("/v1/invoices", Invoices, {**which, **where})
            found += page.invoices
            if len(page.invoices) < _PAGE:
                return found
            offset = page.last_index_offset

    async def _learn(self, invoice: Invoice, *, news: bool = False) -> None:
        """Tell of a change. What is final is told if it is `news` or was known to be open."""
        status = await self._desk.status(invoice)
        known = self._open.pop(status.payment_hash, None)
        if status.state in (InvoiceState.OPEN, InvoiceState.ACCEPTED):
            self._open[status.payment_hash] = status.state
            if known is None and invoice.is_hold:
                self.start(partial(self.follow_hold, status.payment_hash))
            changed = status.state is InvoiceState.ACCEPTED and known is not InvoiceState.ACCEPTED
        else:
            changed = status.state is not InvoiceState.EXPIRED and (news or known is not None)
        if changed:
            await self._tell.send(evolve(status, cursor=self._cursor))
