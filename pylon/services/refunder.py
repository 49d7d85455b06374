"""The actor that pays back what customers are owed: once, and never believes that it failed unless told."""

import logging

import trio
from attrs import frozen

from pylon.core.job_machine import (
    LookUpRefund,
    News,
    PayRefund,
    RefundPaid,
    RefundRefused,
    RefundUncertain,
)
from pylon.core.mail import AboutJob, Mail
from pylon.core.outbox import REFUNDER
from pylon.core.proof import believed
from pylon.errors import BadInvoice, WalletUnavailable
from pylon.model.budget import NODE, Purpose, Scope
from pylon.model.ids import JobId, PaymentHash
from pylon.model.job import Job, JobState
from pylon.model.wallet import PaymentFailed, PaymentInFlight, PaymentResult, PaymentSettled
from pylon.ports.budget import Budget
from pylon.ports.channels import Hint
from pylon.ports.clock import Clock
from pylon.ports.outbox import OutboxReader, entry_of
from pylon.ports.records import Records, Row
from pylon.ports.wallet import Wallet, answers_within

log = logging.getLogger(__name__)

REFUNDS = Scope("refunds")  # what is given back was never ours: no cap on spending limits it
PAY_SECONDS = 30.0  # after this the payment is looked up instead of waited for
PAUSE_SECONDS = 5.0  # how often we look whether spending is no longer paused


@frozen
class Refunder:
    """Carry out `PayRefund` and `LookUpRefund`.

    A `PayRefund` repeated after a crash first asks what became of it. While spending is paused, all
    of it or refunds alone, refunds wait.
    """

    records: Records[Job, JobState]
    wallet: Wallet
    budget: Budget
    clock: Clock
    hint: Hint
    mail: trio.MemorySendChannel[Mail]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; refunds of different jobs are paid side by side."""
        reader = OutboxReader(self.records, REFUNDER)
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                for row in await reader.take():
                    nursery.start_soon(self._serve, row)
                await self.hint.wait()

    async def _serve(self, row: Row) -> None:
        match entry_of(row):
            case PayRefund() as act:
                news = await self._refund(row.subject, act)
            case LookUpRefund(payment_hash):
                news = await self._book(payment_hash, await self._known(payment_hash))
            case _:
                return
        await self.mail.send(AboutJob(row.subject, news, done=(row.seq,)))

    async def _refund(self, job: JobId, act: PayRefund) -> News:
        payment_hash = act.refund.payment_hash
        known = await self._known(payment_hash)
        if not isinstance(known, PaymentFailed):
            return await self._book(payment_hash, known)
        refusal = await self._reserve(job, act)
        if refusal is not None:
            log.warning("job %s: the refund is not paid: %s", job[:8], refusal)
            return RefundRefused(payment_hash)
        return await self._book(payment_hash, await self._pay(act))

    async def _reserve(self, job: JobId, act: PayRefund) -> str | None:
        """Set the money aside, when spending is not paused; say why this may never be paid."""
        while True:
            await self._unpaused()
            refusal = await self.budget.reserve(
                act.refund.payment_hash,
                Purpose(order=job, scopes=(REFUNDS,)),
                amount=act.amount,
                fee=act.refund.max_fee,
                limits={},
                now=int(self.clock.now()),
            )
            if not await self._is_paused():
                return refusal

    async def _unpaused(self) -> None:
        while await self._is_paused():
            await self.clock.sleep_until(self.clock.now() + PAUSE_SECONDS)

    async def _is_paused(self) -> bool:
        return any([await self.budget.paused(scope) is not None for scope in (NODE, REFUNDS)])

    async def _pay(self, act: PayRefund) -> PaymentResult:
        payment_hash = act.refund.payment_hash
        try:
            with answers_within(2 * PAY_SECONDS):
                result = await self.wallet.pay(
                    act.refund.bolt11, max_fee=act.refund.max_fee, deadline_seconds=PAY_SECONDS
                )
        except WalletUnavailable:
            return PaymentInFlight(payment_hash)
        except BadInvoice as exc:
            return PaymentFailed(payment_hash, str(exc))
        return believed(result, payment_hash)

    async def _known(self, payment_hash: PaymentHash) -> PaymentResult:
        """Say what became of a payment; one that the wallet knows nothing of has failed."""
        try:
            with answers_within():
                result = await self.wallet.payment(payment_hash)
        except WalletUnavailable:
            return PaymentInFlight(payment_hash)
        if result is None:
            return PaymentFailed(payment_hash, "the wallet never began the payment")
        return believed(result, payment_hash)

    async def _book(self, payment_hash: PaymentHash, result: PaymentResult) -> News:
        """Write into the budget what has become of a refund, and tell."""
        match result:
            case PaymentSettled(preimage=preimage, amount=amount, fee=fee):
                now = int(self.clock.now())
                await self.budget.spend(payment_hash, amount=amount, fee=fee, now=now)
                return RefundPaid(payment_hash, preimage)
            case PaymentFailed(reason=reason):
                await self.budget.release(payment_hash)
                log.warning("a refund was not paid: %s", reason)
                return RefundRefused(payment_hash)
            case PaymentInFlight():
                return RefundUncertain(payment_hash)
