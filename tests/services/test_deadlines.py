"""Time becomes news when it is due: once, to the right one, and nobody spins meanwhile."""

from typing import Any

import trio
from attrs import evolve
from trio.testing import MockClock

from pylon.adapters.memory.clock import MemoryClock
from pylon.adapters.memory.records import MemoryRecords
from pylon.core import order_machine
from pylon.model.ids import JobId
from pylon.model.order import Order, OrderState, Published
from pylon.ports.channels import Hint
from pylon.ports.records import Change
from pylon.services.deadlines import Deadlines, Some
from tests.adapters.stores import samples
from tests.market.actors import working
from tests.nostr import NOW


class World:
    """Orders with deadlines, and what was told of them."""

    def __init__(self, mine: set[JobId] | None) -> None:
        self.records: MemoryRecords[Order, OrderState] = MemoryRecords()
        self.clock = MemoryClock(NOW - trio.current_time())
        self.changed = Hint()
        self.mail_in, self.mail = trio.open_memory_channel[JobId](99)
        self.looks = 0
        due = order_machine.due
        some = None if mine is None else Some(mine, lambda r: due(r.facts, r.state))
        self.service: Deadlines[JobId] = Deadlines(
            self, self.clock, self.changed, self.mail_in, lambda id_: id_, some
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.records, name)

    async def due(self, now: int) -> list[JobId]:
        self.looks += 1
        return await self.records.due(now)

    async def add(self, number: int, deadline: int) -> JobId:
        order = evolve(samples.order(number), deadline=deadline)
        await self.records.save([Change(order.id, Published(), NOW, facts=order, due=deadline)])
        self.changed.poke()
        return order.id

    async def settle(self, id_: JobId) -> None:
        await self.records.save([Change(id_, Published(), NOW)])
        self.changed.poke()

    async def next(self) -> tuple[JobId, float]:
        return await self.mail.receive(), self.clock.now() - NOW


async def test_each_is_told_at_its_time(autojump_clock: MockClock) -> None:
    world = World(None)
    late, soon = await world.add(1, NOW + 50), await world.add(2, NOW + 10)
    async with working(world.service.run):
        assert await world.next() == (soon, 10)
        await world.settle(soon)
        assert await world.next() == (late, 50)


async def test_a_deadline_that_comes_while_another_is_waited_for_is_not_missed(
    autojump_clock: MockClock,
) -> None:
    world = World(None)
    await world.add(1, NOW + 500)
    async with working(world.service.run):
        await trio.sleep(5)
        sooner = await world.add(2, NOW + 7)
        assert await world.next() == (sooner, 7)


async def test_what_stays_due_is_told_again_but_not_at_once(autojump_clock: MockClock) -> None:
    world = World(None)
    overdue = await world.add(1, NOW - 5)
    async with working(world.service.run):
        assert [await world.next() for _ in range(3)] == [(overdue, when) for when in (0, 1, 2)]


async def test_what_others_drive_and_left_overdue_keeps_nobody_busy(
    autojump_clock: MockClock,
) -> None:
    mine: set[JobId] = {samples.job_id(2)}
    world = World(mine)
    await world.add(1, NOW - 1_000)
    ours = await world.add(2, NOW + 30)
    async with working(world.service.run):
        assert await world.next() == (ours, 30)
        await world.settle(ours)
        await trio.sleep(1_000)
        assert world.looks < 20
        foreign = samples.job_id(1)
        mine.add(foreign)
        world.changed.poke()
        assert await world.next() == (foreign, 1_030)
