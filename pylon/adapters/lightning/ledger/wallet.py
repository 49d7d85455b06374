"""The ledger as a `Wallet`."""

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256

import apsw
import trio
from attrs import evolve, field, frozen

from pylon.adapters.lightning.ledger import accounts, faults, history, invoices, settlement
from pylon.adapters.lightning.ledger.audit import audit
from pylon.adapters.lightning.ledger.book import Desk
from pylon.adapters.lightning.ledger.faults import Fault, FaultKind, Faults
from pylon.adapters.lightning.ledger.invoices import StoredInvoice
from pylon.adapters.lightning.ledger.payments import StoredPayment, outcome
from pylon.adapters.lightning.ledger.settlement import PayOrder, Terms
from pylon.adapters.lightning.ledger.watch import Watch
from pylon.errors import Misconfigured, WalletUnavailable
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.invoice import Invoice
from pylon.model.money import Msat, Network
from pylon.model.wallet import (
    Capabilities,
    HistoryEntry,
    InvoiceState,
    InvoiceStatus,
    IssuedInvoice,
    PaymentFailed,
    PaymentInFlight,
    PaymentResult,
    WalletInfo,
)
from pylon.wire.bolt11 import decode, encode
from pylon.wire.secp import KeyPair

WARNING = "embedded regtest ledger: not Lightning, no value"

_FEATURES = frozenset({8, 14, 17})  # var_onion, payment_secret, and multi-part if the payer likes
_SECRET_LENGTH = 32


