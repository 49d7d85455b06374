"""The actor that makes, settles and withdraws invoices for sold jobs."""

import logging

import trio
from attrs import evolve, field, frozen

from pylon.core.backoff import Backoff
from pylon.core.job_machine import (
    SETTLE_SECONDS,
    CancelInvoice,
    InvoiceClosed,
    InvoiceImpossible,
    InvoiceMade,
    MakeHoldInvoice,
    MakeInvoice,
    News,
    Paid,
    SettleHold,
)
from pylon.core.mail import AboutJob, Mail
from pylon.core.offers import description
from pylon.core.outbox import CASHIER, Entry
from pylon.errors import BadInvoice, Misconfigured, WalletUnavailable
from pylon.model.ids import JobId, PaymentHash, PublicKey
from pylon.model.job import Job, JobState
from pylon.model.wallet import Capabilities, InvoiceState, InvoiceStatus, IssuedInvoice
from pylon.ports.channels import Cell, Hint
from pylon.ports.keys import Preimages
from pylon.ports.outbox import OutboxReader, entry_of
from pylon.ports.records import Records, Row
from pylon.ports.wallet import Wallet, answers_within
from pylon.wire.locked import hash_of

log = logging.getLogger(__name__)

AT_ONCE = 32  # rows in the wallet's hands; it commits what they change in groups
PACE = Backoff(first=0.5, ceiling=30.0)  # between the times that the wallet is asked for one row


@frozen
class Cashier:
    """Carry out what concerns a job's one invoice; its id is the wallet's key.

    Where we choose the preimage it is derived from the job, so that an invoice made again is the
    same one. A row that the wallet cannot decide now waits alone, and others are served meanwhile.
    """

    records: Records[Job, JobState]
    wallet: Wallet
    able: Cell[Capabilities]
    preimages: Preimages
    me: PublicKey
    hint: Hint
    mail: trio.MemorySendChannel[Mail]
    _limit: trio.CapacityLimiter = field(factory=lambda: trio.CapacityLimiter(AT_ONCE), init=False)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        reader = OutboxReader(self.records, CASHIER)
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                for row in await reader.take():
                    nursery.start_soon(self._serve, row)
                await self.hint.wait()

    async def _serve(self, row: Row) -> None:
        entry, tries = entry_of(row), 0
        while True:
            async with self._limit:
                news = await self._attempt(row.subject, entry)
            if news is not None:
                await self.mail.send(AboutJob(row.subject, news, done=(row.seq,)))
                return
            tries += 1
            await trio.sleep(PACE.after(tries, fraction=1.0))

    async def _attempt(self, job: JobId, entry: Entry) -> News | None:
        """Carry an act out; None if the wallet has to be asked again."""
        try:
            with answers_within():
                return await self._carry_out(job, entry)
        except WalletUnavailable as exc:
            log.warning("job %s: the wallet is asked again: %s", job[:8], exc)
            return None

    async def _carry_out(self, job: JobId, entry: Entry) -> News | None:
        match entry:
            case MakeInvoice() | MakeHoldInvoice():
                return await self._make(job, entry)
            case SettleHold(preimage):
                payment_hash = hash_of(preimage)
                try:
                    return _ending(await self.wallet.settle_hold(preimage))
                except Misconfigured as exc:
                    return await self._look(payment_hash, why=exc)
            case CancelInvoice(payment_hash):
                try:
                    return _ending(await self.wallet.cancel_invoice(payment_hash))
                except Misconfigured as exc:
                    return await self._look(payment_hash, why=exc)
            case _:
                raise TypeError(f"{type(entry).__name__} is for another desk")

    async def _make(self, job: JobId, act: MakeInvoice | MakeHoldInvoice) -> News:
        try:
            match act:
                case MakeHoldInvoice(hold_seconds=hold_seconds):
                    invoice = await self._make_hold(job, act, hold_seconds)
                case MakeInvoice(knows_preimage=True):
                    invoice = await self._make_keyed(job, act)
                case _:
                    invoice = await self._make_plain(job, act, chosen=False)
        except (Misconfigured, BadInvoice) as exc:
            return InvoiceImpossible(str(exc))
        return InvoiceMade(invoice)

    async def _make_keyed(self, job: JobId, act: MakeInvoice) -> IssuedInvoice:
        """Make an invoice of which we know the preimage before it is paid; the wallet decides how."""
        able = self.able.value
        if able.chosen_preimage:
            return _checked(await self._make_plain(job, act, chosen=True))
        if able.tells_preimage:
            return _checked(await self._make_plain(job, act, chosen=False))
        if able.hold:  # it is settled as soon as it is paid
            return await self._make_hold(job, act, hold_seconds=SETTLE_SECONDS)
        raise Misconfigured("the wallet keeps preimages to itself")

    async def _make_plain(self, job: JobId, act: MakeInvoice, *, chosen: bool) -> IssuedInvoice:
        return await self.wallet.make_invoice(
            act.amount,
            description=description(job, self.me),
            expiry_seconds=act.expiry_seconds,
            preimage=self.preimages(job) if chosen else None,
            idempotency_key=job,
        )

    async def _make_hold(
        self, job: JobId, act: MakeInvoice | MakeHoldInvoice, hold_seconds: int
    ) -> IssuedInvoice:
        preimage = self.preimages(job)
        made = await self.wallet.make_hold_invoice(
            hash_of(preimage),
            act.amount,
            description=description(job, self.me),
            expiry_seconds=act.expiry_seconds,
            hold_seconds=hold_seconds,
        )
        return _checked(evolve(made, preimage=preimage))

    async def _look(self, payment_hash: PaymentHash, *, why: Misconfigured) -> News | None:
        """See what has become of an invoice about which the wallet does not take orders."""
        status = await self.wallet.lookup(payment_hash)
        if status is None:
            log.warning("an invoice is out of our hands: %s", why)
            return InvoiceClosed(payment_hash)  # it is another wallet's, and beyond us
        return _ending(status)


def _checked(invoice: IssuedInvoice) -> IssuedInvoice:
    """Raise `Misconfigured` for an invoice that its preimage does not open."""
    if invoice.preimage is None or hash_of(invoice.preimage) != invoice.payment_hash:
        raise Misconfigured("the wallet made an invoice whose preimage we do not have")
    return invoice


def _ending(status: InvoiceStatus) -> News | None:
    """Say how an invoice has ended; None if money may still come, or go back."""
    match status.state:
        case InvoiceState.SETTLED:
            return Paid(status.payment_hash)
        case InvoiceState.CANCELLED | InvoiceState.EXPIRED:
            return InvoiceClosed(status.payment_hash)
        case InvoiceState.OPEN | InvoiceState.ACCEPTED:
            return None
