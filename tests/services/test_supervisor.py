"""The supervisor restarts what it should, when it should, and nothing else."""

from collections.abc import Iterator
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from pylon.core.backoff import Backoff
from pylon.errors import Misconfigured, RelayLost
from pylon.services.supervisor import RestartPolicy, Service, Vitals, supervise


def policy(*, tries: int | None = None, fraction: float = 0.0) -> RestartPolicy:
    return RestartPolicy(Backoff(first=2, ceiling=8), tries=tries, fraction=lambda: fraction)


def failing(*failures: Exception, starts: list[float], up_for: float = 0) -> Service:
    """Make a service that fails once per failure given, then ends well."""
    script: Iterator[Exception] = iter(failures)

    async def service(*, task_status: trio.TaskStatus[None]) -> None:
        starts.append(trio.current_time())
        task_status.started()
        await trio.sleep(up_for)
        for failure in script:
            raise failure

    return service


def lost(times: int) -> list[RelayLost]:
    return [RelayLost("wss://a") for _ in range(times)]


async def test_it_waits_longer_after_each_failure(autojump_clock: MockClock) -> None:
    starts: list[float] = []

    await supervise(failing(*lost(4), starts=starts), policy(), vitals=Vitals("a"))

    assert starts == [0, 1, 3, 7, 11]


async def test_chance_spreads_the_restarts(autojump_clock: MockClock) -> None:
    starts: list[float] = []

    await supervise(failing(*lost(2), starts=starts), policy(fraction=0.5), vitals=Vitals("a"))

    assert starts == [0, 1.5, 4.5]


async def test_a_healthy_run_clears_what_came_before(autojump_clock: MockClock) -> None:
    starts: list[float] = []

    await supervise(failing(*lost(3), starts=starts, up_for=100), policy(), vitals=Vitals("a"))

    assert starts == [0, 101, 202, 303]


async def test_it_gives_up_when_the_tries_run_out(autojump_clock: MockClock) -> None:
    starts: list[float] = []

    with pytest.raises(RelayLost):
        await supervise(failing(*lost(9), starts=starts), policy(tries=2), vitals=Vitals("a"))

    assert len(starts) == 3


@pytest.mark.parametrize(
    "bug",
    [
        ZeroDivisionError(),
        Misconfigured("no such model"),
        ExceptionGroup("", [RelayLost("wss://a"), KeyError()]),
    ],
    ids=["a bug", "a misconfiguration", "a bug beside a survivable failure"],
)
async def test_only_declared_failures_are_survived(bug: Exception) -> None:
    starts: list[float] = []

    with pytest.raises(type(bug)):
        await supervise(failing(bug, starts=starts), policy(), vitals=Vitals("a"))

    assert len(starts) == 1


async def test_a_group_of_survivable_failures_is_survived(autojump_clock: MockClock) -> None:
    starts: list[float] = []
    group = ExceptionGroup("", [RelayLost("wss://a"), RelayLost("wss://b", "refused")])
    vitals = Vitals("a")

    await supervise(failing(group, starts=starts), policy(), vitals=vitals)

    assert starts == [0, 1]
    assert vitals.last_failure == "wss://a: connection lost; wss://b: refused"


async def test_readiness_is_reported_once(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    starts: list[float] = []
    service = failing(RelayLost("wss://a"), starts=starts)

    await nursery.start(partial(supervise, service, policy(), vitals=Vitals("a")))

    assert starts == [0]


async def test_what_a_service_owns_outlives_its_failures(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    starts: list[float] = []
    service = failing(RelayLost("wss://a"), starts=starts)
    sender, receiver = trio.open_memory_channel[int](0)

    await nursery.start(partial(supervise, service, policy(), vitals=Vitals("a"), owns=(sender,)))
    assert sender.statistics().open_send_channels == 1

    with pytest.raises(trio.EndOfChannel):
        await receiver.receive()
    assert len(starts) == 2


async def test_vitals_tell_restarts_and_whether_it_runs(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    vitals = Vitals("relay")
    service = failing(*lost(2), starts=[], up_for=10)
    nursery.start_soon(partial(supervise, service, policy(), vitals=vitals))

    await trio.sleep(5)
    assert vitals == Vitals("relay", running=True)
    await trio.sleep(5.5)
    assert vitals == Vitals("relay", last_failure="wss://a: connection lost")
    await trio.sleep(100)
    assert vitals == Vitals("relay", restarts=2, last_failure="wss://a: connection lost")


async def test_a_failure_in_the_moment_of_the_end_does_not_spoil_it(
    autojump_clock: MockClock,
) -> None:
    async def fails_at_the_end() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise RelayLost("wss://a")

    async def service(*, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails_at_the_end)
            nursery.start_soon(trio.sleep_forever)
            task_status.started()

    with trio.move_on_after(1) as scope:
        await supervise(service, policy(), vitals=Vitals("a"))

    assert scope.cancelled_caught
    assert trio.current_time() == 1


async def test_a_bug_in_the_moment_of_the_end_is_told(autojump_clock: MockClock) -> None:
    async def fails_at_the_end(*, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("a bug")

    with pytest.RaisesGroup(KeyError), trio.move_on_after(1):
        await supervise(fails_at_the_end, policy(), vitals=Vitals("a"))