@frozen
class LedgerWallet:
    """One node's wallet in a ledger that it shares with others; see `ports.wallet.Wallet`.

    `settle_hold` and `cancel_invoice` raise `Misconfigured` for an invoice it never made;
    an amount or a description that no invoice can carry is `BadInvoice`.
    """

    _desk: Desk
    _account: int
    _key: KeyPair
    _terms: Terms = field(factory=Terms)
    _entropy: Callable[[int], bytes] = secrets.token_bytes

    async def info(self) -> WalletInfo:
        await trio.lowlevel.checkpoint()
        able = Capabilities(hold=True, chosen_preimage=True, msat=True, max_fee=True)
        return WalletInfo("ledger", Network.REGTEST, self._key.node_key, able, WARNING)

    async def balance(self) -> Msat:
        return await self._desk.read(partial(accounts.balance, account=self._account))

    async def make_invoice(
        self,
        amount: Msat,
        *,
        description: str,
        expiry_seconds: int,
        preimage: Preimage | None = None,
        idempotency_key: str | None = None,
    ) -> IssuedInvoice:
        secret = preimage or Preimage(self._entropy(_SECRET_LENGTH).hex())
        draft = self._draft(_hash(secret), amount, description, expiry_seconds, secret)
        return await self._issue(evolve(draft, idempotency_key=idempotency_key), chosen=preimage)

    async def make_hold_invoice(
        self,
        payment_hash: PaymentHash,
        amount: Msat,
        *,
        description: str,
        expiry_seconds: int,
        hold_seconds: int,
    ) -> IssuedInvoice:
        if hold_seconds > self._terms.hold_seconds:
            raise Misconfigured(f"the ledger holds payments for {self._terms.hold_seconds:,} s")
        return await self._issue(self._draft(payment_hash, amount, description, expiry_seconds))

    async def settle_hold(self, preimage: Preimage) -> InvoiceStatus:
        order = (_hash(preimage), preimage, self._account, self._desk.now())
        return _ours(await self._desk.write(partial(settlement.settle_hold, *order)))

    async def cancel_invoice(self, payment_hash: PaymentHash) -> InvoiceStatus:
        order = (payment_hash, self._account, self._desk.now())
        return _ours(await self._desk.write(partial(settlement.cancel, *order)))

    async def lookup(self, payment_hash: PaymentHash) -> InvoiceStatus | None:
        found = await self._desk.read(partial(invoices.find, payment_hash=payment_hash))
        if found is None or found.payee != self._account:
            return None
        return found.status(self._desk.now())

    @asynccontextmanager
    async def watch(self, *, after: int) -> AsyncGenerator[Watch, None]:
        yield Watch(self._desk, self._account, after)

    async def pay(self, bolt11: str, *, max_fee: Msat, deadline_seconds: float) -> PaymentResult:
        invoice = decode(bolt11)
        with trio.move_on_after(deadline_seconds):
            if invoice.network is not Network.REGTEST or invoice.amount is None:
                await trio.lowlevel.checkpoint()
                reason = "only regtest invoices with an amount can be paid here"
                return PaymentFailed(invoice.payment_hash, reason)
            text = bolt11.lower().removeprefix("lightning:")
            order = self._order(invoice, invoice.amount, text, max_fee)
            attempt = await self._desk.write(partial(settlement.pay, order))
            if attempt.lost:
                raise WalletUnavailable("the wallet's answer was lost")
            if attempt.delay_ms:
                await trio.sleep(attempt.delay_ms / 1000)
            return await self._ending(attempt.result)
        return PaymentInFlight(invoice.payment_hash)

    async def payment(self, payment_hash: PaymentHash) -> PaymentResult | None:
        return await self._desk.read(
            partial(outcome, payer=self._account, payment_hash=payment_hash)
        )

    async def history(self, *, limit: int) -> list[HistoryEntry]:
        now = self._desk.now()
        look = partial(history.history, account=self._account, now=now, limit=limit)
        return await self._desk.read(look)

    async def fund(self, amount: Msat) -> Msat:
        """Take play money from the faucet and return the new balance.

        Raises:
            Misconfigured: The faucet has given this wallet all it gives, or the amount is none.
        """
        order = (self._account, amount, self._desk.now())
        return await self._desk.write(partial(accounts.fund, *order))

    async def audit(self) -> list[str]:
        """Return what is wrong with the whole ledger, other wallets' rows included: nothing."""
        return await self._desk.write(audit)

    async def inject(self, fault: Fault) -> None:
        """Order trouble for this wallet, in whichever program it is used."""
        await self._desk.write(partial(faults.inject, self._account, fault))

    async def clear_faults(self, *, deliver: bool = True) -> None:
        """End this wallet's trouble; its stuck payments arrive, or else come back."""
        order = (self._account, self._terms, self._desk.now())
        await self._desk.write(partial(settlement.clear_faults, *order, deliver=deliver))

    def _draft(
        self,
        payment_hash: PaymentHash,
        amount: Msat,
        description: str,
        expiry_seconds: int,
        preimage: Preimage | None = None,
    ) -> StoredInvoice:
        invoice = Invoice(
            network=Network.REGTEST,
            amount=amount,
            created_at=int(self._desk.now()),
            payment_hash=payment_hash,
            payment_secret=self._entropy(_SECRET_LENGTH).hex(),
            payee=self._key.node_key,
            description=description,
            expiry_seconds=expiry_seconds,
            features=_FEATURES,
        )
        return StoredInvoice(
            payment_hash=payment_hash,
            payee=self._account,
            amount=amount,
            bolt11=encode(invoice, self._key),
            description=description,
            preimage=preimage,
            hold=preimage is None,
            state=InvoiceState.OPEN,
            created_at=invoice.created_at,
            expires_at=invoice.expires_at,
        )

    async def _issue(
        self, draft: StoredInvoice, *, chosen: Preimage | None = None
    ) -> IssuedInvoice:
        def issue(db: apsw.Connection) -> tuple[StoredInvoice, bool]:
            lost = Faults(db, self._account).take(FaultKind.LOSE_INVOICE)
            return invoices.issue(draft, db), lost is not None

        made, lost = await self._desk.write(issue)
        if lost:
            raise WalletUnavailable("the wallet's answer was lost")
        return IssuedInvoice(
            bolt11=made.bolt11,
            payment_hash=made.payment_hash,
            amount=made.amount,
            created_at=made.created_at,
            expires_at=made.expires_at,
            preimage=chosen,
        )

    def _order(self, invoice: Invoice, amount: Msat, text: str, max_fee: Msat) -> PayOrder:
        now = self._desk.now()
        payment = StoredPayment(
            payer=self._account,
            payment_hash=invoice.payment_hash,
            state="pending",
            amount=amount,
            fee=self._terms.fee(amount),
            description=invoice.description or "",
            at=now,
        )
        return PayOrder(payment, text, max_fee, self._terms, now)

    async def _ending(self, result: PaymentResult) -> PaymentResult:
        """Wait until a payment is no longer in flight."""
        while isinstance(result, PaymentInFlight):
            version = self._desk.version()
            result = await self.payment(result.payment_hash) or result
            if isinstance(result, PaymentInFlight):
                await self._desk.news(version)
        return result


def _hash(preimage: Preimage) -> PaymentHash:
    raw = bytes.fromhex(preimage)
    if len(raw) != _SECRET_LENGTH:
        raise ValueError("a preimage has 32 bytes")
    return PaymentHash(sha256(raw).hexdigest())


def _ours(status: InvoiceStatus | None) -> InvoiceStatus:
    if status is None:
        raise Misconfigured("this wallet never made that invoice: is it the right ledger?")
    return status
