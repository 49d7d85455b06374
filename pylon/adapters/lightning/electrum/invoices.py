"""Invoices of our own: making them once, what their state is, withdrawing them."""

import math
from hashlib import sha256
from typing import Any, Final

import trio
from attrs import define, field

from pylon.adapters.lightning.electrum.answers import (
    GetInfo,
    Hold,
    HoldMade,
    Moved,
    Request,
    Table,
    incoming,
)
from pylon.adapters.lightning.electrum.notes import Notes
from pylon.adapters.lightning.electrum.payments import find
from pylon.adapters.lightning.electrum.rpc import Refused, Rpc, to_btc
from pylon.errors import BadInvoice, Misconfigured, WalletUnavailable
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.money import ZERO, Msat, from_sats
from pylon.model.wallet import InvoiceState, InvoiceStatus, IssuedInvoice
from pylon.ports.clock import Clock
from pylon.wire import bolt11

BLOCK_SECONDS: Final = 600
GUARD_BLOCKS: Final = 144  # so long before an HTLC expires Electrum fails it: MIN_FINAL_CLTV_DELTA
SPARE_BLOCKS: Final = 6  # that may come early, or while the payment is on its way
MAX_HOLD_BLOCKS: Final = 575 - GUARD_BLOCKS - SPARE_BLOCKS
LONGEST_HOLD_SECONDS: Final = 1000 * BLOCK_SECONDS  # from an invoice's end, however slow blocks are
SETTLE_SECONDS: Final = 10.0  # after which a settled HTLC is still waiting for its channel
MAX_MEMO_BYTES: Final = 639  # what BOLT-11 has room for

_POLL_SECONDS: Final = 0.05
_USED: Final = "already used"
_NOT_FOUND: Final = "not found"
_NO_ROOM: Final = "Not enough inbound capacity"


