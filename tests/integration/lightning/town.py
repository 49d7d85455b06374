"""A chain and two Lightning nodes with a channel between them, for all tests of a session."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import pytest
import trio
from attrs import frozen

from pylon.wire import bech32
from tests.integration.lightning.chain import MATURITY, UNSPENDABLE, Chain
from tests.integration.lightning.daemon import Daemon, Program
from tests.integration.lightning.electrum_server import serve_chain
from tests.integration.market import ROOT

T = TypeVar("T")

CHANNEL_BTC, PAYEES_SHARE_BTC = "0.15", "0.05"
CONFIRMATIONS = 6
UNSTABLE = ROOT / ".electrum-unstable"


@frozen
class ChainThread:
    """A chain that is served by a thread of its own, and may be touched from any other."""

    port: int
    _chain: Chain
    _token: trio.lowlevel.TrioToken

    def mine(self, count: int, script: bytes = UNSPENDABLE) -> int:
        """Add blocks, wallets being told; return the new height."""
        return self._do(lambda: self._chain.mine(count, script))

    @property
    def height(self) -> int:
        return self._do(lambda: self._chain.height)

    def _do(self, work: Callable[[], T]) -> T:
        box = SimpleQueue[T]()
        self._token.run_sync_soon(lambda: box.put(work()))
        return box.get(timeout=30)


@contextmanager
def chain_in_thread() -> Generator[ChainThread, None, None]:
    """Serve a new chain until the block ends."""
    chain, ready, stop = Chain(time.time), SimpleQueue[ChainThread](), trio.Event()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            port = await nursery.start(serve_chain, chain)
            ready.put(ChainThread(port, chain, trio.lowlevel.current_trio_token()))
            await stop.wait()
            nursery.cancel_scope.cancel("the town closes")

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    served = ready.get(timeout=30)
    try:
        yield served
    finally:
        served._token.run_sync_soon(stop.set)
        thread.join()


@frozen
class Pair:
    """Two nodes and the channel between them: both can pay, `payer` has twice as much."""

    chain: ChainThread
    payer: Daemon
    payee: Daemon

    async def reconnect(self, back: Daemon) -> None:
        """Have a node that was away look for the other, which would take its time to look itself."""
        other = self.payer if back is self.payee else self.payee
        await back.call("add_peer", connection_string=await _address(other))
        for node in (self.payer, self.payee):
            await node.until("list_channels", _is_open)

    async def open_channel(self) -> None:
        """Give the payer money of the chain, and a channel with the payee."""
        address = await self.payer.call("getunusedaddress")
        self.chain.mine(2, _script(address))
        self.chain.mine(MATURITY)
        await self.payer.until("getbalance", lambda balance: float(balance["confirmed"]) > 1)
        await self.payer.call(
            "open_channel",
            connection_string=await _address(self.payee),
            amount=CHANNEL_BTC,
            push_amount=PAYEES_SHARE_BTC,
        )
        self.chain.mine(CONFIRMATIONS)
        for node in (self.payer, self.payee):
            await node.until("list_channels", _is_open)


@contextmanager
def open_pair(program: Program, root: Path) -> Generator[Pair, None, None]:
    """Start everything, channel included; all of it ends with the block."""
    with chain_in_thread() as chain:
        payer, payee = (Daemon(program, root / name, chain.port) for name in ("payer", "payee"))
        pair = Pair(chain, payer, payee)
        try:
            trio.run(_bring_up, pair)
            yield pair
        finally:
            for daemon in (payer, payee):
                daemon.kill()


async def _bring_up(pair: Pair) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pair.payer.start)
        nursery.start_soon(pair.payee.start)
    await pair.open_channel()


async def _address(daemon: Daemon) -> str:
    key = (await daemon.call("nodeid")).partition("@")[0]
    return f"{key}@127.0.0.1:{daemon.peer_port}"


def debians_electrum() -> Program:
    """Find the system's Electrum; where it is missing, fail in CI and skip elsewhere."""
    found = shutil.which("electrum", path="/usr/bin")
    if found is not None:
        return Program((found,))
    reason = "Debian's electrum is not installed: apt-get install --no-install-recommends electrum"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def unstables_electrum() -> Program:
    """Find what `fetch_electrum_unstable.sh` has fetched; skip where it could not."""
    if not (UNSTABLE / "complete").exists():
        pytest.skip("no Electrum of Debian unstable here: fetch_electrum_unstable.sh fetches it")
    modules = str(UNSTABLE / "root/usr/lib/python3/dist-packages")
    command = (str(UNSTABLE / "venv/bin/python"), str(UNSTABLE / "root/usr/bin/electrum"))
    return Program(command, {"PYTHONPATH": modules})


def something_came_in(channels: list[dict[str, Any]]) -> bool:
    """Say whether an HTLC that the other node has sent is undecided."""
    return any(channel["remote_unsettled_sent"] for channel in channels)


def _is_open(channels: list[dict[str, Any]]) -> bool:
    return any(c["state"] == "OPEN" and c["peer_state"] == "GOOD" for c in channels)


def _script(address: str) -> bytes:
    """Return the script that pays a segwit address of version 0 (BIP-141)."""
    program = bech32.to_bytes(bech32.decode(address)[1][1:])
    return bytes([0, len(program)]) + program
