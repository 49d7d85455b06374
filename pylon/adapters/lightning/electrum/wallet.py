"""Electrum as a `Wallet`."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
from attrs import frozen

from pylon.adapters.lightning.electrum.answers import Balance
from pylon.adapters.lightning.electrum.history import history
from pylon.adapters.lightning.electrum.invoices import InvoiceDesk
from pylon.adapters.lightning.electrum.payments import PaymentDesk
from pylon.adapters.lightning.electrum.rpc import Rpc, from_btc
from pylon.adapters.lightning.electrum.watch import Watch
from pylon.errors import Misconfigured
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.money import Msat
from pylon.model.wallet import (
    HistoryEntry,
    InvoiceStatus,
    IssuedInvoice,
    PaymentResult,
    WalletInfo,
)
from pylon.ports.clock import Clock


@frozen
class ElectrumWallet:
    """The wallet that a daemon has open; see `ports.wallet.Wallet`.

    `settle_hold` and `cancel_invoice` raise `Misconfigured` for an invoice it never made; amounts
    are whole satoshi, anything else is `BadInvoice`.
    """

    _rpc: Rpc
    _info: WalletInfo
    _invoices: InvoiceDesk
    _payments: PaymentDesk
    _clock: Clock

    async def info(self) -> WalletInfo:
        await trio.lowlevel.checkpoint()
        return self._info

    async def balance(self) -> Msat:
        return from_btc((await self._rpc.call("getbalance", Balance)).lightning)

    async def make_invoice(
        self,
        amount: Msat,
        *,
        description: str,
        expiry_seconds: int,
        preimage: Preimage | None = None,
        idempotency_key: str | None = None,
    ) -> IssuedInvoice:
        if preimage is not None:
            raise Misconfigured("Electrum chooses the preimages of its invoices itself")
        return await self._invoices.make(
            amount, memo=description, expiry_seconds=expiry_seconds, key=idempotency_key
        )

    async def make_hold_invoice(
        self,
        payment_hash: PaymentHash,
        amount: Msat,
        *,
        description: str,
        expiry_seconds: int,
        hold_seconds: int,
    ) -> IssuedInvoice:
        return await self._invoices.make_hold(
            payment_hash,
            amount,
            memo=description,
            expiry_seconds=expiry_seconds,
            hold_seconds=hold_seconds,
        )

    async def settle_hold(self, preimage: Preimage) -> InvoiceStatus:
        return await self._invoices.settle(preimage)

    async def cancel_invoice(self, payment_hash: PaymentHash) -> InvoiceStatus:
        return await self._invoices.cancel(payment_hash)

    async def lookup(self, payment_hash: PaymentHash) -> InvoiceStatus | None:
        return await self._invoices.lookup(payment_hash)

    @asynccontextmanager
    async def watch(self, *, after: int) -> AsyncGenerator[Watch, None]:
        yield Watch(self._rpc, self._invoices, self._clock, after)

    async def pay(self, bolt11: str, *, max_fee: Msat, deadline_seconds: float) -> PaymentResult:
        return await self._payments.pay(bolt11, max_fee=max_fee, deadline_seconds=deadline_seconds)

    async def payment(self, payment_hash: PaymentHash) -> PaymentResult | None:
        return await self._payments.payment(payment_hash)

    async def history(self, *, limit: int) -> list[HistoryEntry]:
        return await history(self._rpc, self._invoices, limit=limit, now=self._clock.now())
