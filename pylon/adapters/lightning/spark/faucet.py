"""Play money for Spark's hosted regtest."""

from typing import Any, Final

import httpx
import msgspec
import trio
from attrs import frozen

from pylon.adapters.inference.bodies import reading
from pylon.errors import Malformed, WalletUnavailable
from pylon.wire import json

URL: Final = "https://api.lightspark.com/graphql/spark/rc"
LINK: Final = "https://app.lightspark.com/regtest-faucet"  # for people
SECONDS: Final = 10.0

_MAX_BYTES: Final = 1 << 16
_MUTATION: Final = (
    "mutation RequestRegtestFunds($address: String!, $amount_sats: Long!) "
    "{ request_regtest_funds(input: {address: $address, amount_sats: $amount_sats}) "
    "{ transaction_hash } }"
)


@frozen
class _Funds:
    transaction_hash: str


@frozen
class _Data:
    request_regtest_funds: _Funds | None = None


@frozen
class _Answer:
    data: _Data | None = None


_ANSWER: Final = msgspec.json.Decoder(_Answer)


async def request_regtest_funds(
    address: str, sats: int, *, url: str = URL, seconds: float = SECONDS
) -> str:
    """Ask the faucet to send play money to an on-chain address and return the transaction's id.

    Raises `WalletUnavailable` if it gives nothing in time.
    """
    order = {
        "operationName": "RequestRegtestFunds",
        "variables": {"address": address, "amount_sats": sats},
        "query": _MUTATION,
    }
    with trio.move_on_after(seconds):
        funds = _read(await _post(url, order))
        if funds is None:
            raise WalletUnavailable("the faucet gives nothing")
        return funds.transaction_hash
    raise WalletUnavailable(f"the faucet does not answer for {seconds:g} s")


async def _post(url: str, order: dict[str, Any]) -> bytes:
    body = bytearray()
    try:
        async with httpx.AsyncClient(timeout=SECONDS) as client:
            request = client.build_request("POST", url, json=order)
            response = await client.send(request, stream=True)
            async with reading(response) as parts:
                async for part in parts:
                    body += part
                    if len(body) > _MAX_BYTES:
                        raise WalletUnavailable("the faucet's answer is too large")
    except httpx.HTTPError as error:
        raise WalletUnavailable(f"the faucet is out of reach ({type(error).__name__})") from error
    return bytes(body)


def _read(body: bytes) -> _Funds | None:
    try:
        answer = json.decode_as(_ANSWER, body)
    except Malformed as fault:
        raise WalletUnavailable("the faucet answers something unexpected") from fault
    return None if answer.data is None else answer.data.request_regtest_funds
