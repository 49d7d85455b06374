"""Relay connections over WebSocket, as a client."""

import socket
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from types import TracebackType
from typing import TypeAlias, cast
from urllib.parse import urlsplit

import trio
from attrs import define, field, frozen
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)
from wsproto.utilities import ProtocolError

from pylon.errors import RelayLost

MAX_MESSAGE = 1 << 20  # characters; a relay that sends more is dropped with close code 1009
QUEUE_MESSAGES = 1024  # read ahead of whoever receives, then the socket fills and the relay waits
READ_BYTES = 1 << 16
GOODBYE_SECONDS = 1.0
_SHOWN = 120  # characters of a reason that the peer chose

_Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]
_LOSSES = (OSError, trio.BrokenResourceError, ConnectionClosed, HandshakeError, ProtocolError)


@frozen
class WebSocketWire:
    """A `Wire` over one WebSocket. One task receives, without pause; others may send and ping."""

    _url: str
    _socket: WebSocketConnection
    _stream: _Stream

    async def send(self, texts: Sequence[str]) -> None:
        with _as_relay_lost(self._url):
            for text in texts:
                await self._socket.send_message(text)

    async def receive(self) -> list[str]:
        with _as_relay_lost(self._url):
            texts: list[str] = []
            while not texts:
                _acknowledge_at_once(self._stream)
                first = await self._socket.get_message()
                texts = [m for m in (first, *_waiting(self._socket)) if isinstance(m, str)]
            return texts

    async def ping(self) -> None:
        with _as_relay_lost(self._url):
            await self._socket.ping()


def dial_websocket(url: str) -> AbstractAsyncContextManager[WebSocketWire]:
    """Connect to the relay at `url` (ws:// or wss://). The caller sets the timeout.

    Raises:
        RelayLost: when the connection cannot be made.
    """
    return _Dialled(url)


@define(eq=False)
class _Dialled:
    """Owns the stream and the library's reader, both of which the library itself may leave behind.

    It closes no stream whose handshake failed or whose other end closed first, waits for ever for
    the end of one that broke the protocol, and for the handshake with one that hangs up in it.

    A class and not a generator, so that what the caller's block raises passes by the nursery and
    is neither mapped nor wrapped.
    """

    _url: str
    _stream: _Stream = field(init=False)
    _manager: AbstractAsyncContextManager[trio.Nursery] = field(init=False)
    _nursery: trio.Nursery = field(init=False)
    _socket: WebSocketConnection | None = field(default=None, init=False)
    _shaking_hands: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _failure: str = field(default="hung up in the handshake", init=False)

    async def __aenter__(self) -> WebSocketWire:
        with _as_relay_lost(self._url):
            self._stream = await _open_stream(self._url)
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        try:
            with self._shaking_hands:
                self._socket = await self._shake_hands()
        except BaseException:
            await self._end()
            raise
        if self._socket is None:
            await self._end()
            raise RelayLost(self._url, self._failure)
        return WebSocketWire(self._url, self._socket, self._stream)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with trio.move_on_after(GOODBYE_SECONDS), suppress(*_LOSSES):
                await cast("WebSocketConnection", self._socket).aclose()
        finally:
            await self._end()

    def start_soon(self, reader: Callable[[], Awaitable[None]]) -> None:
        """Stand in for a nursery where the library wants one for its reader."""
        self._nursery.start_soon(self._run, reader)

    async def _run(self, reader: Callable[[], Awaitable[None]]) -> None:
        try:
            await reader()
        except _LOSSES as error:
            self._failure = _why(error)  # whoever receives learns of it by the end of messages
        self._shaking_hands.cancel("nobody reads any more")

    async def _shake_hands(self) -> WebSocketConnection:
        parts = urlsplit(self._url)
        return await wrap_client_stream(
            cast("trio.Nursery", self),
            self._stream,
            parts.netloc,
            (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            message_queue_size=QUEUE_MESSAGES,
            max_message_size=MAX_MESSAGE,
            receive_buffer_size=READ_BYTES,
        )

    async def _end(self) -> None:
        self._nursery.cancel_scope.cancel("the connection is no longer needed")
        try:
            await self._manager.__aexit__(None, None, None)
        finally:
            await trio.aclose_forcefully(self._stream)


async def _open_stream(url: str) -> _Stream:
    """Connect; with TLS, shake its hands at once, so that its failures show as what they are."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "wss":
        return await trio.open_tcp_stream(host, parts.port or 80)
    stream = await trio.open_ssl_over_tcp_stream(host, parts.port or 443, https_compatible=True)
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


@contextmanager
def _as_relay_lost(url: str) -> Generator[None, None, None]:
    try:
        yield
    except _LOSSES as error:
        raise RelayLost(url, _why(error)) from error


def _why(error: BaseException) -> str:
    """Say what happened; text of the peer's choosing is cut and quoted."""
    match error:
        case ConnectionClosed(reason=reason) if reason is not None:
            return f"closed ({reason.code}) {(reason.reason or '')[:_SHOWN]!r}"
        case ConnectionRejected(status_code=status):
            return f"no WebSocket here: HTTP {status}"
        case trio.BrokenResourceError(__cause__=BaseException() as cause):
            return _why(cause)
        case _:
            return str(error)[:_SHOWN] or type(error).__name__


def _waiting(connection: WebSocketConnection) -> Generator[str | bytes, None, None]:
    """Yield the messages that have come already: the library's own way costs a task switch each."""
    with suppress(trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
        while True:
            yield connection._recv_channel.receive_nowait()  # noqa: SLF001 - see above


def _acknowledge_at_once(stream: _Stream) -> None:
    """Ask for no delayed ACK: a relay that waits for it before sending on loses 40 ms each time."""
    plain = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    if hasattr(socket, "TCP_QUICKACK"):
        with suppress(OSError):
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
