"""The socket side of the relay: what comes in whole goes up, what is broken or greedy goes out."""

import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing
from attrs import define, field
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import (
    CloseConnection,
    Ping,
    Pong,
    TextMessage,
)

from pylon.adapters.http.websocket_server import (
    HttpReply,
    HttpRequest,
    SocketLimits,
    listen,
    serve_websockets,
)
from pylon.errors import Misconfigured, PeerFault, RelayLost
from pylon.ports.relay import Wire
from tests.websocket_client import Client, open_client

LIMITS = SocketLimits(message_bytes=1_000, head_bytes=2_000, handshake_seconds=0.3, connections=3)
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@define
class Server:
    """A running server, and what its handler has seen."""

    port: int
    scope: trio.CancelScope
    heard: list[list[str]] = field(factory=list)
    ends: list[str] = field(factory=list)

    async def tcp(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    def websocket(self) -> AbstractAsyncContextManager[Client]:
        return open_client(self.port)


async def echo(wire: Wire) -> None:
    while True:
        for text in await wire.receive():
            if text == "bye":
                return
            if text == "fault":
                raise PeerFault("no such manners")
            await wire.send([text])


def answer(request: HttpRequest) -> HttpReply:
    return HttpReply(
        200, [("Content-Type", "text/plain")], f"{request.method} {request.target}".encode()
    )


@asynccontextmanager
async def serving(
    handler: Callable[[Wire], Awaitable[None]] = echo,
) -> AsyncGenerator[Server, None]:
    seen: list[list[str]] = []
    ends: list[str] = []

    async def observed(wire: Wire) -> None:
        try:
            await handler(Recording(wire, seen))
        except RelayLost as lost:
            ends.append(lost.why)
            raise

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            listeners, port = await listen("127.0.0.1", 0)
            await nursery.start(
                partial(serve_websockets, listeners, observed, answer, limits=LIMITS)
            )
            yield Server(port, nursery.cancel_scope, seen, ends)
            nursery.cancel_scope.cancel()


@define
class Recording:
    """A wire that notes the batches it passes on."""

    _wire: Wire
    _seen: list[list[str]]

    async def send(self, texts: Sequence[str]) -> None:
        await self._wire.send(texts)

    async def receive(self) -> list[str]:
        texts = await self._wire.receive()
        self._seen.append(texts)
        return texts

    async def ping(self) -> None:
        await self._wire.ping()


async def until_end(stream: trio.SocketStream) -> bytes:
    data = b""
    while chunk := await stream.receive_some():
        data += chunk
    return data


async def test_a_text_goes_there_and_back() -> None:
    async with serving() as server, server.websocket() as client:
        await client.say(TextMessage("grüß dich"))
        assert await client.hear() == TextMessage("grüß dich")


async def test_frames_written_together_arrive_as_one_batch() -> None:
    async with serving() as server, server.websocket() as client:
        await client.say(TextMessage("a"), TextMessage("b"), TextMessage("c"))
        for text in "abc":
            assert await client.hear() == TextMessage(text)
        assert server.heard == [["a", "b", "c"]]


async def test_many_texts_are_sent_in_one_write() -> None:
    async def burst(wire: Wire) -> None:
        await wire.send(["a", "b"])
        await wire.receive()

    async with serving(burst) as server, server.websocket() as client:
        data = await client.stream.receive_some()
        assert data == b"\x81\x01a\x81\x01b"


async def test_frames_sent_with_the_handshake_are_not_lost() -> None:
    async with serving() as server, await server.tcp() as stream:
        early = Connection(ConnectionType.CLIENT).send(TextMessage("early"))
        await stream.send_all(UPGRADE + bytes(early))
        received = b""
        while not received.endswith(b"\x81\x05early"):
            received += await stream.receive_some()


async def test_a_fragmented_message_is_put_together() -> None:
    async with serving() as server, server.websocket() as client:
        await client.say(TextMessage("one ", message_finished=False), TextMessage("text"))
        assert await client.hear() == TextMessage("one text")


async def test_a_plain_request_is_answered_on_the_same_port() -> None:
    async with serving() as server, await server.tcp() as stream:
        await stream.send_all(b"GET /info HTTP/1.1\r\nHost: x\r\n\r\n")
        reply = await until_end(stream)
        assert reply.startswith(b"HTTP/1.1 200 ")
        assert reply.endswith(b"\r\n\r\nGET /info")


async def test_small_replies_are_not_held_back() -> None:
    options: list[int] = []

    async def look(wire: Wire) -> None:
        stream = wire._wire._stream  # type: ignore[attr-defined]
        options.append(stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    async with serving(look) as server, server.websocket() as client:
        await client.hear()
        assert options == [1]


async def test_a_ping_is_answered_with_its_payload() -> None:
    async with serving() as server, server.websocket() as client:
        await client.say(Ping(b"are you there"))
        assert await client.hear() == Pong(b"are you there")


async def test_our_ping_waits_for_the_pong() -> None:
    events: list[str] = []

    async def pinging(wire: Wire) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.receive)
            await wire.ping()
            events.append("ponged")
            nursery.cancel_scope.cancel()

    async with serving(pinging) as server, server.websocket() as client:
        ping = await client.hear()
        assert isinstance(ping, Ping)
        assert events == []
        await client.say(Pong(b"another"), ping.response())
        closed = await client.hear()
        assert isinstance(closed, CloseConnection)
        assert closed.code == 1000
        assert events == ["ponged"]


@pytest.mark.parametrize(
    ("said", "code", "reason"),
    [("bye", 1000, ""), ("fault", 1008, "no such manners")],
)
async def test_how_the_handler_ends_is_the_close_code(said: str, code: int, reason: str) -> None:
    async with serving() as server, server.websocket() as client:
        await client.say(TextMessage(said))
        closed = await client.hear()
        assert isinstance(closed, CloseConnection)
        assert (closed.code, closed.reason or "") == (code, reason)


async def test_a_server_that_stops_says_going_away() -> None:
    async with serving() as server, server.websocket() as client:
        await client.say(TextMessage("hello"))
        await client.hear()
        server.scope.cancel()
        with trio.CancelScope(shield=True):
            closed = await client.hear()
        assert isinstance(closed, CloseConnection)
        assert closed.code == 1001


async def test_a_client_that_closes_gets_its_close_back_after_its_messages_counted() -> None:
    async with serving() as server, server.websocket() as client:
        await client.say(TextMessage("last"), CloseConnection(1000, "done"))
        assert server.ends == []
        await until_end(client.stream)
        assert server.heard == [["last"]]
        assert server.ends == ["closed (1000) 'done'"]


async def test_a_client_that_vanishes_is_a_lost_relay_to_the_handler() -> None:
    async with serving() as server:
        async with server.websocket():
            pass
        while not server.ends:
            await trio.testing.wait_all_tasks_blocked()
        assert server.ends == ["it hung up"]


def masked(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    size = len(payload)
    head = bytes([opcode | 0x80 * fin])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += bytes([0x80 | 126]) + struct.pack("!H", size)
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", size)
    return head + b"\0\0\0\0" + payload


@pytest.mark.parametrize(
    ("bytes_sent", "code"),
    [
        (masked(1, b"x" * 1_001), 1009),
        (masked(1, "ü".encode() * 501), 1009),
        (masked(1, b"x" * 600, fin=False) + masked(0, b"x" * 600), 1009),
        (masked(1, b"", fin=False) + masked(0, b"", fin=False) * 2_000, 1009),
        (masked(2, b"binary"), 1003),
        (masked(1, b"\xff\xfe"), 1007),
        (b"\x81\x01a", 1002),  # not masked
        (masked(3, b"?"), 1002),
        (b"garbage of no shape", 1002),
    ],
    ids=[
        "long",
        "long-in-bytes",
        "long-in-parts",
        "crumbs",
        "binary",
        "utf8",
        "bare",
        "opcode",
        "junk",
    ],
)
async def test_what_breaks_the_rules_is_closed_with_its_code(bytes_sent: bytes, code: int) -> None:
    async with serving() as server, server.websocket() as client:
        await client.stream.send_all(bytes_sent)
        closed = await client.hear()
        assert isinstance(closed, CloseConnection)
        assert closed.code == code
        assert server.heard == []


async def test_a_giant_frame_is_refused_before_it_has_come() -> None:
    async with serving() as server, server.websocket() as client:
        await client.stream.send_all(
            b"\x81\xff" + struct.pack("!Q", 1 << 40) + b"\0\0\0\0" + b"x" * 2_000
        )
        closed = await client.hear()
        assert isinstance(closed, CloseConnection)
        assert closed.code == 1009


async def test_a_message_of_just_the_limit_passes() -> None:
    async with serving() as server, server.websocket() as client:
        await client.say(TextMessage("x" * 1_000))
        assert await client.hear() == TextMessage("x" * 1_000)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01 TLS perhaps\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"a" * 3_000, b"431"),
        (UPGRADE.replace(b"Version: 13", b"Version: 7"), b"426"),
        (
            UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"\xff").replace(
                b"Sec-WebSocket-Key", b"X"
            ),
            b"400",
        ),
        (UPGRADE.replace(b"Host: x", b"Host: \xff\xfe"), b"400"),
        (UPGRADE.replace(b"Connection: Upgrade", b"Connection: \xff"), b"400"),
    ],
    ids=["garbage", "long-head", "version", "no-key", "host", "connection"],
)
async def test_a_broken_handshake_is_answered_and_ended(sent: bytes, status: bytes) -> None:
    async with serving() as server, await server.tcp() as stream:
        await stream.send_all(sent)
        reply = await until_end(stream)
        assert reply.startswith(b"HTTP/1.1 " + status)


async def test_a_handshake_that_never_ends_is_dropped() -> None:
    async with serving() as server, await server.tcp() as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHo")
        assert await until_end(stream) == b""


async def test_connections_over_the_limit_are_dropped_and_room_comes_back() -> None:
    async with (
        serving() as server,
        server.websocket(),
        server.websocket(),
        server.websocket() as third,
    ):
        async with await server.tcp() as fourth:
            assert await until_end(fourth) == b""
        await third.say(CloseConnection(1000))
        await until_end(third.stream)
        async with server.websocket() as another:
            await another.say(TextMessage("in"))
            assert await another.hear() == TextMessage("in")


async def test_a_taken_port_is_the_users_to_mend() -> None:
    async with serving() as server:
        with pytest.raises(Misconfigured, match=f"127.0.0.1 port {server.port}"):
            await listen("127.0.0.1", server.port)
