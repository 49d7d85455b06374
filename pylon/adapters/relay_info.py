"""What relays say about themselves, over HTTP (NIP-11)."""

from http import HTTPStatus

import trio

from pylon.errors import Malformed
from pylon.model.ids import RelayUrl
from pylon.wire import relay_info
from pylon.wire.relay_info import RelayInfo
from pylon.wire.relay_url import http_form

SECONDS = 5.0


async def fetch_relay_info(url: RelayUrl) -> RelayInfo | None:
    """Ask a relay about itself; see `FetchInfo`.

    No redirect is followed and no proxy of the environment is used: the question goes to the host
    that the relay connection goes to, or nowhere.
    """
    import httpx  # noqa: PLC0415 - costs 160 ms, which no start-up should wait for

    # A compressed body could be small on the wire and anything in memory.
    headers = {"Accept": relay_info.CONTENT_TYPE, "Accept-Encoding": "identity"}
    secure = url.startswith("wss:")
    body = bytearray()
    with trio.move_on_after(SECONDS) as patience:
        try:
            async with (
                httpx.AsyncClient(verify=secure, trust_env=False, timeout=SECONDS) as client,
                client.stream("GET", http_form(url), headers=headers) as response,
            ):
                if response.status_code != HTTPStatus.OK:
                    return None
                async for piece in response.aiter_raw():
                    body += piece
                    if len(body) > relay_info.MAX_SIZE:
                        patience.cancel("too long")  # the next read ends it
            return relay_info.read(bytes(body))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, Malformed):
            return None
    return None
