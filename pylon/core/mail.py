"""What reaches the job processor: requests read from relays, and news of jobs it has."""

from typing import TypeAlias

from attrs import frozen

from pylon.core.job_machine import News
from pylon.model.event import Event
from pylon.model.ids import JobId, PublicKey
from pylon.model.inference import Completion
from pylon.model.job import Job, JobRequest
from pylon.model.wallet import InvoiceStatus
from pylon.wire.jobs import RefundRequest


@frozen
class RequestRead:
    """Somebody asks for work; the event is verified and its request well formed."""

    event: Event
    request: JobRequest


@frozen
class CancelRead:
    """Somebody calls off jobs, perhaps not their own."""

    author: PublicKey
    jobs: tuple[JobId, ...]
    event: Event


@frozen
class AboutJob:
    """News of one job. `done` are the outbox rows that it answers."""

    job: JobId
    news: News
    done: tuple[int, ...] = ()


@frozen
class WorkDone:
    """A backend has answered; the result is to be signed and stored."""

    job: JobId
    completion: Completion
    done: tuple[int, ...] = ()


@frozen
class InvoiceChanged:
    """The wallet tells of an invoice of ours, ours by its payment hash."""

    status: InvoiceStatus


@frozen
class RefundRead:
    """A customer asks for its money back, perhaps for no job of theirs."""

    event: Event
    request: RefundRequest


Mail: TypeAlias = RequestRead | CancelRead | AboutJob | WorkDone | InvoiceChanged | RefundRead


@frozen
class Partial:
    """A piece of an answer in the making; `number` orders the pieces of one job from 0."""

    job: Job
    number: int
    text: str
