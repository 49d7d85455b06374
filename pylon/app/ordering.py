"""Buying for one command: a home opened as a buyer, orders placed, followed and read."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from math import inf
from secrets import token_hex

import trio
from attrs import evolve, frozen

from pylon.adapters.home import Home
from pylon.app.budget import refuse_uncapped
from pylon.app.buyer import Buyer, BuyerParts, open_buyer
from pylon.app.node import Opened, open_relays
from pylon.app.store import Store, open_store
from pylon.app.wallet import open_wallet
from pylon.core.answers import read_text
from pylon.core.order_machine import CancelAsked, is_final, is_owed
from pylon.core.order_mail import OrderChanged
from pylon.core.ordering import Wish, draft_request, make_order
from pylon.core.outbox import COLLECTOR, ORDER_DESK, PUBLISHER, TREASURER
from pylon.errors import InUse, Misconfigured
from pylon.model.ids import EventId, JobId
from pylon.model.job import Encryption
from pylon.model.order import Disputed, Done, Order, OrderState, Reclaiming
from pylon.ports.clock import Clock
from pylon.ports.keys import Signer
from pylon.ports.outbox import new_row
from pylon.ports.records import Record
from pylon.wire import jobs

LATE_SECONDS = 5.0  # how long after its deadline an order may take to end
LAST_WORD_SECONDS = 1.0  # how long a relay may take to take it
HEED_SECONDS = 0.25  # how often a process that drives an order looks whether it is called off
LOOK_SECONDS = 0.05  # how often the store is asked whether another process has changed it
SALT_BYTES = 8
SHORTEST_PREFIX = 4
KNOWN_ORDERS = 10_000  # how many of the latest orders a shortened id is looked for among


@frozen
class Desk:
    """A home that can buy, and its memory."""

    home: Home
    buyer: Buyer
    store: Store
    clock: Clock

    def now(self) -> float:
        """Return unix seconds."""
        return self.clock.now()

    def lock(self, job: JobId) -> AbstractContextManager[None]:
        """Be the only process that drives an order; raise `InUse` where another is."""
        return lock_order(self.home, job)


@asynccontextmanager
async def open_desk(
    opened: Opened, *, since: int, relays: Sequence[str] = ()
) -> AsyncGenerator[Desk, None]:
    """Open a home for buying; `relays` stand in for the configured ones.

    What providers owe from earlier orders is asked back meanwhile.
    """
    config = opened.config
    if relays:
        config = evolve(config, relay=evolve(config.relay, urls=tuple(relays)))
        opened = evolve(opened, config=config)
    refuse_uncapped(config, opened.identity.network)
    opened.home.create()
    async with (
        open_store(opened.home.database) as store,
        open_wallet(opened.home, config, opened.identity, clock=opened.clock) as wallet,
        open_relays(opened, store) as pool,
        open_buyer(
            BuyerParts(config, opened.identity.signer, store, wallet, pool, opened.clock),
            since=since,
        ) as buyer,
    ):
        desk = Desk(opened.home, buyer, store, opened.clock)
        for ended in await _unsettled(store):
            await buyer.resume(ended)
        with ExitStack() as locks:
            for record in await store.orders.in_phases(("Reclaiming",)):
                await reclaim(desk, record.id, locks)
            yield desk


def lock_order(home: Home, job: JobId) -> AbstractContextManager[None]:
    """Be the only process of a home that drives an order; raise `InUse` where another is."""
    return home.lock(f"order-{job[:16]}")


async def reclaim(desk: Desk, job: JobId, locks: ExitStack) -> None:
    """Go on getting back what is owed for an order, unless another process is at it."""
    if job in desk.buyer.mine:
        return
    try:
        locks.enter_context(desk.lock(job))
    except InUse:
        return
    await desk.buyer.reclaim(job)


async def _unsettled(store: Store) -> list[JobId]:
    """Return the ended orders that a crash kept from booking their money, or from saying their end.

    Who is not told that an order is off goes on working for it.
    """
    rows = [row for desk in (TREASURER, PUBLISHER) for row in await store.orders.outbox(desk)]
    records = await store.orders.load([row.subject for row in rows])
    return [record.id for record in records.values() if is_final(record.state)]


def prepare(opened: Opened, wish: Wish) -> Order:
    """Make and sign the order of a wish; nothing is stored or sent yet. Raises `Misconfigured`."""
    now = int(opened.clock.now())
    config, signer = opened.config.buyer, opened.identity.signer
    draft = draft_request(wish, config, now)
    # The same question asked twice in one second is two orders, and must not be one event.
    draft = evolve(draft, tags=(*draft.tags, ("salt", token_hex(SALT_BYTES))))
    if wish.encrypted and wish.provider is not None:
        draft, hidden = jobs.hide_request(draft)
        draft = evolve(draft, content=signer.encrypt(hidden, wish.provider))
    request = signer.sign(draft)
    return make_order(wish, request, config, network=opened.identity.network, now=now)


async def ordered_as(opened: Opened, key: str) -> JobId | None:
    """Return the order that was begun with an idempotency key, if there is one."""
    async with open_store(opened.home.database) as store:
        return (await store.orders.find([key])).get(key)
    raise AssertionError("the store swallows no exception")


async def place(desk: Desk, order: Order, key: str | None) -> JobId:
    """Begin an order, unless another has its idempotency key; return the id of the one that has."""
    await desk.buyer.submit(order, key=key)
    if key is None:
        return order.id
    while not (known := await desk.store.orders.find([key])):
        await desk.clock.sleep_until(desk.now() + LOOK_SECONDS)
    return known[key]


async def find_order(store: Store, text: str) -> Record[Order, OrderState]:
    """Find an order by its id or the beginning of it; raise `Misconfigured`."""
    prefix = text.strip().lower()
    exact = JobId(EventId(prefix))
    found = (await store.orders.load([exact])).get(exact)
    if found is not None:
        return found
    latest = await store.orders.recent(limit=KNOWN_ORDERS)
    matches = [record for record in latest if record.id.startswith(prefix)]
    if len(prefix) < SHORTEST_PREFIX:
        raise Misconfigured(
            f"no job {text!r}: give {SHORTEST_PREFIX} characters of its id, or more"
        )
    if not matches:
        raise Misconfigured(f"no job {text!r} was ordered from this home: see `pylon job list`")
    if len(matches) > 1:
        raise Misconfigured(f"{text!r} begins the ids of {len(matches)} jobs; write more of it")
    return matches[0]


async def answer_text(
    store: Store, signer: Signer, record: Record[Order, OrderState]
) -> str | None:
    """Return the text of an order's answer; None while there is none. Raises `PeerFault`."""
    if not isinstance(record.state, Done):
        return None
    state = record.state
    result = state.answer.result
    event = next((e for e in await store.orders.evidence(record.id) if e.id == result), None)
    if event is None:
        return None
    hidden = None
    if jobs.encryption_of(event) is not Encryption.NONE:
        hidden = signer.decrypt(event.content, event.pubkey)
    return read_text(event, hidden, state.preimage)


