"""Relay connections over WebSocket, as a client."""

import socket
from collections.abc import Generator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from types import TracebackType

import trio
from attrs import define, field, frozen
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    DisconnectionTimeout,
    HandshakeError,
    WebSocketConnection,
    open_websocket_url,
)
from wsproto.utilities import ProtocolError

from pylon.errors import RelayLost

MAX_MESSAGE = 1 << 20  # characters; a relay that sends more is dropped with close code 1009
QUEUE_MESSAGES = 1024  # read ahead of whoever receives, then the socket fills and the relay waits
READ_BYTES = 1 << 16
GOODBYE_SECONDS = 1.0
_SHOWN = 120  # characters of a reason that the peer chose


@frozen
class WebSocketWire:
    """A `Wire` over one WebSocket. One task receives, without pause; others may send and ping."""

    _url: str
    _socket: WebSocketConnection

    async def send(self, texts: Sequence[str]) -> None:
        with _as_relay_lost(self._url):
            for text in texts:
                await self._socket.send_message(text)

    async def receive(self) -> list[str]:
        with _as_relay_lost(self._url):
            texts: list[str] = []
            while not texts:
                _acknowledge_at_once(self._socket)
                first = await self._socket.get_message()
                texts = [m for m in (first, *_waiting(self._socket)) if isinstance(m, str)]
            return texts

    async def ping(self) -> None:
        with _as_relay_lost(self._url):
            await self._socket.ping()


def dial_websocket(url: str) -> AbstractAsyncContextManager[WebSocketWire]:
    """Connect to the relay at `url`. The caller sets the timeout.

    A server that hangs up in the midst of the handshake shows only by that timeout.

    Raises:
        RelayLost: when the connection cannot be made, or breaks the protocol later on.
    """
    return _Dialled(url)


@define
class _Dialled:
    """A class, not a generator: so what the caller's block raises never meets our mapping."""

    _url: str
    _opening: AbstractAsyncContextManager[WebSocketConnection] = field(init=False)

    async def __aenter__(self) -> WebSocketWire:
        self._opening = open_websocket_url(
            self._url,
            message_queue_size=QUEUE_MESSAGES,
            max_message_size=MAX_MESSAGE,
            receive_buffer_size=READ_BYTES,
            connect_timeout=float("inf"),
            disconnect_timeout=GOODBYE_SECONDS,
        )
        with _as_relay_lost(self._url):
            return WebSocketWire(self._url, await self._opening.__aenter__())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        with _as_relay_lost(self._url), suppress(DisconnectionTimeout):
            return await self._opening.__aexit__(kind, error, trace)
        return None


@contextmanager
def _as_relay_lost(url: str) -> Generator[None, None, None]:
    try:
        yield
    except (OSError, ConnectionClosed, HandshakeError, ProtocolError) as error:
        raise RelayLost(url, _why(error)) from error


def _why(error: Exception) -> str:
    """Say what happened; text of the peer's choosing is cut and quoted."""
    match error:
        case ConnectionClosed(reason=reason) if reason is not None:
            return f"closed ({reason.code}) {(reason.reason or '')[:_SHOWN]!r}"
        case ConnectionRejected(status_code=status):
            return f"no WebSocket here: HTTP {status}"
        case HandshakeError(__cause__=OSError() as cause):
            return str(cause) or type(cause).__name__
        case _:
            return str(error)[:_SHOWN] or type(error).__name__


def _waiting(connection: WebSocketConnection) -> Generator[str | bytes, None, None]:
    """Yield the messages that have come already: the library's own way costs a task switch each."""
    with suppress(trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
        while True:
            yield connection._recv_channel.receive_nowait()  # noqa: SLF001 - see above


def _acknowledge_at_once(connection: WebSocketConnection) -> None:
    """Ask for no delayed ACK: a relay that waits for it before sending on loses 40 ms each time."""
    stream = connection._stream  # noqa: SLF001 - the library shows its socket nowhere else
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if isinstance(stream, trio.SocketStream) and hasattr(socket, "TCP_QUICKACK"):
        with suppress(OSError):
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
