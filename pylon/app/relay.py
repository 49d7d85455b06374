"""Our own relay, put together."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio
from attrs import evolve

from pylon import __version__
from pylon.adapters.clock import SystemClock
from pylon.adapters.http.relay_information import information
from pylon.adapters.http.websocket_server import SocketLimits, listen, serve_websockets
from pylon.adapters.memory.events import MemoryEventStore
from pylon.adapters.sqlite.events import open_event_store as open_sqlite_store
from pylon.core.relay_rules import DEFAULT_RULES, RelayRules, describe
from pylon.model.ids import RelayUrl
from pylon.ports.events import EventStore
from pylon.services.relay_server import RelayServer
from pylon.wire.relay_url import normalise

HOST = "127.0.0.1"
PORT = 7777
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


async def serve_relay(
    *,
    host: str = HOST,
    port: int = PORT,
    store: Path | None = None,
    rules: RelayRules = DEFAULT_RULES,
    name: str = "pylon",
    task_status: trio.TaskStatus[RelayUrl] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve a relay until cancelled; `started` gives its URL, with the port bound for port 0.

    Without a `store` file it keeps events in memory. `rules.urls` names it from outside, where that
    differs from `host` and `port`.

    Raises:
        Misconfigured: the address cannot be had, or `store` is no database of ours.
    """
    async with open_event_store(store) as events:
        listeners, bound = await listen(host, port)
        urls = own_urls(host, bound)
        rules = evolve(rules, urls=rules.urls | frozenset(urls))
        server = RelayServer(events, rules, SystemClock(), partial(secrets.token_hex, 16))
        answer = information(describe(rules, name=name, version=__version__))
        limits = SocketLimits(message_bytes=rules.message_bytes)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.sweep)
            await nursery.start(
                partial(serve_websockets, listeners, server.serve, answer, limits=limits)
            )
            task_status.started(urls[0])


@asynccontextmanager
async def open_event_store(path: Path | None) -> AsyncGenerator[EventStore, None]:
    """Open the store in a file, or one that forgets; see the adapters for what they raise."""
    if path is None:
        yield MemoryEventStore()
        return
    async with open_sqlite_store(path) as store:
        yield store


def own_urls(host: str, port: int) -> list[RelayUrl]:
    """Return what clients may call this relay, the plainest name first."""
    names = dict.fromkeys((host, *_LOOPBACK))
    shown = (f"[{name}]" if ":" in name else name for name in names)
    return [normalise(f"ws://{name}:{port}") for name in shown]
