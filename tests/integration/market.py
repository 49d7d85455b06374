"""A market of real processes over real sockets, in folders and on ports of its own.

Every home has its own identity and store; all share one ledger. The provider's backend is a small
server of the tests, so that answers are quick and the same every time.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import apsw
import msgspec
import trio
from attrs import define, evolve, field, frozen

from pylon.adapters.websocket import dial_websocket
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.wire import frames
from pylon.wire.relay_url import normalise
from tests.adapters.inference.scripted import (
    Reply,
    Request,
    ScriptedServer,
    answer,
    document,
    scripted,
)

ROOT = Path(__file__).parents[2]
SELLER, BUYER, OTHER = "seller", "buyer", "other"
PYLON = (sys.executable, "-m", "pylon")

PATIENCE_SECONDS = 60
FUNDS_SATS = 10_000
ANSWER = "Two and two are four."
REFUSED = "do not answer"  # a prompt that says so is refused by the backend
HELD = "take your time"  # and one that says so is answered when `Backend.let_go` is set


@frozen
class Ended:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.out)


@define
class Process:
    """A program that runs, in a session of its own."""

    _process: trio.Process
    _errors: Path
    _heard: bytes = field(default=b"", init=False)

    @property
    def errors(self) -> str:
        """What it has said on stderr so far."""
        return self._errors.read_text()

    async def hear(self) -> str:
        """Return its next line on stdout; fail if it ends instead."""
        assert self._process.stdout is not None
        while b"\n" not in self._heard:
            piece = await self._process.stdout.receive_some()
            assert piece, f"it ended with {await self._process.wait()}: {self.errors}"
            self._heard += piece
        line, self._heard = self._heard.split(b"\n", 1)
        return line.decode()

    async def read(self) -> Any:
        """Return its next line on stdout, which is JSON."""
        return msgspec.json.decode(await self.hear())

    async def tell(self, value: object) -> None:
        """Write it a line of JSON."""
        assert self._process.stdin is not None
        await self._process.stdin.send_all(msgspec.json.encode(value) + b"\n")

    async def said(self, text: str) -> None:
        """Wait until it has said something on stderr."""
        while text not in self.errors:
            assert self._process.returncode is None, self.errors
            await trio.sleep(0.02)

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.send(signal.SIGINT)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def kill(self) -> None:
        """End it as a power cut would: SIGKILL."""
        self._process.kill()
        await self._process.wait()

    async def end(self) -> Ended:
        """Wait for its end, and return all that it has said."""
        assert self._process.stdout is not None
        while piece := await self._process.stdout.receive_some():
            self._heard += piece
        status = await self._process.wait()
        return Ended(status, self._heard.decode(), self.errors)


@define
class Backend:
    """A llama.cpp server in the tests' own hands."""

    server: ScriptedServer
    answer: str = ANSWER
    let_go: trio.Event = field(factory=trio.Event, init=False)

    @property
    def prompts(self) -> list[str]:
        """What it was asked to answer, in order."""
        return [
            request.json["messages"][-1]["content"]
            for request in self.server.requests
            if request.path == "/v1/chat/completions"
        ]

    def reply(self, request: Request) -> Reply:
        match request.path:
            case "/health":
                return document({"status": "ok"})
            case "/v1/models":
                return document({"data": [{"id": "tiny"}]})
            case "/props":
                return document({"total_slots": 4})
        prompt = request.json["messages"][-1]["content"]
        if REFUSED in prompt:
            return document({"error": {"message": "the prompt is not welcome"}}, status=400)
        reply = answer(*self.answer.partition(" "))
        return evolve(reply, steps=(self.let_go, *reply.steps)) if HELD in prompt else reply


