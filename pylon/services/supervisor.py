"""Keep a service running through failures it is expected to survive."""

import logging
import random
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from typing import Protocol

import trio
from attrs import define, field, frozen

from pylon.core.backoff import Backoff
from pylon.errors import Transient

log = logging.getLogger(__name__)


class Service(Protocol):
    """Runs until there is nothing left to do, reporting readiness once."""

    async def __call__(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Run; call `task_status.started()` when others may depend on it."""
        ...


@frozen
class RestartPolicy:
    """When to restart, and how patiently.

    `tries` bounds the restarts in a row. A run that stayed up for `healthy_after` seconds clears
    what came before it. `fraction` gives the random part of each delay, in [0, 1).
    """

    backoff: Backoff = field(factory=Backoff)
    tries: int | None = None
    healthy_after: float = 60.0
    restart_on: type[Exception] = Transient
    fraction: Callable[[], float] = random.random


@define
class Vitals:
    """How a supervised service has fared, for status displays. Telemetry: read, never waited on."""

    name: str
    running: bool = False
    restarts: int = 0
    last_failure: str = ""


@define
class _FirstStart:
    """Pass on the first `started()` only: a restarted service will call it again."""

    _status: trio.TaskStatus[None]
    _told: bool = field(default=False, init=False)

    def started(self, value: None = None) -> None:
        if not self._told:
            self._told = True
            self._status.started(value)


async def supervise(
    service: Service,
    policy: RestartPolicy,
    *,
    vitals: Vitals,
    owns: Iterable[AbstractContextManager[object]] = (),
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run `service` to its end, restarting it after each survivable failure.

    A failure is survivable when every error in it is a `policy.restart_on`. Any other failure is
    a bug and propagates, as does the last one once `policy.tries` are used up.

    The channel ends the service `owns` stay open across restarts, and close when it has ended for
    good; its neighbours then know that it has.
    """
    with ExitStack() as ends:
        for end in owns:
            ends.enter_context(end)
        await _keep_running(service, policy, vitals, _FirstStart(task_status))


async def _keep_running(
    service: Service, policy: RestartPolicy, vitals: Vitals, status: trio.TaskStatus[None]
) -> None:
    failures = 0
    while True:
        began = trio.current_time()
        vitals.running = True
        try:
            return await service(task_status=status)
        except (Exception, BaseExceptionGroup) as error:
            fatal = _beyond(error, policy.restart_on)
            if fatal is not None:
                raise fatal from None  # a failure in the moment of a cancellation ends with it
            healthy = trio.current_time() - began >= policy.healthy_after
            failures = 1 if healthy else failures + 1
            vitals.last_failure = _summary(error)
            if policy.tries is not None and failures > policy.tries:
                raise
        finally:
            vitals.running = False
        delay = policy.backoff.after(failures, policy.fraction())
        log.warning("%s: restarting in %.1f s: %s", vitals.name, delay, vitals.last_failure)
        await trio.sleep(delay)
        vitals.restarts += 1


def _beyond(error: BaseException, kind: type[Exception]) -> BaseException | None:
    """Return what of an error, or of the group it is, is no `kind`."""
    if isinstance(error, BaseExceptionGroup):
        rest: BaseException | None = error.split(kind)[1]
        return rest
    return None if isinstance(error, kind) else error


def _summary(error: BaseException) -> str:
    """Put an error, or the leaves of a group, on one line."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_summary(inner) for inner in error.exceptions)
    return str(error) or type(error).__name__
