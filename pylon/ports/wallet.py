"""What services ask of a Lightning wallet."""

from collections.abc import AsyncIterator, Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Protocol

import trio

from pylon.errors import WalletUnavailable
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.money import Msat
from pylon.model.wallet import (
    HistoryEntry,
    InvoiceStatus,
    IssuedInvoice,
    PaymentResult,
    WalletInfo,
)

ANSWER_SECONDS = 30.0  # any wallet answers in, or is not there


@contextmanager
def answers_within(seconds: float = ANSWER_SECONDS) -> Generator[None, None, None]:
    """Raise `WalletUnavailable` when a wallet takes longer; what it was asked may still happen."""
    try:
        with trio.fail_after(seconds):
            yield
    except trio.TooSlowError:
        raise WalletUnavailable(f"the wallet does not answer for {seconds:g} s") from None


class Wallet(Protocol):
    """Makes invoices, pays invoices, and knows what became of them.

    Every method may raise `WalletUnavailable`. After that the effect asked for may or may not have
    happened: `lookup` and `payment` tell, and every method is safe to repeat.
    """

    async def info(self) -> WalletInfo:
        """Say which wallet this is and what it can do."""
        ...

    async def balance(self) -> Msat:
        """Return what can be spent now."""
        ...

    async def make_invoice(
        self,
        amount: Msat,
        *,
        description: str,
        expiry_seconds: int,
        preimage: Preimage | None = None,
        idempotency_key: str | None = None,
    ) -> IssuedInvoice:
        """Make an ordinary invoice; the same `idempotency_key` returns the same invoice.

        Raises `Misconfigured` for a `preimage` where `chosen_preimage` is not a capability. The
        invoice returned has its preimage where `tells_preimage` is one, or a `preimage` was given.
        """
        ...

    async def make_hold_invoice(
        self,
        payment_hash: PaymentHash,
        amount: Msat,
        *,
        description: str,
        expiry_seconds: int,
        hold_seconds: int,
    ) -> IssuedInvoice:
        """Make an invoice that is paid only when `settle_hold` is called (capability `hold`).

        What is accepted can be held for `hold_seconds` at least, as far as the wallet can promise;
        `InvoiceStatus.settle_deadline` has the last word. The same hash and amount again return the
        same invoice. Raises `Misconfigured` where the wallet cannot hold, or not for so long.
        """
        ...

    async def settle_hold(self, preimage: Preimage) -> InvoiceStatus:
        """Take the money of an accepted hold invoice; settling twice is settling once."""
        ...

    async def cancel_invoice(self, payment_hash: PaymentHash) -> InvoiceStatus:
        """Return an accepted hold to its payer, or make an open invoice unpayable.

        A settled invoice stays settled: look at the state returned.
        """
        ...

    async def lookup(self, payment_hash: PaymentHash) -> InvoiceStatus | None:
        """Return the state of an invoice of ours; None if this wallet never made it."""
        ...

    def watch(self, *, after: int) -> AbstractAsyncContextManager[AsyncIterator[InvoiceStatus]]:
        """Tell of every invoice of ours that becomes accepted, settled or cancelled.

        Starts after the cursor given, so that nothing is missed across a restart; a status may be
        told twice.
        """
        ...

    async def pay(self, bolt11: str, *, max_fee: Msat, deadline_seconds: float) -> PaymentResult:
        """Pay once: paying the same payment hash again returns the first outcome.

        A deadline that passes gives `PaymentInFlight`, not a failure. A definite failure may be
        tried again. Raises `BadInvoice` for text that is no invoice.
        """
        ...

    async def payment(self, payment_hash: PaymentHash) -> PaymentResult | None:
        """Say what became of a payment of ours; None if none was ever started."""
        ...

    async def history(self, *, limit: int) -> list[HistoryEntry]:
        """List what happened, newest first, pending and unknown included."""
        ...
