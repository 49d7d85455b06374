"""Paying an invoice that is for no job: within the budget, once, and never forgotten half-way.

    what became of it before? ─► reserve ─► veto? ─► pay ─┬ settled ─► spend
                                                          ├ failed ──► release
                                                          └ unknown ─► stays reserved

What a process leaves reserved when it is killed, the next one to open a purse settles by what the
wallet says. A lock on each payment hash tells what is left from what is under way.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from attrs import frozen

from pylon.adapters.home import Home
from pylon.app.budget import caps_of, refuse_uncapped
from pylon.app.identity import Identity
from pylon.app.store import open_store
from pylon.app.wallet import open_wallet
from pylon.config import Config
from pylon.core.proof import believed
from pylon.errors import BadInvoice, InUse, OverBudget, WalletUnavailable
from pylon.model.budget import NODE, Purpose
from pylon.model.ids import PaymentHash
from pylon.model.money import Msat
from pylon.model.wallet import PaymentFailed, PaymentInFlight, PaymentResult, PaymentSettled
from pylon.ports.budget import Budget, Limits
from pylon.ports.clock import Clock
from pylon.ports.wallet import ANSWER_SECONDS, Wallet, answers_within

_OURS = Purpose()  # no job, no provider, no budget but the node's


@frozen
class Bill:
    """An invoice that somebody has said yes to, and what it may cost."""

    bolt11: str
    payment_hash: PaymentHash
    amount: Msat
    max_fee: Msat


@frozen(eq=False)
class Purse:
    """A wallet and the budget that it is spent from."""

    wallet: Wallet
    budget: Budget
    _home: Home
    _limits: Limits
    _clock: Clock
    _purpose: Purpose = _OURS

    async def pay(self, bill: Bill, *, deadline_seconds: float) -> PaymentResult:
        """Pay once; one that was paid before is not paid again, and costs nothing more.

        `PaymentInFlight` is a payment that may yet arrive; what is set aside for it stays so. The
        caps for one job do not apply: it is for none.

        Raises:
            OverBudget: A cap, or a pause, does not allow it.
            InUse: Another process is paying it.
            WalletUnavailable: The wallet does not answer; nothing was begun.
            BadInvoice: The wallet cannot read the invoice.
        """
        with self._home.lock(_lock(bill.payment_hash)):
            known = await self._known(bill.payment_hash)
            if isinstance(known, PaymentSettled):
                return await self._booked(known)
            refusal = await self._refusal(bill, known)
            if refusal is None:
                return await self._booked(await self._dispatched(bill, deadline_seconds))
            if isinstance(known, PaymentInFlight):  # begun when it was allowed, or by another
                return known
            raise OverBudget(refusal)

    async def settle_leftovers(self) -> None:
        """Settle what a process that was killed has left reserved, as far as the wallet knows."""
        for payment_hash, entry in (await self.budget.reserved()).items():
            if entry.purpose == self._purpose:
                with suppress(InUse, WalletUnavailable), self._home.lock(_lock(payment_hash)):
                    known = await self._known(payment_hash)
                    await self._booked(known or PaymentFailed(payment_hash, "never begun"))

    async def _known(self, payment_hash: PaymentHash) -> PaymentResult | None:
        with answers_within():
            known = await self.wallet.payment(payment_hash)
        return None if known is None else believed(known, payment_hash)

    async def _refusal(self, bill: Bill, known: PaymentResult | None) -> str | None:
        """Set the money aside, and look once more whether it may be spent."""
        refusal = await self.budget.reserve(
            bill.payment_hash,
            self._purpose,
            amount=bill.amount,
            fee=bill.max_fee,
            limits=self._limits,
            now=int(self._clock.now()),
        )
        if refusal is None:
            refusal = await self.budget.veto(bill.payment_hash)
            if refusal is not None and not isinstance(known, PaymentInFlight):
                await self.budget.release(bill.payment_hash)
        return refusal

    async def _dispatched(self, bill: Bill, seconds: float) -> PaymentResult:
        """Pay, and believe no more than is known."""
        try:
            with answers_within(seconds + ANSWER_SECONDS):
                result = await self.wallet.pay(
                    bill.bolt11, max_fee=bill.max_fee, deadline_seconds=seconds
                )
        except WalletUnavailable:
            recalled = await self._recalled(bill.payment_hash)
            if recalled is None:
                await self.budget.release(bill.payment_hash)
                raise
            return recalled
        except BadInvoice:
            await self.budget.release(bill.payment_hash)
            raise
        return believed(result, bill.payment_hash)

    async def _recalled(self, payment_hash: PaymentHash) -> PaymentResult | None:
        """Ask what became of a payment whose answer was lost; None if it never began."""
        try:
            return await self._known(payment_hash)
        except WalletUnavailable:
            return PaymentInFlight(payment_hash)

    async def _booked(self, result: PaymentResult) -> PaymentResult:
        """Write into the budget what has become of a payment."""
        match result:
            case PaymentSettled(payment_hash, _, amount, fee):
                now = int(self._clock.now())
                await self.budget.spend(payment_hash, amount=amount, fee=fee, now=now)
            case PaymentFailed(payment_hash):
                await self.budget.release(payment_hash)
        return result


@asynccontextmanager
async def open_purse(
    home: Home, config: Config, identity: Identity, *, clock: Clock
) -> AsyncGenerator[Purse]:
    """Open this home's wallet for spending, with the home's budget.

    Raises `Misconfigured` where real money may not be spent, and as `open_wallet` and `open_store`.
    """
    refuse_uncapped(config, identity.network)
    home.create()
    async with (
        open_store(home.database) as store,
        open_wallet(home, config, identity, clock=clock) as wallet,
    ):
        purse = Purse(wallet, store.budget, home, {NODE: caps_of(config)}, clock)
        await purse.settle_leftovers()
        yield purse


def _lock(payment_hash: PaymentHash) -> str:
    return f"pay-{payment_hash[:16]}"
