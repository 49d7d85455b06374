"""Ports that fail on order."""

import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import trio
from attrs import define, evolve, field, fields_dict

from pylon.app.store import Store
from pylon.ports.relay import Wire
from tests.market.nodes import NodeHome

MOMENTS = ("before", "after")
WRITES = frozenset(
    {
        "save",
        "drop",
        "reserve",
        "spend",
        "release",
        "pin",
        "credit",
        "make_invoice",
        "make_hold_invoice",
        "settle_hold",
        "cancel_invoice",
    }
    | {"pay", "send"}
)


class Trouble:
    """Stands before a port; the calls named in `failures` fail, each so many times as errors wait."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.failures: dict[str, list[Exception]] = {}
        self.calls: list[str] = []

    def fail(self, method: str, *errors: Exception) -> None:
        self.failures.setdefault(method, []).extend(errors)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not inspect.iscoroutinefunction(method):
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            if waiting := self.failures.get(name):
                await trio.lowlevel.checkpoint()
                raise waiting.pop(0)
            return await method(*args, **kwargs)

        return call


@define(eq=False)
class Tripwire:
    """Counts the moments at which nodes act upon the world, and strikes at one of them.

    There are two moments in each act: before anything has happened, and after, when nobody has
    heard of it yet. `strike` ends the nodes behind it, or raises. Nodes that were ended act no more,
    however far their tasks still run.
    """

    at: int
    strike: Callable[[], None]
    ports: tuple[str, ...] = (
        *("jobs", "orders", "budget", "earnings", "cursors", "payees"),
        *("wallet", "relay"),
    )
    when: tuple[str, ...] = MOMENTS
    reads: bool = False  # count what only looks at the world as well
    moments: int = 0
    struck: bool = False
    where: str = ""
    _dead: bool = field(default=False, init=False)

    async def __call__(self, when: str, what: str) -> None:
        if self._dead:
            await trio.sleep_forever()
        self.moments += when in self.when
        if self.moments == self.at and not self.struck:
            self.struck, self.where = True, f"{when} {what}"
            self.strike()
            self._dead = True  # unless it raised
            await trio.sleep_forever()

    def counts(self, port: str, method: str) -> bool:
        """Say whether a method's moments count."""
        return port in self.ports and (self.reads or method in WRITES)

    def guard(self, home: NodeHome) -> NodeHome:
        """Return the same home, with every way out of it watched."""
        return guarded(home, self)


class Watcher(Protocol):
    """Is told of every act, before it happens and after; it may raise, or never return."""

    def counts(self, port: str, method: str) -> bool: ...

    async def __call__(self, when: str, what: str) -> None: ...


def guarded(home: NodeHome, wire: Watcher) -> NodeHome:
    """Return the same home, with every way out of it passing `wire`."""
    ports = {name: getattr(home.store, name) for name in fields_dict(Store)}
    store = Store(**{name: _Watched(port, wire, name) for name, port in ports.items()})

    @asynccontextmanager
    async def dial(url: str) -> AsyncGenerator[Wire, None]:
        async with home.dial(url) as line:
            yield _Watched(line, wire, "relay")

    return evolve(home, store=store, wallet=_Watched(home.wallet, wire, "wallet"), dial=dial)


class _Watched:
    """Stands before a port, whose every act passes the wire twice."""

    def __init__(self, port: Any, wire: Watcher, name: str) -> None:
        self._port, self._wire, self._name = port, wire, name

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not inspect.iscoroutinefunction(method) or not self._wire.counts(self._name, name):
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            what = f"{self._name}.{name}"
            await self._wire("before", what)
            result = await method(*args, **kwargs)
            await self._wire("after", what)
            return result

        return call
