"""The actor that owns every sold job's state."""

from collections.abc import Callable, Mapping, Sequence

import trio
from attrs import define, evolve, field

from pylon.core import admission, chat, job_machine
from pylon.core.job_machine import (
    Act,
    Answered,
    CancelAsked,
    Deliver,
    Paid,
    Say,
    Step,
    WorkFailed,
)
from pylon.core.mail import AboutJob, CancelRead, InvoiceChanged, Mail, RequestRead, WorkDone
from pylon.core.outbox import Entry, Post
from pylon.errors import Malformed, PeerFault
from pylon.model.event import Event
from pylon.model.ids import JobId, PublicKey
from pylon.model.inference import Completion, Prompt
from pylon.model.job import Encryption, Job, JobRequest, JobState, Offered, Working
from pylon.model.money import ZERO, PayMode
from pylon.model.wallet import InvoiceState
from pylon.ports.channels import Hint, Inbox
from pylon.ports.clock import Clock
from pylon.ports.keys import Signer, conceal
from pylon.ports.records import Records
from pylon.ports.steps import Steps
from pylon.wire import event as events
from pylon.wire import jobs

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
    hints: Mapping[str, Hint]
    changed: Sequence[Hint]
    _inbox: Inbox[Mail] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._inbox = Inbox(self.mail)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Process mail until every sender has closed."""
        task_status.started()
        for hint in self.hints.values():
            hint.poke()  # what a failure has left untold
        while batch := await self._inbox.take():
            await self._handle(batch)
            self._inbox.done()

    async def _handle(self, batch: list[Mail]) -> None:
        by_hash = await self._jobs_paid(batch)
        steps: JobSteps = Steps(self.records, int(self.clock.now()))
        await steps.fetch([id_ for mail in batch for id_ in _concerns(mail, by_hash)])
        door = await self._open_door(batch)
        for mail in batch:
            if isinstance(mail, RequestRead):
                self._admit(steps, door, mail.event, mail.request)
            else:
                self._apply(steps, mail, by_hash)
        for desk in await steps.store():
            self.hints[desk].poke()
        for hint in self.changed:
            hint.poke()

    async def _jobs_paid(self, batch: list[Mail]) -> Mapping[str, JobId]:
        hashes = [m.status.payment_hash for m in batch if isinstance(m, InvoiceChanged)]
        return await self.records.find(hashes) if hashes else {}

    async def _open_door(self, batch: list[Mail]) -> "_Door":
        """Look once for the whole batch at what admission depends on."""
        customers = {mail.request.customer for mail in batch if isinstance(mail, RequestRead)}
        if not customers:
            return _Door(self.service(), {}, 0)
        open_jobs = await self.records.open_per_peer(list(customers))
        queued = await self.records.open_in(("Working",))
        return _Door(self.service(), open_jobs, queued)

    def _admit(self, steps: JobSteps, door: "_Door", event: Event, request: JobRequest) -> None:
        """Begin a job for a request seen for the first time; a known one meets its job's state."""
        if steps.get(request.id) is not None:
            return
        now = int(self.clock.now())
        load, me = door.load(request.customer), self.signer.public_key
        match admission.admit(request, door.service, load, me=me, now=now):
            case admission.Ignored():
                return
            case admission.Refusal(reason):
                job = _turned_away(event, request, now)
                self._take(steps, job, job_machine.refuse(reason), begins=True)
            case admission.Terms() as terms:
                job = _admitted(event, request, terms, now)
                door.entered(request.customer)
                self._take(steps, job, job_machine.begin(job, now), begins=True)

    def _apply(self, steps: JobSteps, mail: Mail, by_hash: Mapping[str, JobId]) -> None:
        match mail:
            case AboutJob(job_id, news, done):
                self._advance(steps, job_id, news, done=done)
            case WorkDone():
                self._answer(steps, mail)
            case CancelRead():
                self._cancel(steps, mail)
            case InvoiceChanged(status) if status.state is InvoiceState.SETTLED:
                for job_id in _concerns(mail, by_hash):
                    self._advance(steps, job_id, Paid(status.payment_hash))
            case _:
                return

    def _cancel(self, steps: JobSteps, mail: CancelRead) -> None:
        for job_id in mail.jobs:
            record = steps.get(job_id)
            if record is not None and record.facts.customer == mail.author:
                self._advance(steps, job_id, CancelAsked(), evidence=(mail.event,))

    def _answer(self, steps: JobSteps, mail: WorkDone) -> None:
        record = steps.get(mail.job)
        if record is None or not isinstance(record.state, Working):
            self._advance(steps, mail.job, WorkFailed("too late"), done=mail.done)
            return
        try:
            result = self._sign_result(record.facts, mail.completion)
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
        if step.state != record.state or done:
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
        state = step.state
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
            alias=state.invoice.payment_hash if isinstance(state, Offered) else None,
        )

    def _entry(self, job: Job, act: Act) -> Entry:
        """Turn what is to be said into a signed event; the same one goes out however often."""
        match act:
            case Say(status, text, invoice):
                draft = jobs.write_feedback(
                    job.request,
                    status,
                    now=int(self.clock.now()),
                    text=text,
                    invoice=invoice,
                    mode=job.mode
                    if job.backend
                    else None,  # none was agreed with those turned away
                )
                return Post(self.signer.sign(draft))
            case Deliver(result):
                return Post(result, tell=True)
            case _:
                return act

    def _sign_result(self, job: Job, completion: Completion) -> Event:
        """Sign a result that can be read everywhere; raise `Malformed` for what no event can hold."""
        said = evolve(completion, text=events.clean(completion.text))
        if not said.text.strip():
            raise Malformed("it is empty")
        text = said.text if job.kind != admission.CHAT_KIND else chat.write_answer(said)
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


@define
class _Door:
    """What admission looks at, kept up to date within one batch."""

    service: admission.Service
    open_jobs: dict[str, int]
    queued: int

    def load(self, customer: PublicKey) -> admission.Load:
        return admission.Load(open_jobs=self.open_jobs.get(customer, 0), queued=self.queued)

    def entered(self, customer: PublicKey) -> None:
        self.open_jobs[customer] = self.open_jobs.get(customer, 0) + 1
        self.queued += 1


def _concerns(mail: Mail, by_hash: Mapping[str, JobId]) -> tuple[JobId, ...]:
    match mail:
        case RequestRead(request=request):
            return (request.id,)
        case CancelRead(jobs=named):
            return named
        case AboutJob(job=job_id) | WorkDone(job=job_id):
            return (job_id,)
        case InvoiceChanged(status):
            found = by_hash.get(status.payment_hash)
            return () if found is None else (found,)


def _admitted(event: Event, request: JobRequest, terms: admission.Terms, now: int) -> Job:
    return Job(
        id=request.id,
        request=event,
        prompt=terms.prompt,
        backend=terms.backend,
        model=terms.model,
        mode=terms.mode,
        price=terms.price,
        encryption=request.encryption,
        accepted_at=now,
        offer_seconds=terms.offer_seconds,
        work_seconds=terms.work_seconds,
        streaming=terms.streaming,
    )


def _turned_away(event: Event, request: JobRequest, now: int) -> Job:
    """Remember whom we refused, but not what they sent: strangers could fill the disk with it."""
    return Job(
        id=request.id,
        request=evolve(event, tags=(), content=""),
        prompt=Prompt(()),
        backend="",
        model="",
        mode=PayMode.FREE,
        price=ZERO,
        encryption=request.encryption,
        accepted_at=now,
        offer_seconds=0,
        work_seconds=0,
    )
