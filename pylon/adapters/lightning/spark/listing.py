"""The SDK's list of payments, and what it says of ours."""

from typing import Any, Final

from attrs import evolve

from pylon.adapters.lightning.spark.book import Attempt, Seen
from pylon.adapters.lightning.spark.sdk import Spark
from pylon.model.ids import PaymentHash
from pylon.model.money import ZERO, from_sats
from pylon.model.wallet import Direction, HistoryEntry, InvoiceState

_PAGE: Final = 100
_CLOCKS_DIFFER_SECONDS: Final = 600  # ours and theirs, at most


async def lightning_payments(spark: Spark, kind: Any, *, since: int) -> list[Any]:
    """List the Lightning payments of a kind since a time, newest first."""
    sdk, found = spark.sdk, list[Any]()
    while True:
        page = await spark(
            "list_payments",
            sdk.ListPaymentsRequest(
                type_filter=[kind],
                payment_details_filter=[sdk.PaymentDetailsFilter.LIGHTNING(htlc_status=None)],
                from_timestamp=max(0, since - _CLOCKS_DIFFER_SECONDS),
                offset=len(found),
                limit=_PAGE,
                sort_ascending=False,
            ),
        )
        found += page.payments
        if len(page.payments) < _PAGE:
            return found


def hash_of(payment: Any) -> PaymentHash | None:
    """Return the payment hash of a Lightning payment."""
    if payment.details is None or not payment.details.is_LIGHTNING():
        return None
    return PaymentHash(payment.details.htlc_details.payment_hash)


def seen(sdk: Any, payment: Any) -> Seen | None:
    """Say how an invoice of ours stands after what came in for it; None if that says nothing."""
    payment_hash = hash_of(payment)
    if payment_hash is None:
        return None
    htlc, paid = payment.details.htlc_details, from_sats(payment.amount)
    if payment.status is sdk.PaymentStatus.COMPLETED:
        return Seen(payment_hash, InvoiceState.SETTLED, paid)
    if payment.status is sdk.PaymentStatus.FAILED or htlc.status is sdk.SparkHtlcStatus.RETURNED:
        return Seen(payment_hash, InvoiceState.CANCELLED, ZERO)
    if htlc.status is sdk.SparkHtlcStatus.WAITING_FOR_PREIMAGE:
        return Seen(payment_hash, InvoiceState.ACCEPTED, paid, int(htlc.expiry_time))
    return None  # the preimage is out, and the money not yet in


def after(sdk: Any, attempt: Attempt, payment: Any) -> Attempt:
    """Bring a payment of ours up to what the SDK says of it."""
    if payment.status is sdk.PaymentStatus.FAILED:
        why = "no route, refused by the payee, or returned: Spark does not say which"
        dead = f"{attempt.dead} {payment.id}".strip()
        return evolve(attempt, state="failed", fee=ZERO, reason=why, dead=dead)
    preimage = payment.details.htlc_details.preimage
    if payment.status is sdk.PaymentStatus.COMPLETED and preimage:
        return evolve(attempt, state="settled", fee=from_sats(payment.fees), preimage=preimage)
    return attempt


def foreign_entry(sdk: Any, payment: Any) -> HistoryEntry:
    """Put a payment into history that is none of ours: a deposit, or another program's."""
    states = {sdk.PaymentStatus.COMPLETED: "settled", sdk.PaymentStatus.FAILED: "failed"}
    direction = {
        sdk.PaymentType.SEND: Direction.OUTGOING,
        sdk.PaymentType.RECEIVE: Direction.INCOMING,
    }[payment.payment_type]
    if payment.method is sdk.PaymentMethod.DEPOSIT:
        direction = Direction.FUNDING
    is_lightning = hash_of(payment) is not None
    return HistoryEntry(
        direction,
        states.get(payment.status, "pending"),
        from_sats(payment.amount),
        from_sats(payment.fees),
        hash_of(payment),
        (payment.details.description or "") if is_lightning else "",
        int(payment.timestamp),
    )
