"""A market of one relay, one provider and one buyer, in one process and in temporary homes."""

import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio
from attrs import evolve, frozen

from pylon.adapters.clock import SystemClock
from pylon.adapters.home import Home
from pylon.adapters.inference.models import Progress
from pylon.app.identity import Identity, from_words, new_words
from pylon.app.node import Opened, Serving, run_node
from pylon.app.ordering import Desk, open_desk
from pylon.app.receipts import make_receipt
from pylon.app.relay import serve_relay
from pylon.app.wallet import open_regtest_ledger
from pylon.config import Config
from pylon.core.receipt import Claim, claims
from pylon.model.ids import JobId, RelayUrl
from pylon.model.money import Msat, Network, from_sats

FUNDING = from_sats(10_000)
WORDS = 12


@frozen
class Demo:
    """Everything the demonstration has built, ready for an order."""

    relay: RelayUrl
    provider: Opened
    buyer: Opened
    serving: Serving
    funded: Msat
    desk: Desk


@asynccontextmanager
async def open_demo(
    environ: Mapping[str, str], *, data_dir: Path, download: Progress
) -> AsyncGenerator[Demo, None]:
    """Start a relay, a ledger, a provider and a buyer; all of it is gone when the block ends.

    Only the model, in `data_dir`, is kept for the next time. Raises `BackendUnavailable` when no
    model can be run.
    """
    stop = trio.Event()
    with tempfile.TemporaryDirectory(prefix="pylon-demo-") as folder:
        async with trio.open_nursery() as nursery:
            relay: RelayUrl = await nursery.start(partial(serve_relay, port=0))
            provider = _member("provider", Path(folder), relay, environ, data_dir)
            buyer = _member("buyer", Path(folder), relay, environ, data_dir)
            node = partial(run_node, provider, stop=stop, download=download)
            serving: Serving = await nursery.start(node)
            funded = await _fund(buyer)
            async with open_desk(buyer, since=int(buyer.clock.now())) as desk:
                yield Demo(relay, provider, buyer, serving, funded, desk)
            stop.set()
            nursery.cancel_scope.cancel("the demonstration is over")


def _member(
    name: str, folder: Path, relay: RelayUrl, environ: Mapping[str, str], data_dir: Path
) -> Opened:
    identity: Identity = from_words(new_words(WORDS), Network.REGTEST)
    config = Config()
    config = evolve(
        config,
        node=evolve(config.node, name=f"demo {name}", grace_seconds=1),
        relay=evolve(config.relay, urls=(relay,), serve="never"),
        wallet=evolve(config.wallet, ledger_path=str(folder / "ledger.db")),
    )
    home = Home(folder / name, folder / name, data_dir)
    return Opened(home, config, identity, environ, SystemClock())


async def _fund(member: Opened) -> Msat:
    async with open_regtest_ledger(
        member.home, member.config, member.identity, clock=member.clock
    ) as ledger:
        return await ledger.fund(FUNDING)
    raise AssertionError("the ledger swallows no exception")


async def check_receipt(demo: Demo, order: JobId) -> list[Claim]:
    """Make the receipt of an order, answer and all, and check what it claims."""
    reader = demo.buyer.identity.signer
    return claims(await make_receipt(demo.desk.store, order, reader=reader))


async def audit(member: Opened) -> list[str]:
    """Return what is wrong with the ledger both members used; nothing, if every sat is there."""
    async with open_regtest_ledger(
        member.home, member.config, member.identity, clock=member.clock
    ) as ledger:
        return await ledger.audit()
    raise AssertionError("the ledger swallows no exception")
