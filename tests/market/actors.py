"""Single services at work, for tests that need no market."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import trio

from pylon.core import job_machine
from pylon.core.outbox import Entry
from pylon.model.event import Event
from pylon.model.ids import JobId
from pylon.model.inference import Message, Prompt
from pylon.model.job import Encryption, Job, JobState
from pylon.model.money import ZERO, Msat, PayMode
from pylon.model.order import Order, OrderState
from pylon.ports.outbox import new_row
from pylon.ports.records import Change
from pylon.services.supervisor import RestartPolicy, Service, Vitals, supervise
from tests.nostr import NOW, note

SECONDS = 100_000


@asynccontextmanager
async def working(*services: Service) -> AsyncGenerator[list[Vitals], None]:
    """Run services, supervised, until the block ends; whoever hangs in it fails."""
    policy, vitals = RestartPolicy(fraction=lambda: 0.0), []
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            for number, service in enumerate(services):
                vitals.append(Vitals(str(number)))
                await nursery.start(_supervised, service, policy, vitals[-1])
            yield vitals
            nursery.cancel_scope.cancel()


async def _supervised(
    service: Service,
    policy: RestartPolicy,
    vitals: Vitals,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    await supervise(service, policy, vitals=vitals, task_status=task_status)


def a_job(number: int = 1, **changes: Any) -> Job:
    """Make a job that was admitted."""
    request = changes.pop("request", None) or note(f"job {number}", kind=5050, by=4)
    facts: dict[str, Any] = {
        "prompt": Prompt((Message("user", "What is 2+2?"),)),
        "backend": "llamacpp",
        "model": "qwen",
        "mode": PayMode.FREE,
        "price": ZERO,
        "encryption": Encryption.NONE,
        "accepted_at": NOW,
        "offer_seconds": 600,
        "work_seconds": 300,
    }
    return Job(JobId(request.id), request, **(facts | changes))


def a_paid_job(number: int = 1) -> Job:
    return a_job(number, mode=PayMode.PREPAY, price=Msat(12_000))


def begun(job: Job, state: JobState, *acts: Entry) -> Change[Job, JobState]:
    """Make the change that begins a job in the midst of its life."""
    return Change(
        job.id,
        state,
        NOW,
        facts=job,
        peer=job.customer,
        final=job_machine.is_final(state),
        due=job_machine.due(job, state),
        acts=tuple(map(new_row, acts)),
    )


def step(
    order: Order, state: OrderState, *acts: Entry, begins: bool = False, due: int | None = None
) -> Change[Order, OrderState]:
    """Make a step of an order."""
    rows = tuple(map(new_row, acts))
    return Change(order.id, state, NOW, facts=order if begins else None, acts=rows, due=due)


def a_result(job: Job, text: str = "four") -> Event:
    return note(text, ("e", job.id), kind=6050, by=2)
