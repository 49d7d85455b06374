"""The relay pool, put together: one supervised actor a relay, and one in which they meet."""

import random
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial

import trio
from attrs import frozen

from pylon.adapters.relay_info import fetch_relay_info
from pylon.adapters.websocket import dial_websocket
from pylon.core.recent import Recent
from pylon.model.ids import EventId, RelayUrl
from pylon.model.relays import (
    CaughtUp,
    Heard,
    PublishOutcome,
    RelayCommand,
    RelayHealth,
    RelayReport,
)
from pylon.ports.clock import Clock
from pylon.ports.cursors import Cursors
from pylon.ports.keys import Signer
from pylon.ports.relay import Dial, FetchInfo
from pylon.services.relay import Relay
from pylon.services.relay_pool import RelayPool
from pylon.services.supervisor import RestartPolicy, Service, Vitals, supervise

CHANNEL_SIZE = 64
VERIFIED_EVENTS = 16_384


@frozen
class Pool:
    """All relays as one. Whoever has no use for `heard` or `outcomes` closes it."""

    commands: trio.MemorySendChannel[RelayCommand]
    heard: trio.MemoryReceiveChannel[Heard | CaughtUp]
    outcomes: trio.MemoryReceiveChannel[PublishOutcome]
    vitals: tuple[Vitals, ...]
    _health: dict[RelayUrl, RelayHealth]

    def health(self) -> tuple[RelayHealth, ...]:
        """Say how each relay is doing now."""
        return tuple(self._health.values())


@asynccontextmanager
async def open_pool(
    urls: Iterable[RelayUrl],
    *,
    signer: Signer,
    cursors: Cursors,
    clock: Clock,
    dial: Dial = dial_websocket,
    fetch_info: FetchInfo = fetch_relay_info,
    fraction: Callable[[], float] = random.random,
    grace: float = 2.0,
) -> AsyncGenerator[Pool, None]:
    """Keep a connection to each of `urls` (normalised) for as long as the block lasts.

    All channels are must-deliver; the sender waits:

        commands   user → pool                 RelayCommand
        orders     pool → relay, one a relay   RelayCommand
        reports    relay → pool, one for all   batches of RelayReport
        heard      pool → user                 Heard, CaughtUp
        outcomes   pool → user                 PublishOutcome

    There is no cycle: a relay takes every order at once, whether or not its reports are being
    taken. So `commands` moves even while nobody reads `heard` and `outcomes`; of events published
    too fast for a relay the pool keeps so many, and defers the rest.

    It ends in two phases. First `commands` closes, here or before by the user: each relay waits for
    the verdicts of what it has sent, closes its reports, and the pool closes `heard` and
    `outcomes`. Then, `grace` seconds after the end of the block, whatever is left is cancelled.
    """
    commands_in, commands_out = trio.open_memory_channel[RelayCommand](CHANNEL_SIZE)
    heard_in, heard_out = trio.open_memory_channel[Heard | CaughtUp](CHANNEL_SIZE)
    outcomes_in, outcomes_out = trio.open_memory_channel[PublishOutcome](CHANNEL_SIZE)
    reports_in, reports_out = trio.open_memory_channel[tuple[RelayReport, ...]](0)
    orders = {url: trio.open_memory_channel[RelayCommand](CHANNEL_SIZE) for url in urls}
    verified = Recent[EventId, str](VERIFIED_EVENTS)
    handed_on: dict[str, Recent[EventId, None]] = {}
    relays = [
        Relay(
            url, orders_out, reports_in.clone(), dial, fetch_info, signer, clock, cursors,
            verified, handed_on, fraction,
        )
        for url, (_, orders_out) in orders.items()
    ]  # fmt: skip
    pool = RelayPool(
        commands_out,
        {url: orders_in for url, (orders_in, _) in orders.items()},
        reports_out,
        heard_in,
        outcomes_in,
        cursors,
        handed_on,
    )
    reports_in.close()
    vitals = (Vitals("relay pool"), *(Vitals(f"relay {relay.url}") for relay in relays))
    async with trio.open_nursery() as actors:
        start = partial(_start, actors, RestartPolicy(fraction=fraction))
        await start(pool.run, vitals[0], commands_out, reports_out, heard_in, outcomes_in)
        for relay, vital in zip(relays, vitals[1:], strict=True):
            await start(relay.run, vital, relay.commands, relay.reports)
        with commands_in, heard_out, outcomes_out:
            yield Pool(commands_in, heard_out, outcomes_out, vitals, pool.health)
        actors.cancel_scope.deadline = trio.current_time() + grace


async def _start(
    actors: trio.Nursery,
    policy: RestartPolicy,
    service: Service,
    vitals: Vitals,
    *owns: AbstractContextManager[object],
) -> None:
    await actors.start(partial(supervise, service, policy, vitals=vitals, owns=owns))
