"""Electrum's wallets opened as Pylon opens them, and as a town of the wallet contract."""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import trio
from attrs import define, field

from pylon.adapters.clock import SystemClock
from pylon.adapters.lightning.electrum import open_electrum
from pylon.adapters.memory.clock import MemoryClock
from pylon.model.ids import PaymentHash
from pylon.model.money import ZERO, Msat, Network
from pylon.model.wallet import InvoiceStatus, IssuedInvoice
from pylon.ports.clock import Clock
from pylon.ports.wallet import Wallet
from tests.adapters.wallet_contract import FUNDS
from tests.integration.lightning.daemon import PASSWORD, USER, Daemon
from tests.integration.lightning.town import Pair


def opened(daemon: Daemon, clock: Clock | None = None) -> AbstractAsyncContextManager[Any]:
    """Open a daemon's wallet."""
    return open_electrum(
        daemon.url,
        user=USER,
        password=PASSWORD,
        network=Network.REGTEST,
        clock=clock or SystemClock(),
    )


@define
class Account:
    """A wallet without its past: the channel is older than this test."""

    _wallet: Any
    _less: int
    _made: set[PaymentHash] = field(factory=set, init=False)

    async def balance(self) -> Msat:
        return Msat(await self._wallet.balance() - self._less)

    async def make_invoice(self, *args: Any, **kwargs: Any) -> IssuedInvoice:
        made: IssuedInvoice = await self._wallet.make_invoice(*args, **kwargs)
        self._made.add(made.payment_hash)
        return made

    @asynccontextmanager
    async def watch(self, *, after: int) -> AsyncGenerator[AsyncIterator[InvoiceStatus], None]:
        async with self._wallet.watch(after=after) as watch:
            yield Ours(watch, self._made)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wallet, name)


@define
class Ours:
    """What a watcher is told of certain invoices."""

    _told: AsyncIterator[InvoiceStatus]
    _wanted: set[PaymentHash]

    def __aiter__(self) -> "Ours":
        return self

    async def __anext__(self) -> InvoiceStatus:
        while (status := await anext(self._told)).payment_hash not in self._wanted:
            pass
        return status


@define
class ChannelTown:
    """The two wallets of a pair. There is no third, and nothing is given."""

    payee: Any
    payer: Any
    clock: MemoryClock
    fee: Msat = ZERO  # the payee is next door
    hold_seconds: int = 0

    @property
    def rival(self) -> Any:
        """Somebody other than the payee; there is no third wallet."""
        return self.payer

    async def restart(self) -> None:
        """Nothing of the adapter's own is kept: new wallets are what a restart is."""

    async def give(self, wallet: Wallet, amount: Msat) -> None:
        raise NotImplementedError

    async def lose_next_answer(self, wallet: Any) -> None:
        """Break the connection when the answer to the next payment comes."""
        client: httpx.AsyncClient = wallet._rpc._client

        async def lose(response: httpx.Response) -> None:
            await trio.lowlevel.checkpoint()
            if b'"lnpay"' in response.request.content:
                client.event_hooks = {"response": []}
                raise httpx.ReadError("cut by the test")

        client.event_hooks = {"response": [lose]}


@asynccontextmanager
async def channel_town(pair: Pair) -> AsyncGenerator[ChannelTown, None]:
    clock = MemoryClock(time.time() - trio.current_time())
    async with opened(pair.payee, clock) as payee, opened(pair.payer, clock) as payer:
        yield ChannelTown(
            Account(payee, await payee.balance()),
            Account(payer, await payer.balance() - FUNDS),
            clock,
        )
