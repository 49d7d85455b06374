"""A real Electrum daemon in a folder of its own: started, asked, stopped, killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
import trio
from attrs import define, field, frozen

from tests.integration.market import free_port

USER, PASSWORD = "user", "a password of the tests"
START_SECONDS = 60
_LEASH = str(Path(__file__).with_name("leash.py"))


@frozen
class Program:
    """An Electrum that can be run: its command line so far, and its environment beyond PATH."""

    command: tuple[str, ...]
    environ: Mapping[str, str] = field(factory=dict)


class RpcError(Exception):
    """Electrum answered with an error; its text is in the message."""


@define(eq=False)
class Daemon:
    """One wallet. Its ports stay the same when it is killed and started again."""

    program: Program
    folder: Path
    chain_port: int
    rpc_port: int = field(factory=free_port, init=False)
    peer_port: int = field(factory=free_port, init=False)
    _leash: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _pid: int = field(default=0, init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.rpc_port}"

    def spawn(self) -> None:
        """Start the process; it lives no longer than this one."""
        data = self.folder / "regtest"
        data.mkdir(parents=True, exist_ok=True)
        if not (data / "config").exists():
            (data / "config").write_bytes(msgspec.json.encode(self._config()))
        (data / "daemon").unlink(missing_ok=True)  # the lock of one that was killed
        with (self.folder / "log.txt").open("ab") as log:
            self._leash = subprocess.Popen(  # noqa: S603 - Electrum, from where it was found
                [sys.executable, "-SE", _LEASH, *self.program.command, *self._arguments()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for the tests, which end it
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **self.program.environ},
            )
        assert self._leash.stdout is not None
        self._pid = int(self._leash.stdout.readline())

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL."""
        if self._leash is None:
            return
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        self._leash.wait()
        for pipe in (self._leash.stdin, self._leash.stdout):
            assert pipe is not None
            pipe.close()
        self._leash = None

    def freeze(self) -> None:
        """Let it do nothing, its connections still open."""
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    async def start(self, *, load: bool = True) -> None:
        """Start it, and return when it answers, with its wallet open unless that is not wanted."""
        self.spawn()
        with trio.fail_after(START_SECONDS):
            while not await self._listens():
                assert self._leash is not None
                assert self._leash.poll() is None, (self.folder / "log.txt").read_text()
                await trio.sleep(0.05)
            if not (self.folder / "regtest/wallets/default_wallet").exists():
                await self.call("create")
            if load:
                await self.call("load_wallet")

    async def call(self, method: str, **params: object) -> Any:
        """Ask it; raise `RpcError` with what it says instead of an answer."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with httpx.AsyncClient(timeout=START_SECONDS, trust_env=False) as client:
            answer = (await client.post(self.url, json=body, auth=(USER, PASSWORD))).json()
        if error := answer.get("error"):
            raise RpcError(f"{error.get('data', '')} {error['message']}")
        return answer["result"]

    async def until(self, method: str, good: Callable[[Any], bool]) -> Any:
        """Ask it until the answer is good, and return that."""
        with trio.fail_after(START_SECONDS):
            while not good(answer := await self.call(method)):  # noqa: ASYNC110 - another process
                await trio.sleep(0.05)
        return answer

    async def _listens(self) -> bool:
        try:
            return bool(await self.call("ping"))
        except httpx.TransportError:
            return False

    def _arguments(self) -> tuple[str, ...]:
        return ("--regtest", "-D", str(self.folder), "daemon")

    def _config(self) -> Mapping[str, object]:
        return {
            "config_version": 3,
            "server": f"127.0.0.1:{self.chain_port}:t",  # t: plain TCP
            "oneserver": True,
            "auto_connect": False,
            "use_gossip": False,
            "rpcsock": "tcp",
            "rpcport": self.rpc_port,
            "rpcuser": USER,
            "rpcpassword": PASSWORD,
            "lightning_listen": f"127.0.0.1:{self.peer_port}",
            "check_updates": False,
            "dont_show_testnet_warning": True,
        }
