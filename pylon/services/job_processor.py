"""The actor that owns every sold job's state."""

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence

import trio
from attrs import define, evolve, field

from pylon.core import admission, chat, job_machine
from pylon.core.job_machine import (
    Act,
    Answered,
    CancelAsked,
    Deliver,
    Say,
    Step,
    WorkFailed,
)
from pylon.core.mail import (
    AboutJob,
    CancelRead,
    InvoiceChanged,
    Mail,
    RefundRead,
    RequestRead,
    WorkDone,
)
from pylon.core.open_jobs import UNPAID_SECONDS, OpenJobs
from pylon.core.outbox import Entry, Post
from pylon.core.refunds import RefundTerms, read_refund
from pylon.errors import BadInvoice, Malformed, PeerFault
from pylon.model.event import Draft, Event
from pylon.model.ids import JobId, Preimage
from pylon.model.inference import Completion
from pylon.model.job import Encryption, Job, JobRequest, JobState, Working
from pylon.model.money import PayMode
from pylon.model.wallet import IssuedInvoice
from pylon.ports.channels import Hint, Inbox
from pylon.ports.clock import Clock
from pylon.ports.keys import Signer, conceal
from pylon.ports.records import Records
from pylon.ports.steps import Steps
from pylon.wire import event as events
from pylon.wire import jobs, locked

log = logging.getLogger(__name__)

GIVEN_UP = ("Unpaid", "Cancelled")  # by their customers, against whom they may count

JobSteps = Steps[Job, JobState]


