"""WebSockets and plain HTTP on one port, straight on Trio streams.

A WebSocket library that owns the port cannot answer the plain GET of NIP-11, and one task step a
message costs more than the message: here one read yields every frame that has come, and one write
carries every frame that waits. No TLS: this listens on loopback, or behind a proxy.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

import h11
import trio
from attrs import Factory, define, field, frozen
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection
from wsproto.utilities import RemoteProtocolError

from pylon.adapters.http.websocket_stream import CloseCode, WebSocketStream
from pylon.errors import Misconfigured, PeerFault, RelayLost
from pylon.ports.relay import Wire

log = logging.getLogger(__name__)

_READ = 64 * 1024
_GOODBYE_SECONDS = 1.0


@frozen
class HttpRequest:
    """The head of a plain request; header names are lower case."""

    method: str
    target: str
    headers: Mapping[str, str]


@frozen
class HttpReply:
    """A whole answer. `Content-Length` and `Connection: close` are added to `headers`."""

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""


@frozen
class SocketLimits:
    """What a client may cost before it has said anything worth hearing."""

    message_bytes: int = 512 * 1024  # a longer message ends the connection (1009)
    head_bytes: int = 16 * 1024
    handshake_seconds: float = 5.0
    connections: int = 1_000  # at once; more are dropped unheard


Handler = Callable[[Wire], Awaitable[None]]
Answer = Callable[[HttpRequest], HttpReply]


async def listen(host: str, port: int) -> tuple[Sequence[trio.SocketListener], int]:
    """Bind an address and return what `serve_websockets` wants, and the port, also for port 0.

    Raises:
        Misconfigured: The address cannot be had.
    """
    try:
        listeners = await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        raise Misconfigured(
            f"cannot listen on {host} port {port}: {(error.strerror or str(error)).lower()}; "
            "another port may be free"
        ) from error
    return listeners, listeners[0].socket.getsockname()[1]


async def serve_websockets(
    listeners: Sequence[trio.SocketListener],
    handler: Handler,
    http: Answer,
    *,
    limits: SocketLimits = SocketLimits(),
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled, and close the listeners then.

    `handler` has a connection for as long as it runs. Its return closes with 1000, a `PeerFault`
    it raises closes with 1008 and its text as the reason, a `RelayLost` is the end of the
    connection and no news; anything else is a bug and ends the server. `http` answers every
    request that asks for no upgrade.
    """
    server = _Server(handler, http, limits)
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, server.serve, listeners)
        task_status.started()


@define(eq=False)
class _Server:
    _handler: Handler
    _http: Answer
    _limits: SocketLimits
    _open: int = field(default=0, init=False)

    async def serve(self, stream: trio.SocketStream) -> None:
        """Live one connection through; only a bug escapes. Trio closes the stream afterwards."""
        self._open += 1
        try:
            # The peer may vanish at any point, and then there is nobody left to tell.
            with suppress(trio.BrokenResourceError, RelayLost):
                if self._open <= self._limits.connections:
                    await self._live(stream)
        finally:
            self._open -= 1

    async def _live(self, stream: trio.SocketStream) -> None:
        wire = await self._shake_hands(stream)
        if wire is not None:
            await self._converse(wire)

    async def _shake_hands(self, stream: trio.SocketStream) -> WebSocketStream | None:
        with trio.move_on_after(self._limits.handshake_seconds):
            head = _Head(stream, self._limits.head_bytes)
            try:
                request = await head.read()
                if request is None:
                    return None
                if _asks_for_upgrade(request):
                    return await self._upgrade(stream, head, request)
                await head.reply(self._http(_plain(request)))
            except _Refused as refused:
                await head.reply(HttpReply(refused.status, refused.headers))
        return None

    async def _upgrade(
        self, stream: trio.SocketStream, head: "_Head", request: h11.Request
    ) -> WebSocketStream:
        websocket = WSConnection(ConnectionType.SERVER)
        try:
            websocket.initiate_upgrade_connection(list(request.headers), request.target)
            accepted = websocket.send(AcceptConnection())
        except (RemoteProtocolError, h11.ProtocolError, UnicodeError) as error:
            raise _Refused.by(error) from error
        await stream.send_all(accepted)
        frames = websocket.connection
        assert frames is not None  # noqa: S101 - accepted, so it is there
        frames.receive_data(head.rest())
        return WebSocketStream(stream, frames, peer="client", limit=self._limits.message_bytes)

    async def _converse(self, wire: WebSocketStream) -> None:
        code, reason = CloseCode.GOING_AWAY, "the server is closing"
        try:
            await self._handler(wire)
            code, reason = CloseCode.NORMAL_CLOSURE, ""
        except PeerFault as fault:
            code, reason = CloseCode.POLICY_VIOLATION, str(fault)
        finally:
            with trio.move_on_after(_GOODBYE_SECONDS, shield=True):
                await wire.close(code, reason)


class _Refused(Exception):
    """The request's head earns a refusal."""

    def __init__(self, status: int, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers

    @classmethod
    def by(cls, error: Exception) -> "_Refused":
        """Take the status a library suggests, and 400 where it suggests none."""
        hint = getattr(error, "event_hint", None)
        if hint is None:
            return cls(getattr(error, "error_status_hint", 400))
        headers = [(name.decode(), value.decode()) for name, value in hint.headers]
        return cls(hint.status_code, headers)


@frozen
class _Head:
    """The HTTP side of a connection: one request read, at most one reply written."""

    _stream: trio.SocketStream
    _limit: int
    _http: h11.Connection = Factory(
        lambda self: h11.Connection(h11.SERVER, max_incomplete_event_size=self._limit),
        takes_self=True,
    )

    async def read(self) -> h11.Request | None:
        """Return the request, None if the client left first; raise `_Refused`."""
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._stream.receive_some(_READ))
        except h11.RemoteProtocolError as error:
            raise _Refused.by(error) from error
        return event if isinstance(event, h11.Request) else None

    def rest(self) -> bytes:
        """Return what came after the head: a client need not wait before its first frame."""
        data, _ = self._http.trailing_data
        return data

    async def reply(self, reply: HttpReply) -> None:
        """Answer and finish sending."""
        headers = [
            *reply.headers,
            ("Content-Length", str(len(reply.body))),
            ("Connection", "close"),
        ]
        head = h11.Response(status_code=reply.status, headers=headers)
        events = (head, h11.Data(data=reply.body), h11.EndOfMessage())
        await self._stream.send_all(b"".join(self._http.send(event) or b"" for event in events))
        await self._stream.send_eof()


def _asks_for_upgrade(request: h11.Request) -> bool:
    return request.method == b"GET" and any(name == b"upgrade" for name, _ in request.headers)


def _plain(request: h11.Request) -> HttpRequest:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
    return HttpRequest(request.method.decode(), request.target.decode(), headers)
