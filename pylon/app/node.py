"""A whole node: its resources opened in order, and the provider that lives in them."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import trio
from attrs import frozen

from pylon.adapters.clock import SystemClock
from pylon.adapters.home import Home
from pylon.adapters.inference.models import Progress
from pylon.app.identity import Identity
from pylon.app.inference import load_embedded, open_backends, pull_embedded_model
from pylon.app.provider import ProviderParts, serve_provider
from pylon.app.relay import serve_relay
from pylon.app.relays import Pool, open_pool
from pylon.app.store import Store, open_store
from pylon.app.wallet import open_wallet
from pylon.config import Config
from pylon.errors import BackendUnavailable, Misconfigured
from pylon.model.ids import RelayUrl
from pylon.model.inference import BackendHealth
from pylon.model.job import Job, JobState
from pylon.model.relays import RelayHealth
from pylon.ports.channels import Hint
from pylon.ports.clock import Clock
from pylon.ports.inference import Backend
from pylon.ports.records import Records
from pylon.wire.relay_url import normalise


@frozen
class Opened:
    """What a home holds, open: its identity's keys, its memory, its relays."""

    home: Home
    config: Config
    identity: Identity
    environ: Mapping[str, str]
    clock: Clock


@frozen
class Serving:
    """Told once, when the node can take jobs, with what shows how it is doing from then on."""

    relays: tuple[RelayUrl, ...]
    bundled_relay: bool
    backends: tuple[BackendHealth, ...]
    relay_health: Callable[[], tuple[RelayHealth, ...]]
    jobs: Records[Job, JobState]
    jobs_changed: Hint


async def run_node(
    opened: Opened,
    *,
    stop: trio.Event,
    download: Progress,
    task_status: trio.TaskStatus[Serving] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Sell inference until `stop` is set; one node a home.

    Raises:
        Misconfigured: another process runs this home's node, or something in it cannot work.
        BackendUnavailable: no backend can generate.
    """
    home, config = opened.home, opened.config
    home.create()
    with home.lock("node"):
        async with (
            open_store(home.database) as store,
            _open_ready_backends(opened, download) as backends,
            open_wallet(home, config, opened.identity, clock=opened.clock) as wallet,
            bundled_relay(opened) as bundled,
            open_relays(opened, store) as pool,
        ):
            parts = ProviderParts(
                config, opened.identity.signer, store, wallet, backends, pool, opened.clock
            )
            async with trio.open_nursery() as nursery:
                await nursery.start(partial(serve_provider, parts, stop=stop))
                healths = tuple([await backend.health() for backend in backends])
                urls = tuple(health.url for health in pool.health())
                serving = Serving(
                    urls, bundled, healths, pool.health, store.jobs, parts.jobs_changed
                )
                task_status.started(serving)


@asynccontextmanager
async def open_relays(opened: Opened, store: Store) -> AsyncGenerator[Pool, None]:
    """Open the relay pool that the configuration names."""
    urls = tuple(dict.fromkeys(normalise(url) for url in opened.config.relay_urls))
    async with open_pool(
        urls, signer=opened.identity.signer, cursors=store.cursors, clock=opened.clock
    ) as pool:
        yield pool


def system(home: Home, config: Config, identity: Identity, environ: Mapping[str, str]) -> Opened:
    """Take a home as it is run in earnest, by the system's clock."""
    return Opened(home, config, identity, environ, SystemClock())


@asynccontextmanager
async def _open_ready_backends(
    opened: Opened, download: Progress
) -> AsyncGenerator[tuple[Backend, ...], None]:
    config, folder = opened.config.backends, opened.home.models
    async with open_backends(config, opened.environ, models_folder=folder) as backends:
        try:
            await load_embedded(backends)
        except BackendUnavailable:
            await pull_embedded_model(config, models_folder=folder, progress=download)
        await load_embedded(backends)
        yield backends


@asynccontextmanager
async def bundled_relay(opened: Opened) -> AsyncGenerator[bool, None]:
    """Serve our own relay beside the node where it is wanted; yields whether we do.

    With `auto` it is for regtest, and only when nobody else listens on its port: whoever binds the
    port first serves it, so two nodes started at once do not both try.
    """
    relay = opened.config.relay
    network = opened.config.node.network
    if relay.serve == "never" or (relay.serve == "auto" and (network != "regtest" or relay.urls)):
        yield False
        return
    async with trio.open_nursery() as nursery:
        serve = partial(serve_relay, port=relay.port, store=opened.home.root / "relay.db")
        try:
            await nursery.start(serve)
            serving = True
        except Misconfigured:
            if relay.serve == "always":
                raise
            serving = False
        yield serving
        nursery.cancel_scope.cancel("the node has ended")
