"""A WebSocket client for tests that can also misbehave."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
from attrs import define, field
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection
from wsproto.events import AcceptConnection, CloseConnection, Event, Request, TextMessage


@define
class Client:
    """Frames as events, over a socket that the test can also write to by itself."""

    stream: trio.SocketStream
    frames: Connection
    _parts: list[str] = field(factory=list)

    async def say(self, *events: Event) -> None:
        await self.stream.send_all(b"".join(bytes(self.frames.send(e)) for e in events))

    async def hear(self) -> Event:
        """Return the next event; a text may come in pieces."""
        while True:
            for event in self.frames.events():
                return event
            self.frames.receive_data(await self.stream.receive_some(65_536) or None)

    async def say_text(self, *texts: str) -> None:
        await self.say(*map(TextMessage, texts))

    async def hear_text(self) -> str:
        """Return the next whole text."""
        while True:
            event = await self.hear()
            assert isinstance(event, TextMessage), event
            self._parts.append(event.data)
            if event.message_finished:
                text = "".join(self._parts)
                self._parts.clear()
                return text

    async def hear_close(self) -> tuple[int, str]:
        """Read to the end, and return how the other side ended it."""
        while True:
            event = await self.hear()
            if isinstance(event, CloseConnection):
                return event.code, event.reason or ""


@asynccontextmanager
async def open_client(port: int) -> AsyncGenerator[Client, None]:
    """Connect to a server on loopback."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        ws = WSConnection(ConnectionType.CLIENT)
        await stream.send_all(ws.send(Request(host="relay", target="/")))
        while ws.connection is None:
            ws.receive_data(await stream.receive_some())
        assert [type(event) for event in ws.handshake.events()] == [AcceptConnection]
        yield Client(stream, ws.connection)
