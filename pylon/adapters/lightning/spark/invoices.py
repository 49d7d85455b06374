"""Being paid through Spark."""

import logging
from typing import Final

from attrs import frozen

from pylon.adapters.lightning.spark import listing
from pylon.adapters.lightning.spark.book import Asked, Book
from pylon.adapters.lightning.spark.sdk import Spark, said
from pylon.errors import BadInvoice, Misconfigured, WalletUnavailable
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.money import MSAT_PER_SAT, Msat, Network
from pylon.model.wallet import InvoiceState, InvoiceStatus, IssuedInvoice
from pylon.ports.clock import Clock
from pylon.wire.bolt11 import MAX_AMOUNT, decode

log = logging.getLogger(__name__)

LATE_SECONDS: Final = 3600  # how long after its expiry an invoice is still looked for


@frozen
class InvoiceDesk:
    """What this wallet asks to be paid."""

    _spark: Spark
    _book: Book
    _network: Network
    _clock: Clock

    async def make(
        self,
        amount: Msat,
        *,
        description: str,
        expiry_seconds: int,
        payment_hash: PaymentHash | None = None,
        idempotency_key: str | None = None,
    ) -> IssuedInvoice:
        """Make an invoice, or find the one that was made before; with a payment hash it holds."""
        known = None if payment_hash is None else self._book.invoice(payment_hash)
        if idempotency_key is not None:
            known = self._book.invoice_of(idempotency_key)
        if known is None:
            bolt11 = await self._receive(amount, description, expiry_seconds, payment_hash)
            known = self._asked(bolt11, amount, payment_hash, idempotency_key)
        elif payment_hash is not None and (known.amount, known.hold) != (amount, True):
            raise Misconfigured(f"another invoice has the payment hash {payment_hash}")
        return (await self._book.add(known)).issued

    async def refresh(self) -> None:
        """Ask the SDK what became of the invoices that may yet change."""
        since = self._book.unsettled_since(self._clock.now() - LATE_SECONDS)
        if since is None:
            return
        sdk = self._spark.sdk
        found = await listing.lightning_payments(self._spark, sdk.PaymentType.RECEIVE, since=since)
        told = (listing.seen(sdk, payment) for payment in reversed(found))
        await self._book.note(one for one in told if one is not None)

    async def lookup(self, payment_hash: PaymentHash) -> InvoiceStatus | None:
        """Say where an invoice stands; None if this wallet never made it."""
        known = self._book.invoice(payment_hash)
        if known is not None and known.state in (InvoiceState.OPEN, InvoiceState.ACCEPTED):
            await self.refresh()
            known = self._book.invoice(payment_hash)
        return None if known is None else known.status(self._clock.now())

    async def settle(self, payment_hash: PaymentHash, preimage: Preimage) -> InvoiceStatus:
        """Claim what a hold invoice holds, if it holds anything."""
        status = await self._ours(payment_hash)
        if status.state is not InvoiceState.ACCEPTED:
            return status
        sdk = self._spark.sdk
        try:
            await self._spark("claim_htlc_payment", sdk.ClaimHtlcPaymentRequest(preimage=preimage))
        except (sdk.SdkError.InsufficientFunds, sdk.SdkError.InvalidInput) as error:
            raise WalletUnavailable(f"Spark: {said(error)}") from error
        return await self._ours(payment_hash)

    async def cancel(self, payment_hash: PaymentHash) -> InvoiceStatus:
        """Say where an invoice stands, for Spark can neither withdraw one nor give a hold back."""
        status = await self._ours(payment_hash)
        if status.state is InvoiceState.ACCEPTED:
            log.warning(
                "Spark cannot cancel: %s stays %s until it expires", payment_hash, status.state
            )
        return status

    async def _ours(self, payment_hash: PaymentHash) -> InvoiceStatus:
        status = await self.lookup(payment_hash)
        if status is None:
            raise Misconfigured("this wallet never made that invoice: has its storage been moved?")
        return status

    async def _receive(
        self, amount: Msat, description: str, expiry_seconds: int, payment_hash: PaymentHash | None
    ) -> str:
        sats = whole_sats(amount)
        if not 0 < amount <= MAX_AMOUNT:
            raise BadInvoice("invoice: an amount that is no amount")
        sdk = self._spark.sdk
        try:
            method = sdk.ReceivePaymentMethod.BOLT11_INVOICE(
                description=description,
                amount_sats=sats,
                expiry_secs=expiry_seconds,
                payment_hash=payment_hash,
                receiver_identity_public_key=None,
            )
            request = sdk.ReceivePaymentRequest(payment_method=method)
            answer = await self._spark("receive_payment", request)
        except (sdk.SdkError.InvalidInput, UnicodeEncodeError) as error:
            raise BadInvoice(f"invoice: {said(error)}") from error
        bolt11: str = answer.payment_request
        return bolt11

    def _asked(
        self, bolt11: str, amount: Msat, payment_hash: PaymentHash | None, key: str | None
    ) -> Asked:
        """Check that it is the invoice asked for: others made it, and sign it."""
        invoice = decode(bolt11)
        right = invoice.amount == amount and invoice.network is self._network
        if not right or payment_hash not in (None, invoice.payment_hash):
            raise WalletUnavailable("Spark made another invoice than it was asked for")
        return Asked(
            payment_hash=invoice.payment_hash,
            bolt11=bolt11,
            amount=amount,
            description=invoice.description or "",
            created_at=invoice.created_at,
            expires_at=invoice.expires_at,
            hold=payment_hash is not None,
            idempotency_key=key,
        )


def whole_sats(amount: Msat) -> int:
    """Turn an amount into satoshi; raise `BadInvoice` rather than round it."""
    sats, rest = divmod(amount, MSAT_PER_SAT)
    if rest:
        raise BadInvoice(f"invoice: Spark knows whole satoshi only, and {amount} msat is not whole")
    return sats
