"""HTTP bodies read under Trio, with a cap, and left cleanly before their end."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import trio

from pylon.errors import BackendUnavailable

MAX_BODY_BYTES = 4 << 20
CLOSE_SECONDS = 2.0


@asynccontextmanager
async def reading(response: httpx.Response) -> AsyncGenerator[AsyncIterator[bytes], None]:
    """Iterate over a body, and close the response; an unread rest closes its connection."""
    data = response.aiter_bytes()
    try:
        yield data
    finally:
        with trio.move_on_after(CLOSE_SECONDS, shield=True):
            await _unwind(data)
            await response.aclose()


async def _unwind(data: AsyncIterator[bytes]) -> None:
    """End httpx's nested generators from inside, by cancelling the innermost read.

    Closed from outside, only the outermost ends, and Trio warns of each of the others.
    """
    with trio.CancelScope() as scope, suppress(httpx.HTTPError):
        scope.cancel()
        async for _ in data:
            pass


async def read_body(response: httpx.Response) -> bytes:
    """Read a body up to `MAX_BODY_BYTES` and close it; raise `BackendUnavailable` beyond."""
    body = bytearray()
    async with reading(response) as data:
        async for part in data:
            body += part
            if len(body) > MAX_BODY_BYTES:
                raise BackendUnavailable("the server's answer is too large")
    return bytes(body)
