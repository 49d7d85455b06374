"""Clients that mean harm, against the whole relay over real sockets: others are served meanwhile."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial

import trio
from wsproto.events import TextMessage

from pylon.app.relay import serve_relay
from pylon.core.relay_rules import RelayRules
from pylon.wire.frames import Submit, encode
from tests.nostr import note
from tests.websocket_client import open_client

RULES = RelayRules(message_bytes=300_000, rate=100, burst=500)


@asynccontextmanager
async def relay() -> AsyncGenerator[int, None]:
    """Serve on the port returned."""
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(partial(serve_relay, port=0, rules=RULES))
            yield int(url.rpartition(":")[2])
            nursery.cancel_scope.cancel()


def publishing(content: str, kind: int = 20_001) -> str:
    return encode(Submit(note(content, kind=kind)))


async def is_served(port: int) -> bool:
    """Say whether an ordinary client still gets its answer."""
    async with open_client(port) as client:
        await client.say_text(publishing("ordinary", kind=1))
        return ",true," in await client.hear_text()


async def test_a_giant_message_is_refused() -> None:
    async with relay() as port, open_client(port) as client:
        await client.say_text("x" * 300_001)
        assert (await client.hear_close())[0] == 1009
        assert await is_served(port)


async def test_a_flood_is_slowed_and_then_cut_off_with_its_reason() -> None:
    async with relay() as port, open_client(port) as client, trio.open_nursery() as nursery:
        frame = bytes(client.frames.send(TextMessage(publishing("flood"))))

        async def flood() -> None:
            with suppress(trio.BrokenResourceError):
                while True:
                    await client.stream.send_all(frame * 10)

        nursery.start_soon(flood)
        assert await client.hear_close() == (1008, "rate-limited: far too many messages")
        nursery.cancel_scope.cancel()
        assert await is_served(port)


async def test_who_never_reads_is_cut_off_and_holds_up_nobody() -> None:
    async with (
        relay() as port,
        open_client(port) as reader,
        open_client(port) as publisher,
        open_client(port) as deaf,
    ):
        await deaf.say_text('["REQ","s",{}]')
        await reader.say_text('["REQ","s",{}]')
        assert await reader.hear_text() == '["EOSE","s"]'
        for n in range(120):
            await publisher.say_text(publishing(f"{n}" + "x" * 250_000))
            assert ",true," in await publisher.hear_text()
            assert await reader.hear_text()
        # 30 MB went by. What the sockets hold is far less, so the rest was not kept for the deaf.
        received = 0
        async for chunk in deaf.stream:
            received += len(chunk)
        assert received < 20_000_000


async def test_half_a_handshake_holds_up_nobody() -> None:
    async with relay() as port:
        streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(50)]
        for stream in streams:
            await stream.send_all(b"GET / HTTP/1.1\r\n")
        assert await is_served(port)
        for stream in streams:
            await stream.aclose()


async def test_nonsense_is_answered_and_then_cut_off() -> None:
    async with relay() as port, open_client(port) as client:
        await client.say_text("nonsense")
        assert (await client.hear_text()).startswith('["NOTICE","invalid: ')
        await client.say_text(*["nonsense"] * 200)
        assert (await client.hear_close())[0] == 1008
        assert await is_served(port)
