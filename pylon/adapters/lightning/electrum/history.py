"""What happened in a wallet, newest first, put together from its payments, requests and invoices."""

from collections.abc import Iterable
from typing import Final

from pylon.adapters.lightning.electrum.answers import Invoice, Moved, Request, Status
from pylon.adapters.lightning.electrum.invoices import InvoiceDesk
from pylon.adapters.lightning.electrum.rpc import Rpc
from pylon.model.ids import PaymentHash
from pylon.model.money import ZERO, Msat
from pylon.model.wallet import Direction, HistoryEntry, InvoiceState
from pylon.wire import bolt11

_PENDING: Final = (Status.INFLIGHT, Status.ROUTING, Status.UNKNOWN)


async def history(rpc: Rpc, desk: InvoiceDesk, *, limit: int, now: float) -> list[HistoryEntry]:
    """List what was paid, asked for, and tried."""
    moved = await rpc.call("lightning_history", list[Moved])
    settled = {each.payment_hash: each for each in moved if each.payment_hash is not None}
    invoices = await rpc.call("list_invoices", list[Invoice])
    requests = await rpc.call("list_requests", list[Request])
    entries = [
        *_outgoing(invoices, settled),
        *_asked(requests, settled, now),
        *await _held(desk, limit),
    ]
    return sorted(entries, key=lambda entry: entry.at, reverse=True)[:limit]


def _outgoing(invoices: Iterable[Invoice], settled: dict[PaymentHash, Moved]) -> list[HistoryEntry]:
    """Read what we paid or wanted to; the history is believed before the list."""
    return [
        _payment(invoice, settled.get(PaymentHash(invoice.invoice_id)))
        for invoice in invoices
        if invoice.lightning_invoice is not None and isinstance(invoice.amount_msat, int)
    ]


def _payment(invoice: Invoice, moved: Moved | None) -> HistoryEntry:
    amount = Msat(int(invoice.amount_msat or 0))
    if moved is not None:
        state, fee = "settled", Msat(max(0, -moved.amount_msat - amount))
    else:
        state, fee = "pending" if invoice.status in _PENDING else "failed", ZERO
    at = (moved and moved.timestamp) or invoice.timestamp
    payment_hash = PaymentHash(invoice.invoice_id)
    return HistoryEntry(Direction.OUTGOING, state, amount, fee, payment_hash, invoice.message, at)


async def _held(desk: InvoiceDesk, limit: int) -> list[HistoryEntry]:
    """Read the newest hold invoices, which are in no list of Electrum's."""
    table, entries = await desk.table(), list[HistoryEntry]()
    for payment_hash, text in list((await desk.notes.holds()).items())[-limit:]:
        status = await desk.status(payment_hash, table)
        if status is not None:
            said = bolt11.decode(text)
            entries.append(
                HistoryEntry(
                    Direction.INCOMING,
                    status.state,
                    said.amount or ZERO,
                    ZERO,
                    payment_hash,
                    said.description or "",
                    said.created_at,
                )
            )
    return entries


def _asked(
    requests: Iterable[Request], settled: dict[PaymentHash, Moved], now: float
) -> list[HistoryEntry]:
    return [
        HistoryEntry(
            Direction.INCOMING,
            _state(request, settled, now),
            Msat(request.amount_msat or 0),
            ZERO,
            PaymentHash(request.request_id),
            request.message,
            request.timestamp,
        )
        for request in requests
        if request.lightning_invoice is not None
    ]


def _state(request: Request, settled: dict[PaymentHash, Moved], now: float) -> InvoiceState:
    if request.request_id in settled:
        return InvoiceState.SETTLED
    expired = request.expires_at is not None and request.expires_at < now
    return InvoiceState.EXPIRED if expired else InvoiceState.OPEN
