"""Spark as a `Wallet`."""

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Final

from attrs import define, field, frozen

from pylon.adapters.lightning.spark import listing
from pylon.adapters.lightning.spark.bell import Bell
from pylon.adapters.lightning.spark.book import Asked, Attempt, Book
from pylon.adapters.lightning.spark.faucet import LINK, request_regtest_funds
from pylon.adapters.lightning.spark.invoices import InvoiceDesk, whole_sats
from pylon.adapters.lightning.spark.payments import PaymentDesk
from pylon.adapters.lightning.spark.sdk import Spark
from pylon.errors import Misconfigured, WalletUnavailable
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.money import ZERO, Msat, Network, from_sats
from pylon.model.wallet import (
    Direction,
    HistoryEntry,
    InvoiceStatus,
    IssuedInvoice,
    PaymentResult,
    WalletInfo,
)
from pylon.ports.clock import Clock

_AT_ONCE: Final = 100


@frozen
class SparkWallet:
    """The wallet of one set of words; see `ports.wallet.Wallet`.

    It knows whole satoshi only: another amount is `BadInvoice`, and never rounded. Spark cannot
    withdraw an invoice nor give a hold back, so `cancel_invoice` changes nothing: look at the state
    it returns. What is held goes back by itself at its `settle_deadline`.
    """

    _spark: Spark
    _info: WalletInfo
    _book: Book
    _invoices: InvoiceDesk
    _payments: PaymentDesk
    _bell: Bell
    _clock: Clock

    async def info(self) -> WalletInfo:
        return self._info

    async def balance(self) -> Msat:
        info = await self._spark("get_info", self._spark.sdk.GetInfoRequest(ensure_synced=False))
        return from_sats(info.balance_sats)

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
            raise Misconfigured("Spark chooses the preimage of an ordinary invoice itself")
        return await self._invoices.make(
            amount,
            description=description,
            expiry_seconds=expiry_seconds,
            idempotency_key=idempotency_key,
        )

    async def make_hold_invoice(
        self,
        payment_hash: PaymentHash,
        amount: Msat,
        *,
        description: str,
        expiry_seconds: int,
        hold_seconds: int,  # noqa: ARG002 - Spark says how long once it holds, and takes no wishes
    ) -> IssuedInvoice:
        return await self._invoices.make(
            amount,
            description=description,
            expiry_seconds=expiry_seconds,
            payment_hash=payment_hash,
        )

    async def settle_hold(self, preimage: Preimage) -> InvoiceStatus:
        payment_hash = PaymentHash(sha256(bytes.fromhex(preimage)).hexdigest())
        return await self._invoices.settle(payment_hash, preimage)

    async def cancel_invoice(self, payment_hash: PaymentHash) -> InvoiceStatus:
        return await self._invoices.cancel(payment_hash)

    async def lookup(self, payment_hash: PaymentHash) -> InvoiceStatus | None:
        return await self._invoices.lookup(payment_hash)

    @asynccontextmanager
    async def watch(self, *, after: int) -> AsyncGenerator["Watch", None]:
        yield Watch(self._book, self._invoices, self._bell, after)

    async def pay(self, bolt11: str, *, max_fee: Msat, deadline_seconds: float) -> PaymentResult:
        return await self._payments.pay(bolt11, max_fee=max_fee, deadline_seconds=deadline_seconds)

    async def payment(self, payment_hash: PaymentHash) -> PaymentResult | None:
        return await self._payments.outcome(payment_hash)

    async def history(self, *, limit: int) -> list[HistoryEntry]:
        await self._invoices.refresh()
        sdk, now = self._spark.sdk, self._clock.now()
        request = sdk.ListPaymentsRequest(limit=limit, sort_ascending=False)
        listed = (await self._spark("list_payments", request)).payments
        asked, attempts = self._book.invoices(limit), self._book.payments(limit)
        entries = [
            *(_incoming(one, now) for one in asked),
            *(_outgoing(one) for one in attempts),
            *(listing.foreign_entry(sdk, one) for one in listed if not self._knows(one)),
        ]
        return sorted(entries, key=lambda entry: entry.at, reverse=True)[:limit]

    async def deposit_address(self) -> str:
        """Return the on-chain address of this wallet; a deposit counts after 3 confirmations."""
        sdk = self._spark.sdk
        method = sdk.ReceivePaymentMethod.BITCOIN_ADDRESS(new_address=None)
        request = sdk.ReceivePaymentRequest(payment_method=method)
        address: str = (await self._spark("receive_payment", request)).payment_request
        return address

    async def fund(self, amount: Msat) -> Msat:
        """Ask the faucet of Spark's regtest for play money and return the balance, as yet without.

        Raises:
            Misconfigured: There is no faucet, or it gives nothing; says how to get it by hand.
        """
        if self._info.network is not Network.REGTEST:
            raise Misconfigured("there is a faucet on regtest only")
        address = await self.deposit_address()
        try:
            await request_regtest_funds(address, whole_sats(amount))
        except WalletUnavailable as error:
            raise Misconfigured(f"{error}: by hand, send to {address} from {LINK}") from error
        return await self.balance()

    def _knows(self, payment: object) -> bool:
        payment_hash = listing.hash_of(payment)
        return payment_hash is not None and (
            self._book.invoice(payment_hash) is not None
            or self._book.payment(payment_hash) is not None
        )


@define
class Watch:
    """Every change of an invoice after a cursor, in order, now and in future."""

    _book: Book
    _invoices: InvoiceDesk
    _bell: Bell
    _cursor: int
    _told: deque[InvoiceStatus] = field(factory=deque, init=False)

    def __aiter__(self) -> "Watch":
        return self

    async def __anext__(self) -> InvoiceStatus:
        while not self._told:
            heard = self._bell.rung
            await self._invoices.refresh()
            self._told.extend(self._book.changes(self._cursor, _AT_ONCE))
            if not self._told:
                await self._bell.wait(heard)
        status = self._told.popleft()
        self._cursor = status.cursor
        return status


def _incoming(asked: Asked, now: float) -> HistoryEntry:
    return HistoryEntry(
        Direction.INCOMING,
        asked.state_at(now),
        asked.amount,
        ZERO,
        asked.payment_hash,
        asked.description,
        asked.created_at,
    )


def _outgoing(attempt: Attempt) -> HistoryEntry:
    return HistoryEntry(
        Direction.OUTGOING,
        attempt.state,
        attempt.amount,
        attempt.fee,
        attempt.payment_hash,
        attempt.description,
        attempt.at,
    )
