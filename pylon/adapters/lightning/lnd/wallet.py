"""lnd as a `Wallet`."""

from contextlib import AbstractAsyncContextManager
from hashlib import sha256

from attrs import frozen

from pylon.adapters.lightning.lnd.history import history
from pylon.adapters.lightning.lnd.invoices import InvoiceDesk, needs_hold
from pylon.adapters.lightning.lnd.messages import ChannelBalance, Nothing
from pylon.adapters.lightning.lnd.payments import PaymentDesk
from pylon.adapters.lightning.lnd.rest import Refused, Rest, base64_of
from pylon.adapters.lightning.lnd.watch import Watch, watch_invoices
from pylon.errors import Misconfigured, WalletUnavailable
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.money import Msat
from pylon.model.wallet import (
    HistoryEntry,
    InvoiceState,
    InvoiceStatus,
    IssuedInvoice,
    PaymentResult,
    WalletInfo,
)
from pylon.ports.clock import Clock


@frozen
class LndWallet:
    """One node of lnd; see `ports.wallet.Wallet`.

    An invoice with an idempotency key and no preimage is found again by its memo, which for that
    names the key. `settle_hold` and `cancel_invoice` raise `Misconfigured` for an invoice this node
    never made; an amount or description that no invoice can carry is `BadInvoice`.
    """

    _rest: Rest
    _info: WalletInfo
    _invoices: InvoiceDesk
    _payments: PaymentDesk
    _clock: Clock

    async def info(self) -> WalletInfo:
        return self._info

    async def balance(self) -> Msat:
        balance = await self._rest.get("/v1/balance/channels", ChannelBalance)
        return Msat(balance.local_balance.msat)

    async def make_invoice(
        self,
        amount: Msat,
        *,
        description: str,
        expiry_seconds: int,
        preimage: Preimage | None = None,
        idempotency_key: str | None = None,
    ) -> IssuedInvoice:
        return await self._invoices.make(
            amount,
            description=description,
            expiry_seconds=expiry_seconds,
            preimage=preimage,
            idempotency_key=idempotency_key,
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
            description=description,
            expiry_seconds=expiry_seconds,
            hold_seconds=hold_seconds,
        )

    async def settle_hold(self, preimage: Preimage) -> InvoiceStatus:
        payment_hash = PaymentHash(sha256(bytes.fromhex(preimage)).hexdigest())
        order = {"preimage": base64_of(preimage)}
        return await self._decide("settle", order, payment_hash)

    async def cancel_invoice(self, payment_hash: PaymentHash) -> InvoiceStatus:
        return await self._decide("cancel", {"payment_hash": base64_of(payment_hash)}, payment_hash)

    async def lookup(self, payment_hash: PaymentHash) -> InvoiceStatus | None:
        invoice = await self._invoices.find(payment_hash)
        return None if invoice is None else await self._invoices.status(invoice)

    def watch(self, *, after: int) -> AbstractAsyncContextManager[Watch]:
        return watch_invoices(self._rest, self._invoices, self._clock, after=after)

    async def pay(self, bolt11: str, *, max_fee: Msat, deadline_seconds: float) -> PaymentResult:
        return await self._payments.pay(bolt11, max_fee=max_fee, deadline_seconds=deadline_seconds)

    async def payment(self, payment_hash: PaymentHash) -> PaymentResult | None:
        return await self._payments.outcome(payment_hash)

    async def history(self, *, limit: int) -> list[HistoryEntry]:
        return await history(self._rest, limit=limit, now=self._clock.now())

    async def _decide(
        self, what: str, order: dict[str, str], payment_hash: PaymentHash
    ) -> InvoiceStatus:
        """Settle or cancel, and look: what lnd refuses to do, the state of the invoice explains."""
        refusal: Refused | None = None
        try:
            with needs_hold():
                await self._rest.post(f"/v2/invoices/{what}", Nothing, order)
        except Refused as error:
            refusal = error
        status = await self.lookup(payment_hash)
        if status is None:
            raise Misconfigured("this node never made that invoice: is it the right lnd?")
        if refusal is not None and status.state is InvoiceState.ACCEPTED:
            raise WalletUnavailable(str(refusal)) from refusal
        return status
