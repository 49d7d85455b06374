"""The client's WebSocket, over loopback, against servers good and bad."""

import errno
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request, TextMessage

from pylon.adapters.websocket import MAX_MESSAGE, dial_websocket
from pylon.errors import RelayLost

Handler = Callable[[WebSocketConnection], Awaitable[None]]
SECONDS = 10


@asynccontextmanager
async def a_server(handler: Handler) -> AsyncGenerator[str, None]:
    """Serve WebSockets; yields the URL."""

    async def accept(request: WebSocketRequest) -> None:
        try:
            await handler(await request.accept())
        except ConnectionClosed:
            return

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            serve = partial(serve_websocket, accept, "127.0.0.1", 0, None)
            server = await nursery.start(serve)
            yield f"ws://127.0.0.1:{server.port}/"
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def a_raw_server(
    handler: Callable[[trio.SocketStream], Awaitable[None]],
) -> AsyncGenerator[str, None]:
    """Serve bytes; yields the URL a client would think to be a WebSocket's."""

    async def accept(stream: trio.SocketStream) -> None:
        async with stream:
            await handler(stream)

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, accept, [listener])
            yield f"ws://127.0.0.1:{listener.socket.getsockname()[1]}"
            nursery.cancel_scope.cancel()


async def echo(connection: WebSocketConnection) -> None:
    while True:
        await connection.send_message(await connection.get_message())


async def test_what_is_sent_comes_back_in_order() -> None:
    async with a_server(echo) as url, dial_websocket(url) as wire:
        await wire.send(["one", "zwei", "три"])
        received: list[str] = []
        while len(received) < 3:
            received += await wire.receive()

        assert received == ["one", "zwei", "три"]


async def test_a_burst_of_sends_without_a_reader_does_not_deadlock() -> None:
    burst = ["x" * 4096] * 64
    async with a_server(echo) as url, dial_websocket(url) as wire:
        await wire.send(burst)
        received: list[str] = []
        while len(received) < len(burst):
            received += await wire.receive()

        assert received == burst


async def test_one_receive_returns_all_that_has_come() -> None:
    said = trio.Event()

    async def ten(connection: WebSocketConnection) -> None:
        for number in range(10):
            await connection.send_message(str(number))
        said.set()
        await echo(connection)

    async with a_server(ten) as url, dial_websocket(url) as wire:
        await said.wait()

        assert await wire.receive() == [str(number) for number in range(10)]


async def test_a_binary_message_ends_the_connection_after_the_text_before_it() -> None:
    async def mixed(connection: WebSocketConnection) -> None:
        await connection.send_message("text")
        await connection.send_message(b"\x00\x01")
        await echo(connection)

    async with a_server(mixed) as url, dial_websocket(url) as wire:
        assert await wire.receive() == ["text"]
        with pytest.raises(RelayLost, match="1003"):
            await wire.receive()


async def test_what_a_server_says_with_its_handshake_is_received() -> None:
    async def eager(stream: trio.SocketStream) -> None:
        server = WSConnection(ConnectionType.SERVER)
        server.receive_data(bytes(await stream.receive_some(4096)))
        assert isinstance(next(server.events()), Request)
        await stream.send_all(server.send(AcceptConnection()) + server.send(TextMessage("hello")))
        await stream.receive_some(1)

    async with a_raw_server(eager) as url, dial_websocket(url) as wire:
        assert await wire.receive() == ["hello"]


