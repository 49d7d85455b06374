"""Invoices of lnd's: making them once, finding them again, and what their state means to us."""

from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any

import trio
from attrs import define, evolve, field, frozen

from pylon.adapters.lightning.lnd.messages import (
    AddedInvoice,
    HtlcState,
    Invoice,
    Invoices,
    NodeInfo,
    State,
)
from pylon.adapters.lightning.lnd.rest import NotPermitted, Refused, Rest, base64_of
from pylon.errors import BadInvoice, Misconfigured
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.money import Msat, Network
from pylon.model.wallet import InvoiceState, InvoiceStatus, IssuedInvoice
from pylon.ports.clock import Clock
from pylon.wire.bolt11 import MAX_AMOUNT, decode

BLOCK_SECONDS = 600
GUARD_BLOCKS = 18  # so long before an HTLC expires lnd cancels a hold: invoices.holdexpirydelta
SPARE_BLOCKS = 8  # that may come early, or while the payment is on its way
MAX_HOLD_BLOCKS = 144  # a day; routing nodes dislike long holds, and payers refuse them
MAX_MEMO_BYTES = 1024

_DUPLICATE = "already exists"
_PAGE = 1000
_REMEMBERED = 10_000  # memos


@define
class Memos:
    """Which invoice has which memo: lnd cannot search, so its newest invoices are read along."""

    _rest: Rest
    _known: OrderedDict[str, Invoice] = field(factory=OrderedDict, init=False)
    _read_to: int | None = field(default=None, init=False)  # an index of lnd's
    _lock: trio.Lock = field(factory=trio.Lock, init=False)

    async def find(self, memo: str) -> Invoice | None:
        """Return the newest invoice with this memo, of the last thousand before we came and after."""
        async with self._lock:
            while await self._read_page() == _PAGE:
                pass
        return self._known.get(memo)

    async def _read_page(self) -> int:
        fresh = self._read_to is None
        where: dict[str, str | int] = {"num_max_invoices": _PAGE}
        where |= {"reversed": "true"} if fresh else {"index_offset": self._read_to or 0}
        page = await self._rest.get("/v1/invoices", Invoices, where)
        for invoice in page.invoices:
            self._known[invoice.memo] = invoice
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        self._read_to = page.last_index_offset or self._read_to or 0
        return 0 if fresh else len(page.invoices)


