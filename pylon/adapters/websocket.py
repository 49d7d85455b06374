"""Relay connections over WebSocket, as a client.

The handshake is wsproto's; what follows is the same stream of frames as on the relay's side. Why not
trio-websocket: docs/decisions/0002.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import SplitResult, urlsplit

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection
from wsproto.events import RejectConnection, Request
from wsproto.utilities import ProtocolError

from pylon.adapters.http.websocket_stream import CloseCode, Stream, WebSocketStream
from pylon.errors import RelayLost

MAX_MESSAGE = 1 << 20  # bytes; a relay that sends more is dropped with close code 1009
GOODBYE_SECONDS = 1.0

_READ = 16 * 1024
_SHOWN = 120  # characters of a reason that the peer chose


@asynccontextmanager
async def dial_websocket(url: str) -> AsyncGenerator[WebSocketStream, None]:
    """Connect to the relay at `url` (ws:// or wss://). The caller sets the timeout.

    Raises:
        RelayLost: when the connection cannot be made.
    """
    stream = await _open_stream(url)
    try:
        frames = await _shake_hands(stream, url)
        wire = WebSocketStream(stream, frames, peer=url, limit=MAX_MESSAGE)
        try:
            yield wire
        finally:
            with trio.move_on_after(GOODBYE_SECONDS, shield=True):
                await wire.close(CloseCode.NORMAL_CLOSURE, "")
    finally:
        await trio.aclose_forcefully(stream)


async def _open_stream(url: str) -> Stream:
    """Connect; with TLS, shake its hands at once, so that its failures show as what they are."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        if parts.scheme != "wss":
            return await trio.open_tcp_stream(host, parts.port or 80)
        stream = await trio.open_ssl_over_tcp_stream(host, parts.port or 443, https_compatible=True)
    except OSError as error:
        raise RelayLost(url, _why(error)) from error
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise RelayLost(url, _why(error.__cause__ or error)) from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


async def _shake_hands(stream: Stream, url: str) -> Connection:
    parts, websocket = urlsplit(url), WSConnection(ConnectionType.CLIENT)
    try:
        await stream.send_all(websocket.send(Request(host=parts.netloc, target=_target(parts))))
        while websocket.connection is None:
            data = bytes(await stream.receive_some(_READ))
            if not data:
                raise RelayLost(url, "hung up in the handshake")
            websocket.receive_data(data)
            if refusal := _refusal(websocket):
                raise RelayLost(url, f"no WebSocket here: HTTP {refusal.status_code}")
    except (trio.BrokenResourceError, ProtocolError) as error:
        raise RelayLost(url, _why(error.__cause__ or error)) from error
    return websocket.connection


def _refusal(websocket: WSConnection) -> RejectConnection | None:
    """Return the refusal, if there is one; an acceptance shows in that there is a connection."""
    answers = websocket.handshake.events()
    return next((event for event in answers if isinstance(event, RejectConnection)), None)


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _why(error: BaseException) -> str:
    return str(error)[:_SHOWN] or type(error).__name__
