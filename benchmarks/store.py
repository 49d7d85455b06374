"""How many durable steps of machines the store takes a second: `python -m benchmarks.store`.

Every commit is synced. The limit is APSW alone: the same rows in the same transactions, in one
thread, with the JSON made beforehand.
"""

import secrets
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import apsw
import trio

from benchmarks.rows import Row, show
from pylon.adapters.sqlite import changes
from pylon.adapters.sqlite.connection import connect, migrate
from pylon.adapters.sqlite.schema import MIGRATIONS
from pylon.adapters.sqlite.statements import Statements
from pylon.app.store import Store, open_store
from pylon.model.event import Event
from pylon.model.ids import EventId, JobId, PaymentHash, PublicKey
from pylon.model.inference import Message, Prompt
from pylon.model.job import Encryption, Job, JobState, Settled, Working
from pylon.model.money import ZERO, Msat, PayMode
from pylon.ports.budget import NODE, Caps, Purpose
from pylon.ports.records import Change, NewRow

NOW = 1_700_000_000
JOBS = 5_000
BATCH = 50
STEPS = 3  # a job that nobody pays for: begun, answered, published
TASKS = 50
ROUNDS = 3

JobChange = Change[Job, JobState]


def measure() -> list[Row]:
    """Return the rates, the store's beside the database's."""
    lives = [life(n) for n in range(JOBS)]
    batches = [lives[n : n + BATCH] for n in range(0, JOBS, BATCH)]
    limit = max(bare(batches) for _ in range(ROUNDS))
    jobs = max(timed(JOBS, lambda store: in_batches(store, batches)) for _ in range(ROUNDS))
    size = len(lives[0][0].facts.prompt.messages[0].content) if lives[0][0].facts else 0
    life_is = f"{STEPS} saves, {size} byte prompt twice, 4 acts in and out, {BATCH} jobs a save"
    return [
        Row("store job", jobs, life_is, limit),
        Row("store transition", jobs * STEPS, "the same, a step each", limit * STEPS),
        Row("store lone step", timed(JOBS, one_by_one), f"{TASKS} tasks, one change a save"),
        Row("store load", timed(JOBS, loads), "one job by id, beside 1 other"),
        Row("store payment", timed(2_000, payments), f"reserve and spend, caps, {TASKS} tasks"),
    ]


def life(n: int) -> tuple[JobChange, JobChange, JobChange]:
    """Return all steps of one job; its acts have the seqs that its turn gives them."""
    turn, place = divmod(n, BATCH)
    first = turn * BATCH * 4 + place * 2 + 1
    begun, answered = (first, first + 1), (first + 2 * BATCH, first + 2 * BATCH + 1)
    job = make_job()
    act = NewRow("publisher", "Post", '{"event":"' + "x" * 500 + '"}')
    settled = Settled(job.request.id)
    return (
        Change(
            job.id, Working(NOW + n), NOW, facts=job, peer=job.customer, due=NOW, acts=(act,) * 2
        ),
        Change(job.id, Working(NOW), NOW, due=NOW, acts=(act,) * 2, done=begun),
        Change(job.id, settled, NOW + 1, final=True, done=answered),
    )


def make_job() -> Job:
    prompt = "What is 2+2? " * 30
    request = Event(
        EventId(secrets.token_hex(32)),
        PublicKey(f"{secrets.randbelow(100):064x}"),
        NOW,
        5050,
        (("i", prompt, "text"), ("bid", "1000")),
        "",
        "5" * 128,
    )
    return Job(
        id=JobId(request.id),
        request=request,
        prompt=Prompt((Message("user", prompt),), max_tokens=256),
        backend="embedded",
        model="smollm2-135m-instruct",
        mode=PayMode.FREE,
        price=ZERO,
        encryption=Encryption.NONE,
        accepted_at=NOW,
        offer_seconds=60,
        work_seconds=60,
    )