@frozen
class InvoiceDesk:
    """What this node asks to be paid."""

    _rest: Rest
    _network: Network
    _clock: Clock
    _memos: Memos

    async def make(
        self,
        amount: Msat,
        *,
        description: str,
        expiry_seconds: int,
        preimage: Preimage | None,
        idempotency_key: str | None,
    ) -> IssuedInvoice:
        """Make an ordinary invoice, or find the one that was made before."""
        if preimage is not None:
            secret = bytes.fromhex(preimage)
            body = _terms(amount, description, expiry_seconds)
            body["r_preimage"] = base64_of(preimage)
            order = _Order(amount, body, PaymentHash(sha256(secret).hexdigest()))
            return evolve(await self._add("/v1/invoices", order), preimage=preimage)
        memo = _memo(description, idempotency_key)
        order = _Order(amount, _terms(amount, memo, expiry_seconds))
        known = None if idempotency_key is None else await self._memos.find(memo)
        if known is not None and known.value_msat == amount:
            return self._issued(known.payment_request)
        return await self._add("/v1/invoices", order)

    async def make_hold(
        self,
        payment_hash: PaymentHash,
        amount: Msat,
        *,
        description: str,
        expiry_seconds: int,
        hold_seconds: int,
    ) -> IssuedInvoice:
        """Make a hold invoice, or find the one that was made before."""
        blocks = -(-hold_seconds // BLOCK_SECONDS)
        if blocks > MAX_HOLD_BLOCKS:
            raise Misconfigured(f"lnd holds payments for {MAX_HOLD_BLOCKS} blocks, about a day")
        body = _terms(amount, description, expiry_seconds)
        body["hash"] = base64_of(payment_hash)
        body["cltv_expiry"] = str(GUARD_BLOCKS + SPARE_BLOCKS + blocks)
        with needs_hold():
            return await self._add(
                "/v2/invoices/hodl", _Order(amount, body, payment_hash, hold=True)
            )

    async def find(self, payment_hash: PaymentHash) -> Invoice | None:
        """Look an invoice up; None if this node never made it."""
        try:
            return await self._rest.get(f"/v1/invoice/{payment_hash}", Invoice)
        except Refused as refusal:
            if refusal.not_found:
                return None
            raise

    async def status(self, invoice: Invoice) -> InvoiceStatus:
        """Say where an invoice stands; the cursor is lnd's settle index."""
        state = state_of(invoice, self._clock.now())
        deadline = await self._deadline(invoice) if state is InvoiceState.ACCEPTED else None
        paid = Msat(paid_in(invoice))
        return InvoiceStatus(invoice.payment_hash, state, paid, deadline, invoice.settle_index)

    async def _add(self, path: str, order: "_Order") -> IssuedInvoice:
        try:
            added = await self._rest.post(path, AddedInvoice, order.body)
        except Refused as refusal:
            if order.payment_hash is None or _DUPLICATE not in refusal.message:
                raise
            known = await self.find(order.payment_hash)
            if known is None or not order.fits(known):
                taken = f"another invoice has the payment hash {order.payment_hash}"
                raise Misconfigured(taken) from refusal
            return self._issued(known.payment_request)
        return self._issued(added.payment_request)

    def _issued(self, bolt11: str) -> IssuedInvoice:
        invoice = decode(bolt11)
        if invoice.network is not self._network or invoice.amount is None:
            raise Misconfigured(f"this lnd makes invoices for {invoice.network}")
        return IssuedInvoice(
            bolt11=bolt11,
            payment_hash=invoice.payment_hash,
            amount=invoice.amount,
            created_at=invoice.created_at,
            expires_at=invoice.expires_at,
        )

    async def _deadline(self, invoice: Invoice) -> int | None:
        """Return until when a hold can be settled, if blocks come as they use to."""
        parts = [part for part in invoice.htlcs if part.state is HtlcState.ACCEPTED]
        if not parts:
            return None
        first = min(parts, key=lambda part: part.expiry_height)
        height, at = first.accept_height, first.accept_time
        with suppress(NotPermitted):  # without info:read there is what was so at its acceptance
            info = await self._rest.get("/v1/getinfo", NodeInfo)
            height, at = info.block_height, int(self._clock.now())
        return at + max(0, first.expiry_height - height - GUARD_BLOCKS) * BLOCK_SECONDS


@frozen
class _Order:
    """An invoice to be made; `payment_hash` if that was chosen by us."""

    amount: Msat
    body: dict[str, Any]
    payment_hash: PaymentHash | None = None
    hold: bool = False

    def fits(self, known: Invoice) -> bool:
        """Say whether this is what was made; of a settled one lnd no longer says if it held."""
        alike = known.state is State.SETTLED or known.is_hold == self.hold
        return known.value_msat == self.amount and alike


def state_of(invoice: Invoice, now: float) -> InvoiceState:
    """Say where an invoice stands: lnd cancels what expires, and calls both cancelled."""
    expired = now > invoice.creation_date + invoice.expiry
    match invoice.state:
        case State.SETTLED:
            return InvoiceState.SETTLED
        case State.ACCEPTED:
            return InvoiceState.ACCEPTED
        case State.CANCELED if invoice.htlcs or not expired:
            return InvoiceState.CANCELLED
        case State.OPEN if not expired:
            return InvoiceState.OPEN
        case _:
            return InvoiceState.EXPIRED


def paid_in(invoice: Invoice) -> int:
    """Return what was paid or is held, in msat."""
    if invoice.state is State.SETTLED:
        return invoice.amt_paid_msat
    return sum(part.amt_msat for part in invoice.htlcs if part.state is HtlcState.ACCEPTED)


@contextmanager
def needs_hold() -> Generator[None, None, None]:
    """Say in plain words when an lnd was built without hold invoices."""
    try:
        yield
    except Refused as refusal:
        if not refusal.not_built:
            raise
        raise Misconfigured(
            "this lnd has no hold invoices: use a release, or build it with the tag invoicesrpc"
        ) from refusal


def _memo(description: str, key: str | None) -> str:
    """Tie an invoice to its key where its description does not: lnd has no other place for it."""
    return description if key is None or key in description else f"{description} [{key}]"


def _terms(amount: Msat, memo: str, expiry_seconds: int) -> dict[str, Any]:
    if not 0 < amount <= MAX_AMOUNT:
        raise BadInvoice("invoice: an amount that is no amount")
    try:
        size = len(memo.encode())
    except UnicodeEncodeError as error:
        raise BadInvoice("invoice: the description holds a lone surrogate") from error
    if size > MAX_MEMO_BYTES:
        raise BadInvoice(f"invoice: a description of more than {MAX_MEMO_BYTES} bytes")
    private = True  # hints at private channels, for a node that has no others
    terms = {"memo": memo, "value_msat": str(amount), "expiry": str(expiry_seconds)}
    return terms | {"private": private}
