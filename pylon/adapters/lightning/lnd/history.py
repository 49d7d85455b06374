"""What happened on a node, newest first, put together from its payments and its invoices."""

from collections.abc import Iterable
from typing import Final

from pylon.adapters.lightning.lnd.invoices import paid_in, state_of
from pylon.adapters.lightning.lnd.messages import (
    Invoice,
    Invoices,
    Payment,
    Payments,
    PaymentStatus,
)
from pylon.adapters.lightning.lnd.rest import Rest
from pylon.errors import BadInvoice
from pylon.model.ids import PaymentHash
from pylon.model.money import Msat
from pylon.model.wallet import Direction, HistoryEntry
from pylon.wire.bolt11 import decode

_STATES: Final = {PaymentStatus.SUCCEEDED: "settled", PaymentStatus.FAILED: "failed"}
_NS: Final = 10**9


async def history(rest: Rest, *, limit: int, now: float) -> list[HistoryEntry]:
    """List the newest payments and invoices."""
    asked = {"reversed": "true"}
    payments = await rest.get(
        "/v1/payments",
        Payments,
        {**asked, "max_payments": limit, "include_incomplete": "true"},
    )
    invoices = await rest.get("/v1/invoices", Invoices, {**asked, "num_max_invoices": limit})
    entries = [*map(_outgoing, payments.payments), *_incoming(invoices.invoices, now)]
    return sorted(entries, key=lambda entry: entry.at, reverse=True)[:limit]


def _outgoing(payment: Payment) -> HistoryEntry:
    return HistoryEntry(
        Direction.OUTGOING,
        _STATES.get(payment.status, "pending"),
        Msat(payment.value_msat),
        Msat(payment.fee_msat),
        PaymentHash(payment.payment_hash),
        _description(payment.payment_request),
        payment.creation_time_ns // _NS,
    )


def _incoming(invoices: Iterable[Invoice], now: float) -> list[HistoryEntry]:
    return [
        HistoryEntry(
            Direction.INCOMING,
            state_of(invoice, now),
            Msat(paid_in(invoice) or invoice.value_msat),
            Msat(0),
            invoice.payment_hash,
            invoice.memo,
            invoice.creation_date,
        )
        for invoice in invoices
    ]


def _description(bolt11: str) -> str:
    try:
        return decode(bolt11).description or ""
    except BadInvoice:  # a payment without an invoice, or with one that we would refuse
        return ""
