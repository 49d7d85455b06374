"""Asking relays about themselves: whatever comes back, an answer or None, and soon."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from pylon.adapters.relay_info import SECONDS, fetch_relay_info
from pylon.model.ids import RelayUrl
from pylon.wire.relay_info import MAX_SIZE

DOCUMENT = b'{"name":"ours","limitation":{"max_subscriptions":7}}'


def reply(body: bytes, head: bytes = b"HTTP/1.1 200 OK", *more: bytes) -> bytes:
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join([head, length, b"Connection: close", *more, b"", body])


@asynccontextmanager
async def a_server(answer: bytes, asked: list[bytes]) -> AsyncGenerator[RelayUrl, None]:
    """Answer every request with the same bytes; no bytes: no answer at all."""

    async def accept(stream: trio.SocketStream) -> None:
        async with stream:
            asked.append(bytes(await stream.receive_some(4096)))
            if not answer:
                await trio.sleep_forever()
            with trio.move_on_after(1):
                try:
                    await stream.send_all(answer)
                except trio.BrokenResourceError:
                    return

    with trio.fail_after(SECONDS + 5):
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(partial(trio.serve_listeners, accept, [listener]))
            yield RelayUrl(f"ws://127.0.0.1:{listener.socket.getsockname()[1]}")
            nursery.cancel_scope.cancel()


async def test_a_relays_limits_are_read() -> None:
    asked: list[bytes] = []
    async with a_server(reply(DOCUMENT), asked) as url:
        info = await fetch_relay_info(url)

    assert info is not None
    assert (info.name, info.limitation.max_subscriptions) == ("ours", 7)
    assert b"accept: application/nostr+json" in asked[0].lower()


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"<html>"),
        reply(b"x" * (MAX_SIZE + 1)),
        reply(b" " * MAX_SIZE + DOCUMENT),
        reply(DOCUMENT, b"HTTP/1.1 404 Not Found"),
        reply(b"", b"HTTP/1.1 302 Found", b"Location: http://127.0.0.1:1/"),
        b"not HTTP at all",
    ],
    ids=["not JSON", "endless", "too long", "not found", "elsewhere", "another protocol"],
)
async def test_no_answer_worth_having_is_none(answer: bytes) -> None:
    asked: list[bytes] = []
    async with a_server(answer, asked) as url:
        assert await fetch_relay_info(url) is None

    assert len(asked) == 1  # nobody was sent elsewhere


async def test_a_relay_that_does_not_answer_is_given_up_in_time() -> None:
    async with a_server(b"", []) as url:
        began = trio.current_time()
        assert await fetch_relay_info(url) is None

    assert trio.current_time() - began < SECONDS + 1


async def test_a_relay_that_is_not_there_is_none() -> None:
    assert await fetch_relay_info(RelayUrl("ws://127.0.0.1:1")) is None


async def test_the_environments_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with a_server(reply(DOCUMENT), []) as url:
        assert await fetch_relay_info(url) is not None
