"""Paying through lnd, and what became of it."""

from collections.abc import AsyncIterator
from typing import Final

import trio
from attrs import frozen

from pylon.adapters.lightning.lnd.messages import Payment, PaymentStatus
from pylon.adapters.lightning.lnd.rest import Refused, Rest, in_path
from pylon.errors import WalletUnavailable
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.invoice import Invoice
from pylon.model.money import Msat, Network
from pylon.model.wallet import PaymentFailed, PaymentInFlight, PaymentResult, PaymentSettled
from pylon.wire.bolt11 import decode

_REASONS: Final = {
    "FAILURE_REASON_TIMEOUT": "no attempt came through in time",
    "FAILURE_REASON_NO_ROUTE": "no route within the limit for the fee",
    "FAILURE_REASON_ERROR": "lnd met an error on the way",
    "FAILURE_REASON_INCORRECT_PAYMENT_DETAILS": (
        "refused by the payee: already paid, cancelled by the payee, expired or unknown"
    ),
    "FAILURE_REASON_INSUFFICIENT_BALANCE": "insufficient funds",
    "FAILURE_REASON_CANCELED": "cancelled here",
}


@frozen
class PaymentDesk:
    """What this node pays."""

    _rest: Rest
    _network: Network

    async def pay(self, bolt11: str, *, max_fee: Msat, deadline_seconds: float) -> PaymentResult:
        """Pay; what lnd has begun goes on after the deadline."""
        invoice = decode(bolt11)
        if reason := self._refusal(invoice):
            await trio.lowlevel.checkpoint()
            return PaymentFailed(invoice.payment_hash, reason)
        order = {
            "payment_request": bolt11.lower().removeprefix("lightning:"),
            "timeout_seconds": max(1, int(deadline_seconds)),  # for attempts, not for what is out
            "fee_limit_msat": str(max_fee),  # 0: only routes without fee
            "no_inflight_updates": True,
        }
        with trio.move_on_after(deadline_seconds):
            try:
                async with self._rest.stream("/v2/router/send", Payment, body=order) as updates:
                    return await _result(updates, wait=True)
            except Refused as refusal:
                return await self._after(refusal, invoice.payment_hash)
        return PaymentInFlight(invoice.payment_hash)

    async def outcome(self, payment_hash: PaymentHash) -> PaymentResult | None:
        """Say what became of a payment so far; None if lnd never began it."""
        return await self._track(payment_hash, wait=False)

    async def _after(self, refusal: Refused, payment_hash: PaymentHash) -> PaymentResult:
        """Tell a payment that is paid or under way already from one that is not to be."""
        earlier = await self._track(payment_hash, wait=True)
        if earlier is None or isinstance(earlier, PaymentFailed):
            return PaymentFailed(payment_hash, refusal.message)
        return earlier

    async def _track(self, payment_hash: PaymentHash, *, wait: bool) -> PaymentResult | None:
        path = f"/v2/router/track/{in_path(payment_hash)}"
        params = {"no_inflight_updates": "true" if wait else "false"}
        try:
            async with self._rest.stream(path, Payment, params=params) as updates:
                return await _result(updates, wait=wait)
        except Refused as refusal:
            if refusal.not_found:
                return None
            raise

    def _refusal(self, invoice: Invoice) -> str:
        if invoice.network is not self._network:
            return f"an invoice for {invoice.network}, and this wallet is on {self._network}"
        if invoice.amount is None:
            return "an invoice without an amount"
        return ""


async def _result(updates: AsyncIterator[Payment], *, wait: bool) -> PaymentResult:
    async for payment in updates:
        result = result_of(payment)
        if not (wait and isinstance(result, PaymentInFlight)):
            return result
    raise WalletUnavailable("lnd ended the story of a payment before its end")


def result_of(payment: Payment) -> PaymentResult:
    """Put a payment into the words of the port."""
    payment_hash = PaymentHash(payment.payment_hash)
    match payment.status:
        case PaymentStatus.SUCCEEDED:
            preimage = Preimage(payment.payment_preimage)
            amount, fee = Msat(payment.value_msat), Msat(payment.fee_msat)
            return PaymentSettled(payment_hash, preimage, amount, fee)
        case PaymentStatus.FAILED:
            reason = _REASONS.get(payment.failure_reason, "lnd does not say why")
            return PaymentFailed(payment_hash, reason)
        case _:
            return PaymentInFlight(payment_hash)