def timed(count: int, work: Callable[[Store], Awaitable[object]]) -> float:
    """Return how many of `count` are done a second on a new store."""

    async def run(path: Path) -> float:
        async with open_store(path) as store:
            start = time.perf_counter()
            await work(store)
            return count / (time.perf_counter() - start)

    with tempfile.TemporaryDirectory() as folder:
        return trio.run(run, Path(folder, "pylon.db"))


async def in_batches(
    store: Store, batches: Sequence[Sequence[tuple[JobChange, JobChange, JobChange]]]
) -> None:
    for batch in batches:
        for step in zip(*batch, strict=True):
            await store.jobs.save(step)
    assert await store.jobs.outbox("publisher") == []
    assert await store.jobs.unfinished() == []


async def one_by_one(store: Store) -> None:
    job = make_job()
    await store.jobs.save([Change(job.id, Working(NOW), NOW, facts=job)])

    async def task() -> None:
        for _ in range(JOBS // TASKS):
            await store.jobs.save([Change(job.id, Working(NOW), NOW)])

    async with trio.open_nursery() as nursery:
        for _ in range(TASKS):
            nursery.start_soon(task)


async def loads(store: Store) -> None:
    jobs = [make_job(), make_job()]
    await store.jobs.save([Change(job.id, Working(NOW), NOW, facts=job) for job in jobs])
    for _ in range(JOBS):
        await store.jobs.load([jobs[0].id])


async def payments(store: Store) -> None:
    limits = {NODE: Caps(per_job=Msat(10**6), per_day=Msat(10**12), total=Msat(10**12))}

    async def task() -> None:
        for _ in range(2_000 // TASKS):
            payment, order = (
                PaymentHash(secrets.token_hex(32)),
                JobId(EventId(secrets.token_hex(32))),
            )
            amount, fee = Msat(10_000), Msat(100)
            refusal = await store.budget.reserve(
                payment, Purpose(order), amount=amount, fee=fee, limits=limits, now=NOW
            )
            assert refusal is None
            await store.budget.spend(payment, amount=amount, fee=ZERO, now=NOW)

    async with trio.open_nursery() as nursery:
        for _ in range(TASKS):
            nursery.start_soon(task)


def bare(batches: Sequence[Sequence[tuple[JobChange, JobChange, JobChange]]]) -> float:
    """Return the jobs a second of APSW with nothing round it."""
    sql = Statements().on("jobs")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pylon.db")
        db = connect(path)
        migrate(db, path, MIGRATIONS)
        written = [
            [[changes.write(change) for change in step] for step in zip(*batch, strict=True)]
            for batch in batches
        ]
        start = time.perf_counter()
        for turn, steps in enumerate(written):
            for rows in steps:
                db.execute("BEGIN IMMEDIATE")
                insert(db, sql, turn * BATCH + 1, rows)
                db.execute("COMMIT")
        seconds = time.perf_counter() - start
        assert db.execute("SELECT count(*) FROM jobs WHERE final = 1").get == JOBS
        assert db.execute("SELECT count(*) FROM jobs_outbox").get == 0
        db.close()
    return JOBS / seconds


def insert(
    db: apsw.Connection, sql: Statements, first: int, rows: Sequence[changes.Written]
) -> None:
    numbered = list(enumerate(rows, first))
    if rows[0].facts is not None:
        db.executemany(sql.begin, [(*row.step, row.change.id, n) for n, row in numbered])
        db.executemany(sql.keep_facts, [(n, row.facts) for n, row in numbered])
    else:
        db.executemany(sql.step, [(*row.step, n) for n, row in numbered])
    db.executemany(sql.drop, [(seq,) for row in rows for seq in row.change.done])
    acts = [(n, act) for n, row in numbered for act in row.change.acts]
    db.executemany(sql.post, [(n, act.desk, act.kind, act.body) for n, act in acts])


if __name__ == "__main__":
    show(measure())
