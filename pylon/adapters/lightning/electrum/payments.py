"""Paying once, and finding out what became of a payment.

`lnpay` lasts as long as the payment, goes on when nobody waits any more, and is forgotten by a daemon
that restarts. 4.3 refuses a second one for the same hash only while an HTLC is out, so not between
two attempts of the first: a payment is asked about before it is begun. An attempt that 4.3 ends with
an exception (some retries do that) stays "in flight" in its list; then its HTLCs alone count.
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
from pylon.model.ids import PaymentHash, Preimage
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
_REDEEMED: Final = "REDEEMED"  # a channel of the past: what was in it is decided on the chain
_AT_IT: Final = ("already initiated", "did not clear")
_FAILED: Final = "Electrum could not pay it"
_LEAST_FEE_CAP: Final = 1_000_000  # msat: below this Electrum takes any limit


@define
class PaymentDesk:
    """Outgoing payments of one wallet."""

    _rpc: Rpc
    _network: Network
    _obeys_fee_limit: bool
    _knows_in_flight: bool  # it still knows after a restart which payments are on their way
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
        payment_hash, why = invoice.payment_hash, ""
        known = await self.payment(payment_hash)
        if known is None or isinstance(known, PaymentFailed):
            self._broken.discard(payment_hash)
            why = await self._attempt(text, invoice, max_fee)
        return await self._ending(payment_hash, why)

    async def payment(self, payment_hash: PaymentHash) -> PaymentResult | None:
        try:
            invoice = await self._rpc.call("get_invoice", Invoice, invoice_id=payment_hash)
        except Refused as exc:
            if _NOT_FOUND in exc.why:
                return None
            raise
        match invoice.status:
            case Status.PAID:
                return await self._settled(payment_hash, invoice)
            case Status.UNPAID | Status.EXPIRED | Status.FAILED:
                over = self._knows_in_flight or not await self._any_in_flight()
            case _:
                over = payment_hash in self._broken and not await self._any_in_flight()
        return PaymentFailed(payment_hash, _FAILED) if over else PaymentInFlight(payment_hash)

    async def _attempt(self, text: str, invoice: Asked, max_fee: Msat) -> str:
        """Have Electrum pay; return why it did not, as far as it says."""
        amount = invoice.amount or ZERO
        limit = self._fee_limit(amount, max_fee)
        try:
            attempt = await self._rpc.call("lnpay", Attempt, invoice=text, **limit)
        except Refused as exc:
            if not any(words in exc.why for words in _AT_IT):
                self._broken.add(invoice.payment_hash)
            return exc.why
        if attempt.success:
            return ""
        if attempt.log:
            return str(attempt.log[-1][-1])
        balance = await self._rpc.call("getbalance", Balance)
        short = from_btc(balance.lightning) < amount
        return "insufficient funds" if short else "no route, or not enough to send on one"

    async def _ending(self, payment_hash: PaymentHash, why: str) -> PaymentResult:
        """Wait until nothing is in flight any more, and say what came of it."""
        while True:
            result = await self.payment(payment_hash)
            match result:
                case PaymentSettled():
                    return result
                case PaymentInFlight():
                    await trio.sleep(POLL_SECONDS)
                case _:
                    return PaymentFailed(payment_hash, why or _FAILED)

    async def _settled(self, payment_hash: PaymentHash, invoice: Invoice) -> PaymentResult:
        moved = find(await self._rpc.call("lightning_history", list[Moved]), payment_hash)
        if moved is None or moved.preimage is None or not isinstance(invoice.amount_msat, int):
            return PaymentInFlight(payment_hash)
        fee = max(0, -moved.amount_msat - invoice.amount_msat)
        amount = Msat(invoice.amount_msat)
        return PaymentSettled(payment_hash, Preimage(moved.preimage), amount, Msat(fee))

    async def _any_in_flight(self) -> bool:
        """Say whether any outgoing HTLC is undecided; 4.3 does not tell whose, once restarted."""
        channels = await self._rpc.call("list_channels", list[Channel])
        return any(c.local_unsettled_sent for c in channels if c.state != _REDEEMED)

    def _refusal(self, invoice: Asked) -> str:
        if invoice.network is not self._network or invoice.amount is None:
            return f"only {self._network} invoices with an amount can be paid here"
        if invoice.amount < MSAT_PER_SAT and not self._knows_in_flight:
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
