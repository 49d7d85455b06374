"""Paying through a wallet that has neither idempotency keys nor an answer one may rely on.

A payment is looked up before it is asked for, and again until its outcome is known. It is asked for
once in a call, and the request is void when the call gives up.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
from attrs import define, field

from pylon.adapters.lightning.nwc.reading import is_preimage, payment_result, why
from pylon.adapters.lightning.nwc.session import Session
from pylon.core.backoff import Backoff
from pylon.core.recent import Recent
from pylon.errors import WalletUnavailable
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.money import Msat, Network
from pylon.model.wallet import PaymentFailed, PaymentInFlight, PaymentResult, PaymentSettled
from pylon.ports.clock import Clock
from pylon.wire.bolt11 import decode
from pylon.wire.nwc.payloads import (
    ErrorCode,
    LookupInvoice,
    Paid,
    PayInvoice,
    Refusal,
    Transaction,
)

LOOK = Backoff(first=0.5, ceiling=8.0)  # how often an outcome is looked up
SLACK_SECONDS = 30  # the wallet's clock may be behind ours by so much
_PAYMENTS = 4096
_DEFINITE = (  # the payment was not begun
    ErrorCode.INSUFFICIENT_BALANCE,
    ErrorCode.QUOTA_EXCEEDED,
    ErrorCode.RATE_LIMITED,
    ErrorCode.RESTRICTED,
    ErrorCode.UNAUTHORIZED,
    ErrorCode.NOT_IMPLEMENTED,
    ErrorCode.UNSUPPORTED_ENCRYPTION,
)


@define(eq=False)
class Paying:
    """Payments of one wallet; two calls for one payment hash come one after the other."""

    _session: Session
    _network: Network
    _clock: Clock
    _locks: dict[PaymentHash, trio.Lock] = field(factory=dict, init=False)
    _void_at: Recent[PaymentHash, float] = field(factory=lambda: Recent(_PAYMENTS), init=False)

    async def pay(self, bolt11: str, *, deadline_seconds: float) -> PaymentResult:
        """Pay once; see `ports.wallet.Wallet.pay`."""
        invoice = decode(bolt11)
        payment_hash, amount = invoice.payment_hash, invoice.amount
        if amount is None or invoice.network is not self._network:
            await trio.lowlevel.checkpoint()
            reason = f"only invoices of {self._network} with an amount can be paid here"
            return PaymentFailed(payment_hash, reason)
        with trio.move_on_after(deadline_seconds) as limit:
            async with self._alone(payment_hash):
                known = await self.outcome(payment_hash)
                if isinstance(known, PaymentInFlight):
                    known = await self._ending(known)
                    if known is not None:
                        return known
                if not isinstance(known, PaymentSettled):
                    text = bolt11.lower().removeprefix("lightning:")
                    seconds = limit.deadline - trio.current_time()
                    known = await self._ask(text, payment_hash, amount, seconds)
                return await self._ending(known) or PaymentInFlight(payment_hash)
        return PaymentInFlight(payment_hash)

    async def outcome(self, payment_hash: PaymentHash) -> PaymentResult | None:
        """Look a payment up; None if the wallet knows of none, and no request can bring it any more."""
        found = await self._session.call(LookupInvoice(payment_hash=payment_hash), Transaction)
        if not isinstance(found, Refusal):
            ours = found.type != "incoming" and found.payment_hash == payment_hash
            return payment_result(found) if ours else None
        if found.error is not ErrorCode.NOT_FOUND:
            raise WalletUnavailable(f"the wallet does not look up the payment: {why(found)}")
        if self._clock.now() < (self._void_at.get(payment_hash) or 0.0):
            return PaymentInFlight(payment_hash)
        return None

    async def _ask(
        self, text: str, payment_hash: PaymentHash, amount: Msat, seconds: float
    ) -> PaymentResult:
        """Ask the wallet to pay; its answer may be lost, so look for the outcome meanwhile."""
        self._void_at.put(payment_hash, self._clock.now() + seconds + SLACK_SECONDS)
        ended: list[PaymentResult | WalletUnavailable] = []
        async with trio.open_nursery() as nursery:

            async def hear() -> None:
                ended.append(await self._request(text, payment_hash, amount, seconds))
                nursery.cancel_scope.cancel("answered")

            async def look() -> None:
                ended.append(await self._look(payment_hash))
                nursery.cancel_scope.cancel("found")

            nursery.start_soon(hear)
            nursery.start_soon(look)
        (result, *_) = ended
        if isinstance(result, WalletUnavailable):
            raise result
        return result

    async def _request(
        self, text: str, payment_hash: PaymentHash, amount: Msat, seconds: float
    ) -> PaymentResult | WalletUnavailable:
        try:
            answer = await self._session.call(PayInvoice(text), Paid, seconds=seconds)
            self._void_at.put(payment_hash, 0.0)  # it has been answered, and is not acted on again
            if isinstance(answer, Refusal):
                return await self._refused(answer, payment_hash)
            return await self._proven(answer, payment_hash, amount)
        except WalletUnavailable as trouble:
            return trouble

    async def _proven(self, paid: Paid, payment_hash: PaymentHash, amount: Msat) -> PaymentResult:
        if not is_preimage(paid.preimage, payment_hash):
            return PaymentInFlight(payment_hash)
        fee = paid.fees_paid
        if fee is None:  # older wallets tell the fee in the transaction alone
            known = await self.outcome(payment_hash)
            fee = known.fee if isinstance(known, PaymentSettled) else 0
        return PaymentSettled(payment_hash, Preimage(paid.preimage), amount, Msat(fee))

    async def _refused(self, refusal: Refusal, payment_hash: PaymentHash) -> PaymentResult:
        """Believe that nothing was paid where the wallet says so in a word that means it.

        "Already paid" is a PAYMENT_FAILED to some wallets, and INTERNAL anything at all to others.
        """
        if refusal.error in _DEFINITE:
            return PaymentFailed(payment_hash, why(refusal))
        known = await self.outcome(payment_hash)
        if isinstance(known, PaymentSettled | PaymentInFlight):
            return known
        if refusal.error is ErrorCode.PAYMENT_FAILED or known is not None:
            return PaymentFailed(payment_hash, why(refusal))
        raise WalletUnavailable(f"nobody knows whether the wallet paid: {why(refusal)}")

    async def _look(self, payment_hash: PaymentHash) -> PaymentSettled:
        """Wait until the wallet shows a success; a failure it shows may be that of an earlier try."""
        tries = 0
        while True:
            tries += 1
            await trio.sleep(LOOK.after(tries, 1.0))
            known = await self._try_outcome(payment_hash)
            if isinstance(known, PaymentSettled):
                return known

    async def _ending(self, known: PaymentResult | None) -> PaymentResult | None:
        """Wait until a payment is no longer in flight."""
        tries = 0
        while isinstance(known, PaymentInFlight):
            tries += 1
            await trio.sleep(LOOK.after(tries, 1.0))
            known = await self._try_outcome(known.payment_hash)
        return known

    async def _try_outcome(self, payment_hash: PaymentHash) -> PaymentResult | None:
        try:
            return await self.outcome(payment_hash)
        except WalletUnavailable:
            return PaymentInFlight(payment_hash)

    @asynccontextmanager
    async def _alone(self, payment_hash: PaymentHash) -> AsyncGenerator[None, None]:
        lock = self._locks.setdefault(payment_hash, trio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._locks.pop(payment_hash, None)
