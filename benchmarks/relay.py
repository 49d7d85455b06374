"""How much our relay takes in and passes on, over loopback: `python -m benchmarks.relay`.

The relay runs in a process of its own; this process is all of its clients. "a CPU second" counts
the relay's own CPU time: what one core would do that had nothing else to run.
"""

import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import trio
from attrs import define, field
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection
from wsproto.events import Request, TextMessage

from benchmarks.processes import answer_parent, child, no_answer
from benchmarks.rows import Row, rate, show
from pylon.app.relay import serve_relay
from pylon.core.relay_rules import RelayRules
from pylon.model.event import Draft, Event
from pylon.wire.event import check, sign
from pylon.wire.frames import Submit, encode
from pylon.wire.secp import KeyPair

EVENTS = 10_000
DEPTH = 128  # events sent and not yet answered
LISTENERS = 50
KEYS = KeyPair(bytes(31) + b"\x01")
NOW = int(time.time())


def job(number: int, kind: int = 5050) -> Event:
    """Make a job request of about 500 bytes."""
    tags = (("i", "What is 2+2?" * 8, "text"), ("p", f"{number % 100:064x}"), ("bid", "1000"))
    return sign(Draft(kind, NOW, tags, str(number)), KEYS)


def event_id(text: str) -> str:
    start = text.index('"id":"') + 6
    return text[start : start + 64]


@define
class Client:
    """As little client as will do: it must not be what is measured."""

    stream: trio.SocketStream
    frames: Connection
    waiting: list[str] = field(factory=list)

    def pack(self, text: str) -> bytes:
        return bytes(self.frames.send(TextMessage(text)))

    async def hear(self) -> list[str]:
        while True:
            self.frames.receive_data(await self.stream.receive_some(65_536))
            parts = [e for e in self.frames.events() if isinstance(e, TextMessage)]
            texts = []
            for part in parts:
                self.waiting.append(part.data)
                if part.message_finished:
                    texts.append("".join(self.waiting))
                    self.waiting.clear()
            if texts:
                return texts


@asynccontextmanager
async def connect(port: int) -> AsyncGenerator[Client, None]:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        ws = WSConnection(ConnectionType.CLIENT)
        await stream.send_all(ws.send(Request(host="relay", target="/")))
        while ws.connection is None:
            ws.receive_data(await stream.receive_some())
        yield Client(stream, ws.connection)


async def serve(store: str) -> None:
    """Be the relay."""
    rules = RelayRules(rate=1e9, burst=1e9)
    path = Path(store) if store else None
    async with trio.open_nursery() as nursery:
        url = await nursery.start(partial(serve_relay, port=0, store=path, rules=rules))
        await answer_parent(url.rpartition(":")[2], no_answer)


async def publish(client: Client, events: Sequence[Event]) -> None:
    """Send events with at most DEPTH unanswered, until every one is accepted."""
    packed = [client.pack(encode(Submit(event))) for event in events]
    sent = answered = 0
    while answered < len(packed):
        if sent - answered <= DEPTH // 2:
            await client.stream.send_all(b"".join(packed[sent : answered + DEPTH]))
            sent = min(answered + DEPTH, len(packed))
        oks = await client.hear()
        assert all(',true,"' in ok for ok in oks), oks
        answered += len(oks)


async def events_in(name: str, limit: float, *, store: str = "") -> Row:
    events = [job(n) for n in range(EVENTS)]
    with child("benchmarks.relay", "serve", store) as server:
        async with connect(int(server.hello)) as client:
            cpu, began = server.cpu(), time.perf_counter()
            await publish(client, events)
            wall, cpu = time.perf_counter() - began, server.cpu() - cpu
    return Row(name, EVENTS / wall, f"one client, {EVENTS / cpu:,.0f} a CPU second", limit)


async def fan_out() -> Row:
    events = [job(n, kind=20_050) for n in range(1_000)]
    delays: list[float] = []
    with child("benchmarks.relay", "serve", "") as server:
        port = int(server.hello)
        async with trio.open_nursery() as nursery:
            listeners = _Listeners(len(events), delays)
            for _ in range(LISTENERS):
                await nursery.start(listeners.listen, port)
            cpu, began = server.cpu(), time.perf_counter()
            await listeners.tell(events, port)
            nursery.cancel_scope.cancel()
        wall, cpu = time.perf_counter() - began, server.cpu() - cpu
    count, p99 = len(delays), quantiles(delays, n=100)[98]
    delay = f"sent to heard p50 {median(delays) * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms"
    includes = f"{LISTENERS} listeners, {count / cpu:,.0f} a CPU second; {delay}"
    return Row("relay fan-out", count / wall, includes)


@define
class _Listeners:
    """Clients that hear what one of them tells, and how long each word took."""

    events: int
    delays: list[float]
    _sent_at: dict[str, float] = field(factory=dict, init=False)
    _done: trio.Event = field(factory=trio.Event, init=False)

    async def listen(
        self, port: int, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        async with connect(port) as client:
            await client.stream.send_all(client.pack('["REQ","s",{"kinds":[20050]}]'))
            await client.hear()
            task_status.started()
            while True:
                texts = await client.hear()
                now = time.perf_counter()
                self.delays.extend(now - self._sent_at[event_id(text)] for text in texts)
                if len(self.delays) == LISTENERS * self.events:
                    self._done.set()

    async def tell(self, events: Sequence[Event], port: int) -> None:
        async with connect(port) as client:
            for event in events:
                self._sent_at[event.id] = time.perf_counter()
                await client.stream.send_all(client.pack(encode(Submit(event))))
                await client.hear()
            await self._done.wait()


async def measure() -> list[Row]:
    """Measure the relay beside what it cannot do without: checking and verifying."""
    event = job(0)
    verify = Row("check and verify", rate(lambda: check(event)), "an event of 500 bytes")
    with tempfile.TemporaryDirectory() as folder:
        return [
            verify,
            await events_in("relay in, memory", verify.per_second),
            await events_in("relay in, durable", verify.per_second, store=f"{folder}/relay.db"),
            await fan_out(),
        ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        trio.run(serve, sys.argv[2])
    else:
        show(trio.run(measure))
