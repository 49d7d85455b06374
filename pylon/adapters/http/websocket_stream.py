"""One WebSocket connection: frames on a Trio stream behind the `Wire` port, for both ends of it.

One read yields every frame that has come, and one write carries every frame that waits: a task step
and a system call cost more than a message.
"""

import secrets
import socket
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeAlias

import trio
from attrs import define, field
from wsproto.connection import Connection, ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason as CloseCode

from pylon.errors import RelayLost

__all__ = ["CloseCode", "Stream", "WebSocketStream"]

_READ = 64 * 1024
_MOST_FRAGMENTS = 1_024  # a message in more pieces is an attack on the parser


Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]


@define(eq=False)
class WebSocketStream:
    """A `Wire` over one WebSocket whose hands are shaken; only one task may `receive`.

    `peer` names the other end in errors. Text only (a binary message ends the connection with 1003). A message over `limit` bytes ends
    it with 1009 as soon as that much has come, broken framing with 1002, broken UTF-8 with 1007.
    """

    _stream: Stream
    _frames: Connection
    _peer: str = field(kw_only=True)
    _limit: int = field(kw_only=True)
    _parts: list[str] = field(factory=list, init=False)
    _size: int = field(default=0, init=False)
    _sending: trio.Lock = field(factory=trio.Lock, init=False)
    _pings: dict[bytes, trio.Event] = field(factory=dict, init=False)
    _lost: str | None = field(default=None, init=False)
    _torn: bool = field(default=False, init=False)  # a write was cut short: no frame can follow

    async def send(self, texts: Sequence[str]) -> None:
        """See `Wire.send`. Cancelled half-way, the connection is good for nothing but dropping."""
        self._check()
        # A message is a frame of its own: there is no state in between to guard by the lock.
        data = b"".join(bytes(self._frames.send(TextMessage(text))) for text in texts)
        await self._write(data)

    async def receive(self) -> list[str]:
        """See `Wire.receive`; pings are answered on the way."""
        while True:
            if texts := await self._take():  # at first, what came with the handshake
                return texts
            self._check()
            if data := await self._read():
                self._frames.receive_data(data)
            else:
                self._lost = "it hung up"

    async def ping(self) -> None:
        """See `Wire.ping`; the pong is noticed by whoever receives meanwhile."""
        self._check()
        payload = secrets.token_bytes(4)
        self._pings[payload] = answered = trio.Event()
        try:
            await self._write(bytes(self._frames.send(Ping(payload))))
            await answered.wait()
        finally:
            del self._pings[payload]

    async def close(self, code: CloseCode, reason: str) -> None:
        """Say why, unless that is said already; finish sending, and hear the client out.

        A socket closed over unread input answers with a reset, which may overtake the reason: so
        what still comes is read, for as long as the caller's patience lasts.
        """
        with suppress(RelayLost):
            if self._frames.state is ConnectionState.OPEN and not self._torn:
                await self._write(bytes(self._frames.send(CloseConnection(code, reason))))
            if self._frames.state is ConnectionState.LOCAL_CLOSING:
                await self._drain()

    def _check(self) -> None:
        if self._lost is not None:
            raise RelayLost(self._peer, self._lost)

    async def _read(self) -> bytes:
        with self._mapped():
            _acknowledge_at_once(self._stream)
            return bytes(await self._stream.receive_some(_READ))

    async def _write(self, data: bytes) -> None:
        with self._mapped():
            async with self._sending:
                self._torn = True
                await self._stream.send_all(data)
                self._torn = False

    async def _drain(self) -> None:
        if isinstance(self._stream, trio.SocketStream):  # TLS has no such thing
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._stream.send_eof()
        while await self._read():
            pass

    @contextmanager
    def _mapped(self) -> Generator[None, None, None]:
        try:
            yield
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._lost = self._lost or str(error.__cause__ or error)
            raise RelayLost(self._peer, self._lost) from error

    async def _take(self) -> list[str]:
        """Collect the messages completed by what was fed, and answer the control frames."""
        texts: list[str] = []
        ping: Ping | None = None
        for event in self._events():
            match event:
                case TextMessage():
                    texts.extend(self._assemble(event))
                case Ping():
                    ping = event  # RFC 6455 5.5.3: only the last one needs an answer
                case Pong(payload=payload):
                    self._answered(bytes(payload))
                case CloseConnection(code=code, reason=reason):
                    await self._end(code, reason or "")
        if ping is not None and self._lost is None:
            await self._write(bytes(self._frames.send(ping.response())))
        return texts

    def _events(self) -> Iterator[Event]:
        """Yield wsproto's events, and an end of our own making where it goes on too long."""
        for event in self._frames.events():
            if isinstance(event, BytesMessage):
                yield CloseConnection(CloseCode.UNSUPPORTED_DATA, "text only")
                return
            yield event
            if self._size > self._limit or len(self._parts) > _MOST_FRAGMENTS:
                yield CloseConnection(CloseCode.MESSAGE_TOO_BIG, f"over {self._limit} bytes")
                return

    def _assemble(self, event: TextMessage) -> list[str]:
        """Return the message that `event` completes, if it does."""
        self._parts.append(event.data)
        self._size += len(event.data) if event.data.isascii() else len(event.data.encode())
        if not event.message_finished or self._size > self._limit:
            return []
        text = "".join(self._parts)
        self._parts.clear()
        self._size = 0
        return [text]

    def _answered(self, payload: bytes) -> None:
        if (waiting := self._pings.get(payload)) is not None:
            waiting.set()

    async def _end(self, code: int, reason: str) -> None:
        """Answer a close, or close over a fault; the messages that came before it still count."""
        self._lost = f"closed ({int(code)}) {reason!r}"
        with suppress(RelayLost):
            await self._write(bytes(self._frames.send(CloseConnection(code, reason))))


def _acknowledge_at_once(stream: Stream) -> None:
    """Ask for no delayed ACK: a peer that waits for it before it sends on loses 40 ms each time."""
    plain = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    if hasattr(socket, "TCP_QUICKACK"):
        with suppress(OSError):
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
