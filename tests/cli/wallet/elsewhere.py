"""A wallet of another make: it does less than the ledger, and may be away or on another network."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import trio
from attrs import define, field, frozen

from pylon.adapters.wallet_secrets import WalletSecret
from pylon.app import wallet as opening
from pylon.errors import Malformed, Misconfigured, WalletUnavailable
from pylon.model.ids import PaymentHash
from pylon.model.money import Msat, Network
from pylon.model.wallet import Capabilities, HistoryEntry, InvoiceStatus, PaymentResult, WalletInfo
from pylon.ports.wallet import Wallet

SECRET = (
    "nostr+walletconnect://" + "ab" * 32 + "?relay=ws%3A%2F%2F127.0.0.1%3A1&secret=" + "cd" * 32
)


@define
class Elsewhere:
    """What this wallet answers; a test changes it."""

    network: Network = Network.REGTEST
    able: Capabilities = field(factory=Capabilities)
    warning: str = ""
    away: bool = False
    lies: PaymentResult | None = None  # what it says of any payment
    past: list[HistoryEntry] | None = None
    lists: bool = True
    silent: bool = False
    address: str = ""  # on chain; such a wallet can be paid there
    hiccups: int = 0  # how many lookups find it away

    @asynccontextmanager
    async def open(self, place: opening._Place) -> AsyncGenerator[Wallet]:
        uri = place.needed(WalletSecret.NWC_URI, "the connection string of the wallet")
        if uri != SECRET:
            raise Malformed("not a connection string of this wallet")
        if self.away:
            raise WalletUnavailable("the wallet is away")
        async with opening._ledger(place) as ledger:
            yield (_OnChain if self.address else _Plain)(ledger, self)


@frozen
class _Plain:
    """The ledger, with all that is the ledger's own taken away."""

    _ledger: Wallet
    _says: Elsewhere

    async def info(self) -> WalletInfo:
        return WalletInfo("nwc", self._says.network, None, self._says.able, self._says.warning)

    async def balance(self) -> Msat:
        if self._says.silent:
            await trio.sleep_forever()
        return await self._ledger.balance()

    async def lookup(self, payment_hash: PaymentHash) -> InvoiceStatus | None:
        if self._says.hiccups:
            self._says.hiccups -= 1
            raise WalletUnavailable("the wallet is away")
        return await self._ledger.lookup(payment_hash)

    async def pay(self, bolt11: str, *, max_fee: Msat, deadline_seconds: float) -> PaymentResult:
        result = await self._ledger.pay(bolt11, max_fee=max_fee, deadline_seconds=deadline_seconds)
        return self._says.lies or result

    async def payment(self, payment_hash: PaymentHash) -> PaymentResult | None:
        return await self._ledger.payment(payment_hash)

    async def history(self, *, limit: int) -> list[HistoryEntry]:
        if not self._says.lists:
            raise Misconfigured("the wallet refuses: NOT_IMPLEMENTED")
        if self._says.past is None:
            return await self._ledger.history(limit=limit)
        return self._says.past[:limit]

    def __getattr__(self, name: str) -> Any:
        if name in ("fund", "audit", "deposit_address"):
            raise AttributeError(name)
        return getattr(self._ledger, name)


@frozen
class _OnChain(_Plain):
    """One that can be paid on chain too."""

    async def deposit_address(self) -> str:
        await trio.lowlevel.checkpoint()
        return self._says.address
