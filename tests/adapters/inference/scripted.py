"""A small HTTP server that does exactly what a test tells it, over a real socket."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

import h11
import msgspec
import trio
from attrs import Factory, define, frozen


@frozen
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@frozen
class Hang:
    """Say nothing more, and wait until the client is gone."""


@frozen
class Cut:
    """Close the connection at once, in the middle of whatever it was."""


@frozen
class Forever:
    """Send the same again and again, until the client is gone."""

    data: bytes


# A float waits so many seconds, an event until it is set.
Step: TypeAlias = bytes | float | trio.Event | Hang | Cut | Forever


@frozen
class Reply:
    steps: Sequence[Step] = ()
    status: int = 200
    headers: Mapping[str, str] = Factory(dict)


Script: TypeAlias = Callable[[Request], Reply]


@define
class ScriptedServer:
    url: str
    script: Script
    requests: list[Request] = Factory(list)
    client_left: trio.Event = Factory(trio.Event)  # before its answer was whole

    async def serve(self, stream: trio.SocketStream) -> None:
        peer = h11.Connection(h11.SERVER)
        try:
            while (request := await _read(peer, stream)) is not None:
                self.requests.append(request)
                if not await self._answer(peer, stream, self.script(request)):
                    return
                peer.start_next_cycle()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.client_left.set()
        finally:
            await trio.aclose_forcefully(stream)

    async def _answer(self, peer: h11.Connection, stream: trio.SocketStream, reply: Reply) -> bool:
        """Play a reply; False when the connection is not to be used again."""
        head = h11.Response(status_code=reply.status, headers=list(reply.headers.items()))
        send = partial(_send, peer, stream)
        if reply.steps[:1] != (Hang(),):
            await send(head)
        for step in reply.steps:
            match step:
                case bytes():
                    await send(h11.Data(data=step))
                case float():
                    await trio.sleep(step)
                case trio.Event():
                    await step.wait()
                case Forever(data):
                    while True:
                        await send(h11.Data(data=data))
                case Hang():
                    await stream.receive_some()
                    self.client_left.set()
                    return False
                case Cut():
                    return False
        await send(h11.EndOfMessage())
        return peer.our_state is h11.DONE


@asynccontextmanager
async def scripted(script: Script | Reply) -> AsyncGenerator[ScriptedServer, None]:
    """Serve on a free loopback port: one reply for everything, or a function of the request."""
    play = script if callable(script) else lambda _: script
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        server = ScriptedServer(f"http://127.0.0.1:{port}", play)
        nursery.start_soon(partial(trio.serve_listeners, server.serve, listeners))
        yield server
        nursery.cancel_scope.cancel()


async def _read(peer: h11.Connection, stream: trio.SocketStream) -> Request | None:
    head: h11.Request | None = None
    body = b""
    while True:
        try:
            event = peer.next_event()
        except h11.RemoteProtocolError:  # it was killed in the middle of asking
            return None
        match event:
            case h11.NEED_DATA:
                peer.receive_data(await stream.receive_some())
            case h11.Request():
                head = event
            case h11.Data():
                body += event.data
            case h11.EndOfMessage() if head is not None:
                headers = {name.decode(): value.decode() for name, value in head.headers}
                return Request(head.method.decode(), head.target.decode(), headers, body)
            case _:
                return None


async def _send(peer: h11.Connection, stream: trio.SocketStream, event: Any) -> None:
    if data := peer.send(event):
        await stream.send_all(data)


def event(text: str | None = None, **fields: Any) -> bytes:
    """Write one event of a streamed answer."""
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": fields.pop("finish_reason", None)}
    chunk = {"object": "chat.completion.chunk", "model": "m", "choices": [choice]} | fields
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


DONE = b"data: [DONE]\n\n"
STREAM = {"Content-Type": "text/event-stream"}


def answer(*texts: str, usage: tuple[int, int] | None = (3, 2), reason: str = "stop") -> Reply:
    """Write a whole streamed answer, as llama.cpp does."""
    counted = {"prompt_tokens": usage[0], "completion_tokens": usage[1]} if usage else None
    end = [event(finish_reason=reason)]
    if counted:
        end.append(event(choices=[], usage=counted))
    return Reply((*map(event, texts), *end, DONE), headers=STREAM)


def document(value: Any, *, status: int = 200) -> Reply:
    return Reply((msgspec.json.encode(value),), status, {"Content-Type": "application/json"})