async def test_a_ping_is_over_when_its_pong_is_received() -> None:
    async def chatty(connection: WebSocketConnection) -> None:
        await connection.send_message("hello")
        await echo(connection)

    async with (
        a_server(chatty) as url,
        dial_websocket(url) as wire,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(wire.ping)
        assert await wire.receive() == ["hello"]
        nursery.start_soon(wire.receive)  # goes on hearing, and hears the pong
        while len(nursery.child_tasks) > 1:
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel("it has answered")


async def test_a_close_is_a_lost_relay_with_its_reason_quoted_after_all_that_came_before() -> None:
    async def goodbye(connection: WebSocketConnection) -> None:
        await connection.send_message("last words")
        await connection.aclose(4000, "go\x1b[2Jaway" + "y" * 100)

    async with a_server(goodbye) as url, dial_websocket(url) as wire:
        assert await wire.receive() == ["last words"]
        with pytest.raises(RelayLost) as lost:
            await wire.receive()

        assert "(4000)" in lost.value.why
        assert "\x1b" not in lost.value.why
        for act in (partial(wire.send, ["x"]), wire.ping, wire.receive):
            with pytest.raises(RelayLost):
                await act()


async def test_a_message_over_the_limit_ends_the_connection() -> None:
    async def huge(connection: WebSocketConnection) -> None:
        await connection.send_message("x" * (MAX_MESSAGE + 1))
        await echo(connection)

    async with a_server(huge) as url, dial_websocket(url) as wire:
        with pytest.raises(RelayLost, match="1009"):
            await wire.receive()


async def test_a_port_where_nothing_listens_is_a_lost_relay() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()

    with pytest.raises(RelayLost, match=f"ws://127.0.0.1:{port}"):
        async with dial_websocket(f"ws://127.0.0.1:{port}"):
            pytest.fail("connected to nothing")


async def test_a_server_of_something_else_is_a_lost_relay() -> None:
    async def not_found(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        await stream.send_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    async with a_raw_server(not_found) as url:
        with pytest.raises(RelayLost, match="HTTP 404"):
            async with dial_websocket(url):
                pytest.fail("connected to a web server")


async def test_a_server_that_hangs_up_in_the_handshake_is_a_lost_relay() -> None:
    async def hang_up(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)

    async with a_raw_server(hang_up) as url:
        with pytest.raises(RelayLost, match="handshake"):
            async with dial_websocket(url):
                pytest.fail("connected without a handshake")


@asynccontextmanager
async def a_server_with_tls(folder: Path) -> AsyncGenerator[str, None]:
    """Serve WebSockets over TLS, with a certificate signed by itself in `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    (folder / "pem").write_bytes(certificate.public_bytes(pem) + key.private_bytes(pem, *form))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "pem")

    async def accept(request: WebSocketRequest) -> None:
        with suppress(ConnectionClosed):
            await echo(await request.accept())

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            serve = partial(serve_websocket, accept, "127.0.0.1", 0, context)
            server = await nursery.start(serve)
            yield f"wss://localhost:{server.port}/"
            nursery.cancel_scope.cancel()


async def test_a_relay_is_reached_through_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "pem"))
    async with a_server_with_tls(tmp_path) as url, dial_websocket(url) as wire:
        await wire.send(["secret"])

        assert await wire.receive() == ["secret"]


async def test_a_certificate_that_nobody_vouches_for_is_a_lost_relay(tmp_path: Path) -> None:
    async with a_server_with_tls(tmp_path) as url:
        with pytest.raises(RelayLost, match="CERTIFICATE_VERIFY_FAILED"):
            async with dial_websocket(url):
                pytest.fail("believed a stranger")


async def test_a_server_without_tls_is_a_lost_relay_that_says_so() -> None:
    async with a_server(echo) as url:
        with pytest.raises(RelayLost, match="SSL"):
            async with dial_websocket(url.replace("ws:", "wss:")):
                pytest.fail("connected without encryption")


async def test_a_handshake_that_never_ends_is_left_to_the_callers_timeout() -> None:
    async def dawdle(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with a_raw_server(dawdle) as url:
        with trio.move_on_after(0.2) as patience:
            async with dial_websocket(url):
                pytest.fail("connected without a handshake")

        assert patience.cancelled_caught


async def test_broken_framing_is_a_lost_relay() -> None:
    async def rude(connection: WebSocketConnection) -> None:
        await connection.send_message("hello")
        await connection._stream.send_all(b"\xff\xff\xff\xff\xff")
        await trio.sleep_forever()

    async with a_server(rude) as url, dial_websocket(url) as wire:
        assert await wire.receive() == ["hello"]
        with pytest.raises(RelayLost):
            await wire.receive()


async def test_a_connection_torn_down_is_a_lost_relay() -> None:
    async def tear(connection: WebSocketConnection) -> None:
        await connection.get_message()
        await connection._stream.aclose()

    async with a_server(tear) as url, dial_websocket(url) as wire:
        await wire.send(["hello"])
        with pytest.raises(RelayLost, match="hung up"):
            await wire.receive()


async def test_what_the_callers_block_raises_is_not_taken_for_a_lost_relay() -> None:
    async with a_server(echo) as url:
        with pytest.raises(OSError, match="disk"):
            async with dial_websocket(url):
                raise OSError(errno.ENOSPC, "disk full")


async def test_a_server_that_does_not_say_goodbye_delays_the_end_by_a_second_at_most() -> None:
    async def deaf(connection: WebSocketConnection) -> None:
        await trio.sleep_forever()  # its queue is full of our messages: it sees no goodbye

    async with a_server(deaf) as url:
        async with dial_websocket(url) as wire:
            await wire.send(["x"] * 3)
            began = trio.current_time()

        assert trio.current_time() - began < 3
