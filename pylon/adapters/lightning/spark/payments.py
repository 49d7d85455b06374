"""Paying through Spark, and what became of it."""

from typing import Any, Final
from uuid import UUID, uuid5

import trio
from attrs import evolve, frozen

from pylon.adapters.lightning.spark import listing
from pylon.adapters.lightning.spark.bell import Bell
from pylon.adapters.lightning.spark.book import Attempt, Book
from pylon.adapters.lightning.spark.invoices import whole_sats
from pylon.adapters.lightning.spark.sdk import Spark, said
from pylon.errors import WalletUnavailable
from pylon.model.ids import PaymentHash
from pylon.model.invoice import Invoice
from pylon.model.money import ZERO, Msat, Network, from_sats
from pylon.model.wallet import PaymentFailed, PaymentInFlight, PaymentResult
from pylon.ports.clock import Clock
from pylon.wire.bolt11 import decode

NAMESPACE: Final = UUID("6f3b1c52-8f53-5d0e-9d3c-5a1f5f6c2b11")  # our own, made up for this
_PATIENCE_SECONDS: Final = 20  # the SDK's own; less than ours with it
LOST_SECONDS: Final = 600  # after an invoice's expiry nothing of it can still be on its way out


@frozen
class PaymentDesk:
    """What this wallet pays. A payment hash is paid once: the SDK knows the attempt by its key."""

    _spark: Spark
    _book: Book
    _network: Network
    _clock: Clock
    _bell: Bell

    async def pay(self, bolt11: str, *, max_fee: Msat, deadline_seconds: float) -> PaymentResult:
        """Pay; what has begun goes on after the deadline."""
        invoice = decode(bolt11)
        if invoice.network is not self._network or invoice.amount is None:
            await trio.lowlevel.checkpoint()
            reason = f"only invoices for {self._network} with an amount can be paid here"
            return PaymentFailed(invoice.payment_hash, reason)
        whole_sats(invoice.amount)
        text = bolt11.lower().removeprefix("lightning:")
        with trio.move_on_after(deadline_seconds):
            result = await self.outcome(invoice.payment_hash)
            if result is None or isinstance(result, PaymentFailed):
                draft = self._draft(invoice, invoice.amount)
                result = await self._attempt(draft, text, max_fee, deadline_seconds)
            return await self._ending(result)
        return PaymentInFlight(invoice.payment_hash)

    async def outcome(self, payment_hash: PaymentHash) -> PaymentResult | None:
        """Say what became of a payment so far; None if none was begun."""
        attempt = self._book.payment(payment_hash)
        if attempt is None or attempt.state != "pending":
            await trio.lowlevel.checkpoint()
            return None if attempt is None else attempt.result
        found = await self._find(attempt)
        if found is not None:
            return await self._keep(attempt, listing.after(self._spark.sdk, attempt, found))
        if await self._is_lost(attempt):
            return await self._fail(attempt, "it never left this wallet, and has expired since")
        return attempt.result

    async def _is_lost(self, attempt: Attempt) -> bool:
        """Say whether a payment that was begun is nowhere, and cannot turn up any more."""
        overdue = self._clock.now() > attempt.expires_at + LOST_SECONDS
        return overdue and await self._is_in_sync() and await self._find(attempt) is None

    async def _attempt(
        self, draft: Attempt, text: str, max_fee: Msat, deadline_seconds: float
    ) -> PaymentResult:
        sdk = self._spark.sdk
        try:
            prepared = await self._prepare(text)
        except sdk.SdkError.InsufficientFunds:
            return await self._refuse(draft, "insufficient funds")
        except sdk.SdkError.InvalidInput as error:
            return await self._refuse(draft, said(error))
        fee = from_sats(prepared.payment_method.lightning_fee_sats)
        if fee > max_fee:
            why = f"the fee of {fee} msat is above the limit of {max_fee}"
            return await self._refuse(draft, why)
        attempt = evolve(draft, fee=fee)
        if earlier := await self._book.begin(attempt):
            return earlier.result
        return await self._send(attempt, prepared, deadline_seconds)

    async def _prepare(self, text: str) -> Any:
        sdk = self._spark.sdk
        request = sdk.PrepareSendPaymentRequest(
            payment_request=sdk.PaymentRequest.INPUT(input=text)
        )
        prepared = await self._spark("prepare_send_payment", request)
        if not prepared.payment_method.is_BOLT11_INVOICE():
            raise WalletUnavailable("Spark does not know a Lightning invoice when it sees one")
        return prepared

    async def _send(
        self, attempt: Attempt, prepared: Any, deadline_seconds: float
    ) -> PaymentResult:
        sdk = self._spark.sdk
        # A transfer within Spark is quicker, but it gives no preimage: no proof, and no key.
        options = sdk.SendPaymentOptions.BOLT11_INVOICE(
            prefer_spark=False,
            completion_timeout_secs=max(1, min(int(deadline_seconds), _PATIENCE_SECONDS)),
        )
        request = sdk.SendPaymentRequest(
            prepare_response=prepared,
            options=options,
            idempotency_key=str(uuid5(NAMESPACE, attempt.key)),
        )
        try:
            answer = await self._spark("send_payment", request)
        except sdk.SdkError.InsufficientFunds:
            return await self._fail(attempt, "insufficient funds")
        except sdk.SdkError.InvalidInput as error:
            return await self._fail(attempt, said(error))
        return await self._keep(attempt, listing.after(sdk, attempt, answer.payment))

    async def _ending(self, result: PaymentResult) -> PaymentResult:
        """Wait until a payment is no longer in flight."""
        while isinstance(result, PaymentInFlight):
            heard = self._bell.rung
            result = await self.outcome(result.payment_hash) or result
            if isinstance(result, PaymentInFlight):
                await self._bell.wait(heard)
        return result

    async def _find(self, attempt: Attempt) -> Any | None:
        """Look for what the SDK knows of an attempt, earlier failures of its hash apart."""
        sdk, dead = self._spark.sdk, attempt.dead.split()
        sent = await listing.lightning_payments(self._spark, sdk.PaymentType.SEND, since=attempt.at)
        ours = (one for one in sent if listing.hash_of(one) == attempt.payment_hash)
        return next((one for one in ours if one.id not in dead), None)

    async def _is_in_sync(self) -> bool:
        """Bring the SDK's list up to date; False if that cannot be had for certain.

        Without the network the SDK says that it has synchronised, so something is asked first that
        only the network can answer.
        """
        sdk = self._spark.sdk
        method = sdk.ReceivePaymentMethod.BITCOIN_ADDRESS(new_address=None)
        try:
            await self._spark("receive_payment", sdk.ReceivePaymentRequest(payment_method=method))
            await self._spark("sync_wallet", sdk.SyncWalletRequest())
        except (WalletUnavailable, sdk.SdkError):
            return False
        return True

    async def _keep(self, before: Attempt, now: Attempt) -> PaymentResult:
        if now != before:
            await self._book.end(now)
        return now.result

    async def _refuse(self, draft: Attempt, reason: str) -> PaymentResult:
        """Remember why nothing was begun, unless something was begun meanwhile."""
        failed = evolve(draft, state="failed", reason=reason)
        earlier = await self._book.begin(failed)
        return failed.result if earlier is None else earlier.result

    async def _fail(self, attempt: Attempt, reason: str) -> PaymentResult:
        failed = evolve(attempt, state="failed", fee=ZERO, reason=reason)
        await self._book.end(failed)
        return failed.result

    def _draft(self, invoice: Invoice, amount: Msat) -> Attempt:
        earlier = self._book.payment(invoice.payment_hash)
        return Attempt(
            payment_hash=invoice.payment_hash,
            state="pending",
            amount=amount,
            fee=ZERO,
            description=invoice.description or "",
            at=int(self._clock.now()),
            expires_at=invoice.expires_at,
            dead="" if earlier is None else earlier.dead,
        )
