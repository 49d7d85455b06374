"""Explaining a job of this home, bought or sold, from its memory and the events it has kept."""

from attrs import evolve

from pylon.app.ordering import KNOWN_ORDERS, SHORTEST_PREFIX
from pylon.app.store import Store
from pylon.core.explain.job import explain_job
from pylon.core.explain.order import explain_order
from pylon.core.explain.story import Explanation
from pylon.errors import Misconfigured
from pylon.model.ids import EventId, JobId
from pylon.model.job import Job, JobState
from pylon.model.money import show_sats
from pylon.model.order import Order, OrderState
from pylon.ports.records import F, Record, Records, S

BOUGHT, SOLD = "bought", "sold"


async def explain(store: Store, text: str, *, now: int) -> list[tuple[str, JobId, Explanation]]:
    """Explain what was bought, or sold, under an id or the beginning of it; perhaps both.

    Raises:
        Misconfigured: if no job begins like that, or several do.
    """
    orders, jobs = await _matching(store.orders, text), await _matching(store.jobs, text)
    if not orders and not jobs:
        raise Misconfigured(f"no job {text!r} was ordered from this home, or asked of it")
    if len(orders) > 1 or len(jobs) > 1:
        count = max(len(orders), len(jobs))
        raise Misconfigured(f"{text!r} begins the ids of {count} jobs; write more of it")
    return [
        *[(BOUGHT, order.id, await _bought(store, order, now)) for order in orders],
        *[(SOLD, job.id, await _sold(store, job)) for job in jobs],
    ]


async def _matching(records: Records[F, S], text: str) -> list[Record[F, S]]:
    prefix = text.strip().lower()
    exact = await records.load([JobId(EventId(prefix))])
    if exact:
        return list(exact.values())
    if len(prefix) < SHORTEST_PREFIX:
        raise Misconfigured(
            f"no job {text!r}: give {SHORTEST_PREFIX} characters of its id, or more"
        )
    latest = await records.recent(limit=KNOWN_ORDERS)
    return [record for record in latest if record.id.startswith(prefix)]


async def _bought(store: Store, record: Record[Order, OrderState], now: int) -> Explanation:
    told = explain_order(
        record.facts,
        record.state,
        history=[(m.at, m.phase, m.words) for m in await store.orders.history(record.id)],
        events=await store.orders.evidence(record.id),
        now=now,
    )
    held = [
        (f"set aside for {payment_hash[:8]}", show_sats(entry.committed))
        for payment_hash, entry in (await store.budget.reserved()).items()
        if entry.purpose.order == record.id
    ]
    return evolve(told, facts=(*told.facts, *held))


async def _sold(store: Store, record: Record[Job, JobState]) -> Explanation:
    return explain_job(
        record.facts,
        record.state,
        history=[(m.at, m.phase, m.words) for m in await store.jobs.history(record.id)],
        events=await store.jobs.evidence(record.id),
    )
