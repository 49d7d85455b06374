"""How many free jobs one provider does a second without a relay: `python -m benchmarks.durable`.

The provider's own actors, store and wallet; in the relay pool's place something that hands on what
it has verified and acknowledges what it is given.
"""

import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import trio
from attrs import define, field

from benchmarks.parts import CLOCK, PROVIDER, InstantBackend, config, request
from benchmarks.processes import answer_parent, child
from benchmarks.rows import Row, show
from pylon.adapters.memory.wallet import MemoryMarket
from pylon.app.provider import ProviderParts, serve_provider
from pylon.app.relays import CHANNEL_SIZE, Pool
from pylon.app.store import open_store
from pylon.model.event import Event
from pylon.model.ids import RelayUrl
from pylon.model.relays import (
    CaughtUp,
    Heard,
    Publish,
    PublishOutcome,
    RelayCommand,
    RelayHealth,
    Verdict,
)
from pylon.ports.channels import Hint, drain, put
from pylon.wire import event as events
from pylon.wire import frames
from pylon.wire.frames import Found, Submit, encode
from pylon.wire.secp import KeyPair

JOBS = 3_000
ROUNDS = 3
DEPTH = 512  # jobs asked for and not yet answered
RELAY = RelayUrl("ws://nowhere")


@define
class StubRelay:
    """What a pool of one relay does, without a socket: verify, hand on, encode, acknowledge."""

    heard: trio.MemorySendChannel[Heard | CaughtUp]
    commands: trio.MemoryReceiveChannel[RelayCommand]
    outcomes: trio.MemorySendChannel[PublishOutcome]
    _open: int = field(default=0, init=False)
    _answered: Hint = field(factory=Hint, init=False)

    async def bring(self, texts: list[str]) -> None:
        """Bring requests, and return when every one is answered."""
        for text in texts:
            while self._open == DEPTH:
                await self._answered.wait()
            self._open += 1
            await self._hand_on(text)
        while self._open:
            await self._answered.wait()

    async def acknowledge(self) -> None:
        """Take whatever is published."""
        async for first in self.commands:
            for command in drain(self.commands, first, limit=CHANNEL_SIZE):
                if isinstance(command, Publish):
                    await self._acknowledge(command.event)

    async def _acknowledge(self, event: Event) -> None:
        encode(Submit(event))
        await put(self.outcomes, PublishOutcome(event.id, RELAY, Verdict.ACCEPTED))
        if event.kind == 6050:
            self._open -= 1
            self._answered.poke()

    async def _hand_on(self, text: str) -> None:
        frame = frames.decode_relay(text)
        assert isinstance(frame, Found)
        events.check(frame.event)
        await put(self.heard, Heard("jobs", frame.event, RELAY))


async def serve(folder: str) -> None:
    """Be the provider, and time `count` jobs when asked to."""
    commands_in, commands_out = trio.open_memory_channel[RelayCommand](CHANNEL_SIZE)
    heard_in, heard_out = trio.open_memory_channel[Heard | CaughtUp](CHANNEL_SIZE)
    outcomes_in, outcomes_out = trio.open_memory_channel[PublishOutcome](CHANNEL_SIZE)
    health = {RELAY: RelayHealth(RELAY, connected=True)}
    pool = Pool(commands_in, heard_out, outcomes_out, (), health)
    stub = StubRelay(heard_in, commands_out, outcomes_in)
    settings = config(paid=False)
    wallet = MemoryMarket(CLOCK).wallet(KeyPair(b"\4" * 32))

    async def jobs(count: str) -> str:
        texts = [encode(Found("jobs", request(settings))) for _ in range(int(count))]
        began, cpu = time.perf_counter(), time.process_time()
        await stub.bring(texts)
        return f"{time.perf_counter() - began} {time.process_time() - cpu}"

    async with open_store(Path(folder, "pylon.db")) as store, trio.open_nursery() as nursery:
        parts = ProviderParts(settings, PROVIDER, store, wallet, (InstantBackend(),), pool, CLOCK)
        nursery.start_soon(stub.acknowledge)
        await nursery.start(partial(serve_provider, parts, stop=trio.Event()))
        await answer_parent("ready", jobs)


def measure(limit: float | None = None) -> list[Row]:
    """Measure in a process of its own; `limit` is the rate of crypto and store alone."""
    timings: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        with (
            tempfile.TemporaryDirectory() as folder,
            child("benchmarks.durable", folder) as provider,
        ):
            provider.ask("200")  # warm
            wall, cpu = map(float, provider.ask(str(JOBS)).split())
            timings.append((JOBS / wall, JOBS / cpu))
    per_wall, per_cpu = (median(rates) for rates in zip(*timings, strict=True))
    includes = (
        f"{per_cpu:,.0f} a CPU second; parse, verify, admit, worker, sign result and 2 feedbacks,"
        f" 3 synced commits; no relay"
    )
    return [Row("durable job", per_wall, includes, limit, 4_000)]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        trio.run(serve, sys.argv[1])
    else:
        show(measure())