async def wait_for_other(desk: Desk, job: JobId) -> OrderState:
    """Wait while another process drives an order; return its state at the end, or at its deadline."""
    records, version = desk.store.orders, None
    while True:
        current = await records.version()
        if current != version:
            version = current
            record = (await records.load([job]))[job]
            if is_final(record.state):
                return record.state
        if desk.now() > record.facts.deadline + LATE_SECONDS:
            return record.state
        await desk.clock.sleep_until(desk.now() + LOOK_SECONDS)


async def wind_up(desk: Desk, job: JobId) -> None:
    """See an order's last acts done, so that nothing stays reserved and providers know its end."""
    patience = (
        (TREASURER, LATE_SECONDS),
        (COLLECTOR, LATE_SECONDS),
        (PUBLISHER, LAST_WORD_SECONDS),
    )
    for outbox_of, seconds in patience:
        with trio.move_on_after(seconds):
            while await desk.store.orders.outbox(outbox_of, subject=job):
                await desk.clock.sleep_until(desk.now() + LOOK_SECONDS)


async def cancelled(desk: Desk, job: JobId) -> OrderState:
    """Call an order off and see the word of it off to a relay; return how the order stands then."""
    await desk.buyer.resume(job)
    await desk.buyer.cancel(job)
    with trio.move_on_after(LATE_SECONDS):  # an order that cannot be called off does not change
        async for item in desk.buyer.progress:
            if item.order_id == job and isinstance(item, OrderChanged) and is_final(item.state):
                break
    await wind_up(desk, job)
    return (await desk.store.orders.load([job]))[job].state


async def heed(desk: Desk, job: JobId) -> None:
    """Do, until cancelled, what other processes ask of the order that this one drives."""
    records, version, heeded = desk.store.orders, None, 0
    while True:
        current = await records.version()
        if current != version:
            version = current
            for row in await records.outbox(ORDER_DESK, after=heeded, subject=job):
                heeded = row.seq
                await desk.buyer.cancel(job, done=(row.seq,))
        await desk.clock.sleep_until(desk.now() + HEED_SECONDS)


async def cancel_elsewhere(store: Store, clock: Clock, job: JobId) -> OrderState:
    """Ask the process that drives an order to call it off; return how it stands a little later."""
    await store.orders.ask(job, new_row(CancelAsked()))
    until = clock.now() + LATE_SECONDS
    state = (await store.orders.load([job]))[job].state
    while clock.now() < until and not is_final(state):
        await clock.sleep_until(clock.now() + LOOK_SECONDS)
        state = (await store.orders.load([job]))[job].state
    return state


async def owed(store: Store) -> list[Record[Order, OrderState]]:
    """Return the orders for which a provider has promised money back, the oldest first."""
    found = await store.orders.in_phases(("Reclaiming", "Disputed"))
    return [record for record in found if is_owed(record.state)]


async def ask_back(
    desk: Desk, jobs_: Sequence[JobId], *, seconds: float | None
) -> list[Record[Order, OrderState]]:
    """Ask for what was paid for these orders and not answered; return how they stand in the end.

    Waits, for so many seconds at most (None: however long it takes), until each is settled. One
    whose provider has promised nothing may still hear that it does.
    """
    with ExitStack() as locks:
        for record in (await desk.store.orders.load(jobs_)).values():
            if is_owed(record.state):
                await reclaim(desk, record.id, locks)
            elif isinstance(record.state, Disputed):
                locks.enter_context(desk.lock(record.id))
                await desk.buyer.resume(record.id)
        with trio.move_on_after(inf if seconds is None else seconds):
            while any(map(_may_come_back, (await desk.store.orders.load(jobs_)).values())):
                await desk.clock.sleep_until(desk.now() + LOOK_SECONDS)
        for job in jobs_:
            await wind_up(desk, job)
    found = await desk.store.orders.load(jobs_)
    return [found[job] for job in jobs_]


def _may_come_back(record: Record[Order, OrderState]) -> bool:
    return isinstance(record.state, Reclaiming | Disputed)
