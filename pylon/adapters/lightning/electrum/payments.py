"""Paying once, and finding out what became of a payment.

`lnpay` lasts as long as the payment and goes on when nobody waits any more; when the daemon ends, the
payment may not. 4.3 refuses a second one for the same hash only while an HTLC is out, so not between
two attempts of the first: a payment is asked about before it is begun. An attempt that 4.3 ends with
an exception (some retries do that) stays "in flight" in its list; then its HTLCs alone count.

Of a payment in several parts 4.3 forgets those that are left as soon as one has failed. So it is not
believed that a payment has failed while anything is out; 4.8 can be.
"""

from collections.abc import Iterable
from typing import Any, Final
from weakref import WeakValueDictionary

import trio
from attrs import define, field

from pylon.adapters.lightning.electrum.answers import (
    Attempt,
    Balance,
    Channel,
    Invoice,
    Moved,
    Status,
)
from pylon.adapters.lightning.electrum.rpc import Refused, Rpc, from_btc
from pylon.model.ids import PaymentHash
from pylon.model.invoice import Invoice as Asked
from pylon.model.money import MSAT_PER_SAT, ZERO, Msat, Network
from pylon.model.wallet import (
    PaymentFailed,
    PaymentInFlight,
    PaymentResult,
    PaymentSettled,
)
from pylon.wire import bolt11

POLL_SECONDS: Final = 0.2
_NOT_FOUND: Final = "not found"
_AT_IT: Final = ("already initiated", "did not clear")
_FAILED: Final = "Electrum could not pay it"
_LEAST_FEE_CAP: Final = 1_000_000  # msat: below this Electrum takes any limit


@define
class PaymentDesk:
    """Outgoing payments of one wallet."""

    _rpc: Rpc
    _network: Network
    _obeys_fee_limit: bool
    _counts_parts: bool  # a payment it calls failed has no part on its way
    _turns: WeakValueDictionary[PaymentHash, trio.Lock] = field(
        factory=WeakValueDictionary, init=False
    )
    _broken: set[PaymentHash] = field(factory=set, init=False)  # ended with an exception

    async def pay(self, text: str, *, max_fee: Msat, deadline_seconds: float) -> PaymentResult:
        invoice = bolt11.decode(text)
        if reason := self._refusal(invoice):
            await trio.lowlevel.checkpoint()
            return PaymentFailed(invoice.payment_hash, reason)
        plain = text.lower().removeprefix("lightning:")
        turn = self._turns.setdefault(invoice.payment_hash, trio.Lock())
        with trio.move_on_after(deadline_seconds):
            async with turn:
                return await self._pay(plain, invoice, max_fee)
        return PaymentInFlight(invoice.payment_hash)

    async def _pay(self, text: str, invoice: Asked, max_fee: Msat) -> PaymentResult:
        payment_hash = invoice.payment_hash
        result = await self.payment(payment_hash)
        if result is None or isinstance(result, PaymentFailed):
            self._broken.discard(payment_hash)
            result = await self._attempt(text, invoice, max_fee)
        why = result.reason if isinstance(result, PaymentFailed) else _FAILED
        while not isinstance(result, PaymentSettled):
            result = await self.payment(payment_hash)
            if result is None or isinstance(result, PaymentFailed):
                return PaymentFailed(payment_hash, why)
            if isinstance(result, PaymentInFlight):
                await trio.sleep(POLL_SECONDS)
        return result

    async def payment(self, payment_hash: PaymentHash) -> PaymentResult | None:
        try:
            invoice = await self._rpc.call("get_invoice", Invoice, invoice_id=payment_hash)
        except Refused as exc:
            if _NOT_FOUND in exc.why:
                return None
            raise
        match invoice.status:
            case Status.PAID:
                return await self._settled(payment_hash, invoice.amount_msat)
            case Status.UNPAID | Status.EXPIRED | Status.FAILED:
                over = self._counts_parts or not await self._any_out()
            case _:
                over = payment_hash in self._broken and not await self._any_out()
        return PaymentFailed(payment_hash, _FAILED) if over else PaymentInFlight(payment_hash)

    async def _attempt(self, text: str, invoice: Asked, max_fee: Msat) -> PaymentResult:
        """Have Electrum pay. A failure it tells of is its last word only when no HTLC is out."""
        payment_hash, amount = invoice.payment_hash, invoice.amount or ZERO
        limit = self._fee_limit(amount, max_fee)
        try:
            attempt = await self._rpc.call("lnpay", Attempt, invoice=text, **limit)
        except Refused as exc:
            if not any(words in exc.why for words in _AT_IT):
                self._broken.add(payment_hash)
            return PaymentFailed(payment_hash, exc.why or _FAILED)
        if attempt.success:
            return await self._settled(payment_hash, amount)
        return PaymentFailed(payment_hash, await self._reason(attempt, amount))

    async def _reason(self, attempt: Attempt, amount: Msat) -> str:
        if attempt.log:
            return str(attempt.log[-1][-1])
        balance = await self._rpc.call("getbalance", Balance)
        short = from_btc(balance.lightning) < amount
        return "insufficient funds" if short else "no route, or not enough to send on one"

    async def _settled(self, payment_hash: PaymentHash, amount: int | str | None) -> PaymentResult:
        """Add proof and fee to what Electrum says is paid; only its history has the fee."""
        moved = find(await self._rpc.call("lightning_history", list[Moved]), payment_hash)
        if moved is None or moved.preimage is None or not isinstance(amount, int):
            return PaymentInFlight(payment_hash)
        fee = Msat(max(0, -moved.amount_msat - amount))
        return PaymentSettled(payment_hash, moved.preimage, Msat(amount), fee)

    async def _any_out(self) -> bool:
        """Say whether any outgoing HTLC is undecided; 4.3 does not tell whose."""
        channels = await self._rpc.call("list_channels", list[Channel])
        return any(c.local_unsettled_sent for c in channels if not c.is_past)

    def _refusal(self, invoice: Asked) -> str:
        if invoice.network is not self._network or invoice.amount is None:
            return f"only {self._network} invoices with an amount can be paid here"
        if invoice.amount < MSAT_PER_SAT and not self._counts_parts:
            return "this Electrum does not show parts of a satoshi on their way"
        return ""

    def _fee_limit(self, amount: Msat, max_fee: Msat) -> dict[str, Any]:
        if not self._obeys_fee_limit:
            return {}
        most = max(amount // 2, _LEAST_FEE_CAP) - 1  # it refuses a limit that is out of proportion
        return {"max_fee_msat": min(max_fee, most)}


def find(moved: Iterable[Moved], payment_hash: PaymentHash) -> Moved | None:
    """Return what is known of a payment hash in the history."""
    return next((each for each in moved if each.payment_hash == payment_hash), None)
