"""Sleeping until a moment, whatever the wall clock does meanwhile."""

import time

import pytest
import trio
from trio.testing import MockClock

from pylon.adapters.clock import SLICE_SECONDS, SystemClock
from pylon.adapters.memory.clock import MemoryClock


async def test_the_memory_clock_follows_the_test(autojump_clock: MockClock) -> None:
    clock = MemoryClock()
    began = clock.now()

    await clock.sleep_until(began + 1000)

    assert trio.current_time() == pytest.approx(1000)
    assert clock.now() == pytest.approx(began + 1000)


async def test_a_jump_ahead_ends_the_sleep_within_a_slice(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    clock = MemoryClock()
    nursery.start_soon(clock.sleep_until, clock.now() + 3600)

    await trio.sleep(1)
    clock.jump(3600)
    await trio.sleep(SLICE_SECONDS)

    assert not nursery.child_tasks


async def test_a_jump_back_makes_the_sleep_longer(autojump_clock: MockClock) -> None:
    clock = MemoryClock()
    until = clock.now() + 10
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.sleep_until, until)
        await trio.sleep(1)
        clock.jump(-100)

    assert clock.now() == pytest.approx(until)
    assert trio.current_time() == pytest.approx(110)


async def test_a_moment_that_has_passed_is_not_waited_for() -> None:
    clock = SystemClock()

    with trio.fail_after(1):
        await clock.sleep_until(clock.now() - 5)


async def test_the_system_clock_tells_unix_time_and_sleeps_by_it() -> None:
    clock = SystemClock()
    until = time.time() + 0.02

    await clock.sleep_until(until)

    assert until <= clock.now() < until + 5