@define
class InvoiceDesk:
    """Incoming payments of one wallet. `holds`: it is of version 4.8, with commands of its own."""

    _rpc: Rpc
    _clock: Clock
    notes: Notes
    holds: bool
    _making: trio.Lock = field(factory=trio.Lock, init=False)

    async def make(
        self, amount: Msat, *, memo: str, expiry_seconds: int, key: str | None
    ) -> IssuedInvoice:
        """Make an ordinary invoice, with its preimage; a key makes one."""
        asked = {"amount": to_btc(amount), "memo": _checked(memo)}
        if expiry_seconds <= 0:
            raise BadInvoice("an invoice needs time to be paid")
        async with self._making:
            text = None if key is None else await self.notes.invoice_for(key)
            if text is None:
                text = await self._request(asked, expiry_seconds)
                if key is not None:
                    await self.notes.note_key(key, text)
        return _issued(text, await self._preimage(bolt11.decode(text).payment_hash))

    async def make_hold(
        self,
        payment_hash: PaymentHash,
        amount: Msat,
        *,
        memo: str,
        expiry_seconds: int,
        hold_seconds: int,
    ) -> IssuedInvoice:
        """Make a hold invoice; Electrum shows it once, so it is noted."""
        if not self.holds:
            raise Misconfigured("this Electrum cannot hold payments: version 4.8 can")
        blocks = math.ceil(hold_seconds / BLOCK_SECONDS)
        if blocks > MAX_HOLD_BLOCKS:
            limit = MAX_HOLD_BLOCKS * BLOCK_SECONDS
            raise Misconfigured(f"Electrum holds payments for {limit:,} s at most")
        asked = {
            "payment_hash": payment_hash,
            "amount": to_btc(amount),
            "memo": _checked(memo),
            "expiry": expiry_seconds,
            "min_final_cltv_expiry_delta": GUARD_BLOCKS + blocks + SPARE_BLOCKS,
        }
        async with self._making:
            text = await self.notes.hold(payment_hash)
            if text is None:
                text = await self._hold(asked)
                await self.notes.note_hold(payment_hash, text)
        made = _issued(text, None)
        if made.amount != amount:
            raise Misconfigured("another invoice has this payment hash")
        return made

    async def settle(self, preimage: Preimage) -> InvoiceStatus:
        """Take what is held, and see it settled, if its channel is there."""
        payment_hash = PaymentHash(sha256(bytes.fromhex(preimage)).hexdigest())
        status = await self._ours(payment_hash)
        if status.state is not InvoiceState.ACCEPTED:
            return status
        try:
            await self._rpc.do("settle_hold_invoice", preimage=preimage)
        except Refused as exc:  # settled a moment ago, or just gone back: the state tells
            why = exc.why
        else:
            why = "its channel is not there"
        with trio.move_on_after(SETTLE_SECONDS):
            while status.state is InvoiceState.ACCEPTED:
                await trio.sleep(_POLL_SECONDS)
                status = await self._ours(payment_hash)
            return status
        raise WalletUnavailable(f"Electrum has not settled a payment yet: {why}")

    async def cancel(self, payment_hash: PaymentHash) -> InvoiceStatus:
        """Withdraw an invoice, or return what it holds."""
        status = await self._ours(payment_hash)
        if status.state in (InvoiceState.SETTLED, InvoiceState.CANCELLED):
            return status
        await self.notes.note_cancelled(payment_hash, int(self._clock.now()))
        try:
            if await self.notes.hold(payment_hash) is None:
                await self._rpc.do("delete_request", request_id=payment_hash)
            else:
                await self._rpc.do("cancel_hold_invoice", payment_hash=payment_hash)
        except Refused:
            status = await self._ours(payment_hash)
            if status.state not in (InvoiceState.SETTLED, InvoiceState.CANCELLED):
                raise
            return status
        return await self._ours(payment_hash)

    async def lookup(self, payment_hash: PaymentHash) -> InvoiceStatus | None:
        """Say where an invoice stands; None for one that was never ours."""
        return await self.status(payment_hash, await self.table())

    async def table(self) -> Table:
        """Return all payments expected and received."""
        rows = await self._rpc.find("get", dict[str, list[Any]], key="lightning_payments")
        return incoming(rows or {})

    async def status(self, payment_hash: PaymentHash, table: Table) -> InvoiceStatus | None:
        """Say where an invoice stands by a table that was just read."""
        row = table.get(payment_hash)
        if row is None:
            return await self._gone(payment_hash)
        if row.is_paid:
            return InvoiceStatus(payment_hash, InvoiceState.SETTLED, row.amount)
        text = await self.notes.hold(payment_hash)
        if text is not None:
            return await self._held(payment_hash, bolt11.decode(text).expires_at)
        try:
            request = await self._rpc.call("get_request", Request, request_id=payment_hash)
        except Refused as exc:
            if _NOT_FOUND in exc.why:
                return None  # a swap of Electrum's own, or the like
            raise
        return self._unpaid(payment_hash, request.expires_at)

    async def _request(self, asked: dict[str, str], expiry_seconds: int) -> str:
        # 4.3 asks for an address of its own for each request that is open; `force` lets it make one.
        when = "expiry" if self.holds else "expiration"
        how = {"lightning": True} if self.holds else {"force": True}
        made = await self._rpc.call(
            "add_request", Request, **asked, **how, **{when: expiry_seconds}
        )
        if made.lightning_invoice is None:
            raise Misconfigured("this Electrum wallet has no Lightning")
        return made.lightning_invoice

    async def _hold(self, asked: dict[str, object]) -> str:
        try:
            made = await self._rpc.call("add_hold_invoice", HoldMade, **asked)
        except Refused as exc:
            if _NO_ROOM in exc.why:
                raise Misconfigured("no channel of Electrum's has room for that payment") from exc
            if _USED not in exc.why:
                raise
            # Made before, and the answer lost: nobody has seen it, and it is shown only once.
            payment_hash = asked["payment_hash"]
            await self._rpc.do("cancel_hold_invoice", payment_hash=payment_hash)
            made = await self._rpc.call("add_hold_invoice", HoldMade, **asked)
        return made.invoice

    async def _preimage(self, payment_hash: PaymentHash) -> Preimage | None:
        if self.holds:
            return await self._rpc.find(
                "export_lightning_preimage", Preimage, payment_hash=payment_hash
            )
        known = await self._rpc.find("get", dict[str, Preimage], key="lightning_preimages")
        return (known or {}).get(payment_hash)

    async def _ours(self, payment_hash: PaymentHash) -> InvoiceStatus:
        status = await self.lookup(payment_hash)
        if status is None:
            raise Misconfigured("this wallet never made that invoice: is it the right one?")
        return status

    async def _gone(self, payment_hash: PaymentHash) -> InvoiceStatus | None:
        """Find an invoice that Electrum no longer knows; it may have been paid at the last moment."""
        if payment_hash not in await self.notes.cancelled():
            return None
        moved = find(await self._rpc.call("lightning_history", list[Moved]), payment_hash)
        if moved is not None and moved.amount_msat > 0:
            return InvoiceStatus(payment_hash, InvoiceState.SETTLED, Msat(moved.amount_msat))
        return InvoiceStatus(payment_hash, InvoiceState.CANCELLED)

    async def _held(self, payment_hash: PaymentHash, expires_at: int) -> InvoiceStatus:
        hold = await self._rpc.call("check_hold_invoice", Hold, payment_hash=payment_hash)
        received = from_sats(hold.received_amount_sat)
        match hold.status:
            case "paid":
                deadline = await self._deadline(hold.closest_htlc_expiry_height or 0)
                return InvoiceStatus(payment_hash, InvoiceState.ACCEPTED, received, deadline)
            case "settled":
                return InvoiceStatus(payment_hash, InvoiceState.SETTLED, received)
        if payment_hash in await self.notes.cancelled():
            return InvoiceStatus(payment_hash, InvoiceState.CANCELLED)
        return self._unpaid(payment_hash, expires_at)

    async def _deadline(self, expiry_height: int) -> int:
        """Return when a held HTLC is failed at the latest, if blocks come no faster than usual."""
        info = await self._rpc.call("getinfo", GetInfo)
        left = expiry_height - GUARD_BLOCKS - SPARE_BLOCKS - info.blockchain_height
        return int(self._clock.now()) + max(0, left) * BLOCK_SECONDS

    def _unpaid(self, payment_hash: PaymentHash, expires_at: int | None) -> InvoiceStatus:
        expired = expires_at is not None and expires_at < self._clock.now()
        state = InvoiceState.EXPIRED if expired else InvoiceState.OPEN
        return InvoiceStatus(payment_hash, state, ZERO)


def _issued(text: str, preimage: Preimage | None) -> IssuedInvoice:
    said = bolt11.decode(text)
    if said.amount is None:
        raise WalletUnavailable("Electrum made an invoice without an amount")
    return IssuedInvoice(
        text, said.payment_hash, said.amount, said.created_at, said.expires_at, preimage
    )


def _checked(memo: str) -> str:
    try:
        fits = len(memo.encode()) <= MAX_MEMO_BYTES
    except UnicodeEncodeError:
        fits = False
    if not fits:
        raise BadInvoice("the description does not fit into an invoice")
    return memo