@define
class Market:
    """Homes on one ledger, and what is needed to run programs for them."""

    root: Path
    port: int
    backend: Backend
    _nursery: trio.Nursery
    _count: int = 0
    variables: dict[str, str] = field(factory=dict)

    @property
    def relay_url(self) -> str:
        """The relay on the configured port."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger.db"

    @property
    def tracebacks(self) -> list[str]:
        """What any program has written on stderr that only a bug writes."""
        said = [file.read_text() for file in sorted(self.root.glob("errors-*.txt"))]
        return [text for text in said if "Traceback" in text]

    def home(self, name: str) -> Path:
        return self.root / name

    def environ(self) -> dict[str, str]:
        """Return a program's environment: nothing of the tester's own leads into it."""
        return clean_environ(self.root) | {
            "PYLON_RELAY_PORT": str(self.port),
            "PYLON_LLAMA_SERVER_URL": self.backend.server.url,
            "PYLON_OFFER_WINDOW_SECONDS": "0",
            "PYLON_GRACE_SECONDS": "1",
            **self.variables,
        }

    async def start(
        self, home: str, *tokens: str, program: Sequence[str] = PYLON, **variables: str
    ) -> Process:
        """Start a command for a home; it is killed when the market closes."""
        return await self.launch(
            *program, "--home", str(self.home(home)), *tokens, variables=variables
        )

    async def launch(
        self, *command: str, variables: Mapping[str, str] | None = None, told: bool = False
    ) -> Process:
        """Start any program, to be `told` lines or not; it is killed when the market closes."""
        self._count += 1
        errors = self.root / f"errors-{self._count}.txt"
        with errors.open("wb") as file:
            process = await trio.lowlevel.open_process(
                command,
                stdin=subprocess.PIPE if told else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
                env=self.environ() | dict(variables or {}),
                cwd=ROOT,
                start_new_session=True,
            )
        self._nursery.start_soon(_kill_at_the_end, process)
        return Process(process, errors)

    async def pylon(self, home: str, *tokens: str, **variables: str) -> Ended:
        """Run a command for a home, to its end."""
        return await (await self.start(home, *tokens, **variables)).end()

    async def ok(self, home: str, *tokens: str, **variables: str) -> Any:
        """Run a command that must do what it is asked; return its JSON."""
        ended = await self.pylon(home, *tokens, "--json", **variables)
        assert ended.status == 0, ended
        return ended.json

    async def submit(self, prompt: str, *options: str, **variables: str) -> Ended:
        """Have the buyer order something, paying without a question."""
        tokens = ("job", "submit", prompt, "--auto-pay", "--json", *options)
        return await self.pylon(BUYER, *tokens, **variables)

    async def serve(self, home: str = SELLER, **variables: str) -> tuple[Process, Any]:
        """Start a provider; return it once it takes jobs, with what it said then."""
        node = await self.start(home, "run", "--json", **variables)
        return node, await node.read()

    async def serve_relay(self, port: int | None = None, store: str | None = None) -> Process:
        """Start a relay of ours, on the market's port if no other is named."""
        kept = () if store is None else ("--store", store)
        relay = await self.launch(*PYLON, "relay", "--port", str(port or self.port), *kept)
        await relay.said("relay at")
        return relay

    async def earnings(self, count: int = 1) -> list[Any]:
        """Return what the seller has earned, once it has earned so often."""
        while True:  # the buyer has its answer a moment before the seller has counted it
            found: list[Any] = (await self.ok(SELLER, "earnings"))["latest"]
            if len(found) >= count:
                return found

    async def ordered(self, state: str, home: str = BUYER) -> Any:
        """Return the latest order of a home, once it is in a state."""
        sql = "SELECT lower(phase) FROM orders ORDER BY n DESC LIMIT 1"
        while rows(self.home(home) / "pylon.db", sql) != [(state,)]:  # noqa: ASYNC110 - another process
            await trio.sleep(0.02)
        (order, *_) = await self.ok(home, "job", "list")
        return order

    async def paid(self, home: str = BUYER) -> list[Any]:
        """Return what a home has paid for, whatever came of it."""
        history = await self.ok(home, "wallet", "history", "--limit", "100")
        return [entry for entry in history if entry["direction"] == "outgoing"]

    async def faults(self) -> list[str]:
        """Return what is wrong in the ledger's books."""
        ended = await self.pylon(OTHER, "wallet", "audit", "--json")
        faults: list[str] = ended.json["faults"]
        return faults


async def _kill_at_the_end(process: trio.Process) -> None:
    try:
        await trio.sleep_forever()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    await pipe.aclose()


@asynccontextmanager
async def open_market(root: Path) -> AsyncGenerator[Market, None]:
    """Open a market in a folder that `make_homes` has filled."""
    idle = ScriptedServer("", lambda _: Reply(status=503))
    backend = Backend(idle)
    async with scripted(backend.reply) as server, trio.open_nursery() as nursery:
        backend.server = server
        yield Market(root, free_port(), backend, nursery)
        nursery.cancel_scope.cancel("the market closes")


def make_homes(root: Path) -> None:
    """Make the homes that `copy_homes` copies, and fund the buyer's; once is enough for all tests."""
    environ = clean_environ(root)
    for name in (SELLER, BUYER, OTHER):
        _run(environ, "--home", str(root / name), "init")
    _run(environ, "--home", str(root / BUYER), "wallet", "fund", str(FUNDS_SATS))


def copy_homes(template: Path, root: Path) -> None:
    """Fill `root` with homes that nothing has happened in yet."""
    shutil.copytree(template, root, dirs_exist_ok=True)


def clean_environ(root: Path) -> dict[str, str]:
    """Return an environment in which only `root` is known."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYLON_", "XDG_"))}
    return kept | {
        "HOME": str(root),
        "PYLON_LEDGER": str(root / "ledger.db"),
        "PYLON_BACKENDS_ORDER": "llamacpp",
    }


def _run(environ: Mapping[str, str], *tokens: str) -> None:
    subprocess.run(  # noqa: S603 - our own program
        [*PYLON, *tokens],
        env=dict(environ),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )


def rows(database: Path, sql: str) -> list[tuple[Any, ...]]:
    """Look into a database, which may not be there yet."""
    try:
        db = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    except apsw.CantOpenError:
        return []
    with closing(db):
        try:
            return db.execute(sql).fetchall()
        except (apsw.SQLError, apsw.BusyError):  # it is being made
            return []


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def together(*calls: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Call all of them at once; return what each returned, in order."""
    found: list[Any] = [None] * len(calls)

    async def keep(place: int, call: Callable[[], Awaitable[Any]]) -> None:
        found[place] = await call()

    async with trio.open_nursery() as nursery:
        for place, call in enumerate(calls):
            nursery.start_soon(keep, place, call)
    return found


async def published(url: str, wanted: Filter) -> list[Event]:
    """Ask a relay for what it has stored."""
    found: list[Event] = []
    async with dial_websocket(normalise(url)) as wire:
        await wire.send([frames.encode(frames.Req("look", (wanted,)))])
        while True:
            for text in await wire.receive():
                match frames.decode_relay(text):
                    case frames.Found(event=event):
                        found.append(event)
                    case frames.EndOfStored():
                        return found
