"""The one asyncio loop of this process, in a thread of its own, for every call of the SDK.

The SDK remembers the loop it was first connected on and answers there, so there is one for all
wallets, and it lives as long as the process.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from typing import Protocol, TypeVar

import trio

T = TypeVar("T")


class Bridge(Protocol):
    """Runs the SDK's coroutines where they belong."""

    async def __call__(self, make: Callable[[], Awaitable[T]]) -> T:
        """Run what `make` makes, and return its result."""
        ...


async def on_the_loop(make: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine of asyncio's from Trio. Cancelled, it is left to itself and goes on there."""
    token, done = trio.lowlevel.current_trio_token(), trio.Event()

    def wake(_: "Future[T]") -> None:
        with suppress(trio.RunFinishedError):  # nobody waits any more
            token.run_sync_soon(done.set)

    future = asyncio.run_coroutine_threadsafe(_await(make), _loop())
    future.add_done_callback(wake)
    await done.wait()
    return future.result()


async def _await(make: Callable[[], Awaitable[T]]) -> T:
    return await make()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="spark", daemon=True).start()
    return loop