@define
class JobProcessor:
    """Admit requests and advance jobs, a batch of mail at a time.

    State and the acts it causes are stored in one transaction before any desk is told, so a crash
    at any point repeats an act rather than forgetting it; every act is safe to repeat. Mail that
    could not be stored is processed again when the service is run again.
    """

    records: Records[Job, JobState]
    mail: trio.MemoryReceiveChannel[Mail]
    signer: Signer
    clock: Clock
    service: Callable[[], admission.Service]
    refund_terms: RefundTerms
    hints: Mapping[str, Hint]
    changed: Sequence[Hint]
    entropy: Callable[[int], bytes] = secrets.token_bytes
    _inbox: Inbox[Mail] = field(init=False)
    _open: OpenJobs = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._inbox = Inbox(self.mail)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Process mail until every sender has closed."""
        self._open = await self._take_stock()
        task_status.started()
        for hint in self.hints.values():
            hint.poke()  # what a failure has left untold
        while batch := await self._inbox.take():
            await self._handle(batch)
            self._inbox.done()

    async def _take_stock(self) -> OpenJobs:
        """Count what the store has; a step that could not be stored is forgotten with the rest."""
        found = OpenJobs()
        never_paid = int(self.clock.now()) - UNPAID_SECONDS
        for record in await self.records.in_phases(GIVEN_UP, since=never_paid):
            found.note(record.facts, record.state, record.updated_at)
        for record in (await self.records.load(await self.records.unfinished())).values():
            found.note(record.facts, record.state, record.updated_at)
        return found

    async def _handle(self, batch: list[Mail]) -> None:
        by_hash = await self._jobs_paid(batch)
        steps: JobSteps = Steps(self.records, int(self.clock.now()))
        await steps.fetch([id_ for mail in batch for id_ in _concerns(mail, by_hash)])
        for mail in batch:
            self._apply(steps, mail, by_hash)
        for desk in await steps.store():
            self.hints[desk].poke()
        for hint in self.changed:
            hint.poke()

    async def _jobs_paid(self, batch: list[Mail]) -> Mapping[str, JobId]:
        hashes = [m.status.payment_hash for m in batch if isinstance(m, InvoiceChanged)]
        return await self.records.find(hashes) if hashes else {}

    def _admit(self, steps: JobSteps, event: Event, request: JobRequest) -> None:
        """Begin a job for a request seen for the first time; a known one meets its job's state."""
        if steps.get(request.id) is not None:
            return
        now = int(self.clock.now())
        load, me = self._open.load(request.customer, now), self.signer.public_key
        match admission.admit(request, self.service(), load, me=me, now=now):
            case admission.Ignored():
                return
            case admission.Refusal(reason):
                job = admission.turned_away(event, request, now)
                self._take(steps, job, job_machine.refuse(reason), begins=True)
            case admission.Terms() as terms:
                job = admission.admitted(event, request, terms, now)
                self._take(steps, job, job_machine.begin(job, now), begins=True)

    def _apply(self, steps: JobSteps, mail: Mail, by_hash: Mapping[str, JobId]) -> None:
        match mail:
            case RequestRead(event, request):
                self._admit(steps, event, request)
            case AboutJob(job_id, news, done):
                self._advance(steps, job_id, news, done=done)
            case WorkDone():
                self._answer(steps, mail)
            case CancelRead():
                self._cancel(steps, mail)
            case RefundRead():
                self._refund(steps, mail)
            case InvoiceChanged(status):
                if (heard := job_machine.news_of(status)) is not None:
                    for job_id in _concerns(mail, by_hash):
                        self._advance(steps, job_id, heard)

    def _cancel(self, steps: JobSteps, mail: CancelRead) -> None:
        for job_id in mail.jobs:
            record = steps.get(job_id)
            if record is not None and record.facts.customer == mail.author:
                self._advance(steps, job_id, CancelAsked(), evidence=(mail.event,))

    def _refund(self, steps: JobSteps, mail: RefundRead) -> None:
        record = steps.get(mail.request.job)
        if record is None or record.facts.customer != mail.request.customer:
            return
        if not getattr(record.state, "owed", None):  # anybody may ask
            return
        try:
            news = read_refund(mail.request, self.refund_terms, int(self.clock.now()))
        except BadInvoice as fault:
            log.warning("job %s: a refund is asked for in vain: %s", record.id[:8], fault)
            return
        self._advance(steps, record.id, news, evidence=(mail.event,))

    def _answer(self, steps: JobSteps, mail: WorkDone) -> None:
        record = steps.get(mail.job)
        if record is None or not isinstance(record.state, Working):
            self._advance(steps, mail.job, WorkFailed("too late"), done=mail.done)
            return
        try:
            result = self._sign_result(record.facts, mail.completion, record.state.invoice)
        except PeerFault as fault:
            news = WorkFailed(f"the answer cannot be delivered: {fault}")
            self._advance(steps, mail.job, news, done=mail.done)
            return
        self._advance(steps, mail.job, Answered(result), done=mail.done, evidence=(result,))

    def _advance(
        self,
        steps: JobSteps,
        job_id: JobId,
        news: job_machine.News,
        *,
        done: tuple[int, ...] = (),
        evidence: tuple[Event, ...] = (),
    ) -> None:
        record = steps.get(job_id)
        if record is None:
            return
        step = job_machine.advance(record.facts, record.state, news, int(self.clock.now()))
        if step.state != record.state or step.acts or done:
            self._take(steps, record.facts, step, done=done, evidence=evidence)

    def _take(
        self,
        steps: JobSteps,
        job: Job,
        step: Step,
        *,
        begins: bool = False,
        done: tuple[int, ...] = (),
        evidence: tuple[Event, ...] = (),
    ) -> None:
        entries = [self._entry(job, act) for act in step.acts]
        offers = tuple(
            entry.event
            for act, entry in zip(step.acts, entries, strict=True)
            if isinstance(act, Say) and act.invoice is not None and isinstance(entry, Post)
        )
        state, invoice = step.state, job_machine.open_invoice(step.state)
        self._open.note(job, state, int(self.clock.now()))
        steps.take(
            job.id,
            state,
            entries,
            facts=job if begins else None,
            peer=job.customer,
            final=job_machine.is_final(state),
            due=job_machine.due(job, state),
            done=done,
            evidence=(*evidence, *offers),
            alias=None if invoice is None else invoice.payment_hash,
        )

    def _entry(self, job: Job, act: Act) -> Entry:
        """Turn what is to be said into a signed event; the same one goes out however often."""
        match act:
            case Say(status, text, invoice, refund):
                draft = jobs.write_feedback(
                    job.request,
                    status,
                    now=int(self.clock.now()),
                    text=text,
                    invoice=invoice,
                    mode=job.mode
                    if job.backend
                    else None,  # none was agreed with those turned away
                    refund=refund,
                )
                return Post(self.signer.sign(draft))
            case Deliver(result):
                return Post(result, tell=True)
            case _:
                return act

    def _sign_result(
        self, job: Job, completion: Completion, invoice: IssuedInvoice | None
    ) -> Event:
        """Sign a result that can be read everywhere; raise `Malformed` for what no event can hold."""
        said = evolve(completion, text=events.clean(completion.text))
        if not said.text.strip():
            raise Malformed("it is empty")
        text = said.text if job.kind != admission.CHAT_KIND else chat.write_answer(said)
        if invoice is not None and invoice.preimage and job.mode in job_machine.LOCKED_RESULT:
            draft = self._locked_result(job, text, invoice.preimage, invoice)
        else:
            draft = jobs.write_result(
                job.request,
                conceal(self.signer, text, job.customer, job.encryption),
                now=int(self.clock.now()),
                amount=None if job.mode is PayMode.FREE else job.price,
                mode=job.mode,
                encrypted=job.encryption is not Encryption.NONE,
            )
        result = self.signer.sign(draft)
        events.check_shape(result)
        return result

    def _locked_result(
        self, job: Job, text: str, preimage: Preimage, invoice: IssuedInvoice
    ) -> Draft:
        """Write a result that the payment opens; what is held already needs no invoice in it."""
        nonce = self.entropy(locked.NONCE_BYTES)
        me = self.signer.public_key
        payload = locked.lock(text, preimage, job=job.id, provider=me, nonce=nonce)
        return jobs.write_result(
            job.request,
            self.signer.encrypt(payload, job.customer),
            now=int(self.clock.now()),
            amount=job.price,
            bolt11=invoice.bolt11 if job.mode is PayMode.LOCKED else None,
            mode=job.mode,
            encrypted=True,
            locked=locked.describe(text, preimage),
        )


def _concerns(mail: Mail, by_hash: Mapping[str, JobId]) -> tuple[JobId, ...]:
    match mail:
        case RequestRead(request=request):
            return (request.id,)
        case CancelRead(jobs=named):
            return named
        case AboutJob(job=job_id) | WorkDone(job=job_id):
            return (job_id,)
        case RefundRead(request=request):
            return (request.job,)
        case InvoiceChanged(status):
            found = by_hash.get(status.payment_hash)
            return () if found is None else (found,)
