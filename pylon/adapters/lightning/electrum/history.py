"""What happened in a wallet, newest first, put together from its payments, requests and invoices."""

from collections.abc import Iterable, Mapping
from typing import Final

from attrs import evolve

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
        *await _held(desk, settled, limit),
    ]
    return sorted(entries, key=lambda entry: entry.at, reverse=True)[:limit]


def _outgoing(
    invoices: Iterable[Invoice], settled: Mapping[PaymentHash, Moved]
) -> list[HistoryEntry]:
    """Read what we paid or wanted to; the history is believed before the list."""
    return [
        _payment(invoice, text, settled.get(invoice.invoice_id))
        for invoice in invoices
        if (text := invoice.lightning_invoice) is not None
    ]


def _payment(invoice: Invoice, text: str, moved: Moved | None) -> HistoryEntry:
    amount = Msat(invoice.amount_msat if isinstance(invoice.amount_msat, int) else 0)
    state = "pending" if invoice.status in _PENDING else "failed"
    entry = HistoryEntry(
        Direction.OUTGOING,
        state,
        amount,
        ZERO,
        invoice.invoice_id,
        invoice.message,
        invoice.timestamp,
        bolt11=text,
    )
    if moved is None:
        return entry
    fee = Msat(max(0, -moved.amount_msat - amount))
    return evolve(_proven(entry, moved), fee=fee, at=moved.timestamp or entry.at)


def _asked(
    requests: Iterable[Request], settled: Mapping[PaymentHash, Moved], now: float
) -> list[HistoryEntry]:
    """Read what we asked for."""
    return [
        _request(request, text, settled.get(request.request_id), now)
        for request in requests
        if (text := request.lightning_invoice) is not None
    ]


def _request(request: Request, text: str, moved: Moved | None, now: float) -> HistoryEntry:
    expired = request.expires_at is not None and request.expires_at < now
    entry = HistoryEntry(
        Direction.INCOMING,
        InvoiceState.EXPIRED if expired else InvoiceState.OPEN,
        Msat(request.amount_msat or 0),
        ZERO,
        request.request_id,
        request.message,
        request.timestamp,
        bolt11=text,
        expires_at=request.expires_at,
    )
    return entry if moved is None else _proven(entry, moved)


async def _held(
    desk: InvoiceDesk, settled: Mapping[PaymentHash, Moved], limit: int
) -> list[HistoryEntry]:
    """Read the newest hold invoices, which are in no list of Electrum's."""
    table, entries = await desk.table(), list[HistoryEntry]()
    for payment_hash, text in list((await desk.notes.holds()).items())[-limit:]:
        status = await desk.status(payment_hash, table)
        if status is not None:
            entry, moved = _hold(text, status.state), settled.get(payment_hash)
            entries.append(entry if moved is None else _proven(entry, moved))
    return entries


def _hold(text: str, state: InvoiceState) -> HistoryEntry:
    said = bolt11.decode(text)
    return HistoryEntry(
        Direction.INCOMING,
        state,
        said.amount or ZERO,
        ZERO,
        said.payment_hash,
        said.description or "",
        said.created_at,
        bolt11=text,
        expires_at=said.expires_at,
    )


def _proven(entry: HistoryEntry, moved: Moved) -> HistoryEntry:
    """Add what a payment that has moved shows; its time is when its HTLC was added."""
    state = InvoiceState.SETTLED
    return evolve(entry, state=state, preimage=moved.preimage, settled_at=moved.timestamp)
