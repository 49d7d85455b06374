"""Calls to Electrum's daemon: one HTTP POST each, and an answer of the shape that is expected."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TypeVar

import httpx
import msgspec
from attrs import Factory, define, field, frozen

from pylon.adapters.inference.bodies import reading
from pylon.errors import BadInvoice, Misconfigured, WalletUnavailable
from pylon.model.money import MSAT_PER_SAT, Msat
from pylon.wire.bolt11 import MAX_AMOUNT

T = TypeVar("T")

CONNECT_SECONDS = 5.0
MAX_BODY_BYTES = 64 << 20  # a wallet that has made 100,000 invoices answers with 20 MiB

_SAT_PER_BTC = 100_000_000
_NO_WALLET = "wallet not loaded"
_NO_LIGHTNING = "Lightning not enabled"
_REFUSES_US = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)


class Refused(WalletUnavailable):
    """Electrum answered with an error, in the words of `why`; a caller may know what it means."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Electrum: {why or 'an error without a word'}")
        self.why = why


@frozen
class _Reason:
    exception: str = ""


@frozen
class _Error:
    message: str = ""
    data: _Reason = Factory(_Reason)  # from 4.5 on the text is here

    def __str__(self) -> str:
        return self.data.exception or self.message


_NULL = msgspec.Raw(b"null")


@frozen
class _Answer:
    result: msgspec.Raw = _NULL
    error: _Error | None = None


@define
class Rpc:
    """One daemon. A wallet that it has closed meanwhile is opened again."""

    _client: httpx.AsyncClient = field(repr=False)

    async def call(self, method: str, shape: type[T], **params: object) -> T:
        """Ask the daemon for an answer of this shape.

        Raises:
            Refused: It answers with an error, so it is there and has understood.
            WalletUnavailable: It does not answer, or not as Electrum does.
            Misconfigured: It does not let us in, or its wallet has no Lightning.
        """
        return _read(await self._opened(method, params), shape)

    async def find(self, method: str, shape: type[T], **params: object) -> T | None:
        """Ask for what may not be there; raises as `call` does."""
        raw = await self._opened(method, params)
        return None if bytes(raw) == b"null" else _read(raw, shape)

    async def do(self, method: str, **params: object) -> None:
        """Order something, whatever the answer is; raises as `call` does."""
        await self._opened(method, params)

    async def _opened(self, method: str, params: Mapping[str, object]) -> msgspec.Raw:
        try:
            return await self._ask(method, params)
        except Refused as exc:
            if _NO_LIGHTNING in exc.why:
                raise Misconfigured("this Electrum wallet has no Lightning") from exc
            if _NO_WALLET not in exc.why:
                raise
        await self._load()
        return await self._ask(method, params)

    async def _load(self) -> None:
        try:
            await self._ask("load_wallet", {})
        except Refused as exc:
            raise WalletUnavailable(
                f"Electrum has no wallet open, open it with `electrum load_wallet` ({exc.why})"
            ) from exc

    async def _ask(self, method: str, params: Mapping[str, object]) -> msgspec.Raw:
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": 0, "method": method, "params": params})
        request = self._client.build_request("POST", "/", content=body)
        try:
            response = await self._client.send(request, stream=True)
            async with reading(response) as parts:
                status, text = response.status_code, await _body(parts)
        except httpx.HTTPError as exc:
            at = self._client.base_url.netloc.decode()  # not what opens it: that is in a header
            raise WalletUnavailable(
                f"Electrum does not answer at {at} ({type(exc).__name__})"
            ) from exc
        if status in _REFUSES_US:
            raise Misconfigured("Electrum refuses this user and password")
        if status != httpx.codes.OK:
            raise WalletUnavailable(f"Electrum answers {method} with HTTP status {status}")
        answer = _read(text, _Answer)
        if answer.error is not None:
            raise Refused(" ".join(str(answer.error)[:300].split()))
        return answer.result


@asynccontextmanager
async def open_rpc(url: str, *, user: str, password: str) -> AsyncGenerator[Rpc, None]:
    """Prepare to talk to a daemon; raise `Misconfigured` for an address that is none."""
    try:
        client = httpx.AsyncClient(
            base_url=url,
            auth=(user, password),
            headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),  # a payment may take long
            limits=httpx.Limits(max_connections=None),
            trust_env=False,  # the password goes to Electrum, whatever proxy is set for the web
        )
    except (httpx.InvalidURL, ValueError) as exc:
        raise Misconfigured(f"Electrum has no usable address: {exc}") from exc
    async with client:
        yield Rpc(client)


def to_btc(amount: Msat) -> str:
    """Write an amount as Electrum reads it; raise `BadInvoice` for parts of a satoshi, or nothing."""
    sats, rest = divmod(amount, MSAT_PER_SAT)
    if rest or not 0 < amount <= MAX_AMOUNT:
        raise BadInvoice("Electrum makes invoices of whole satoshi, of one at least")
    return f"{sats // _SAT_PER_BTC}.{sats % _SAT_PER_BTC:08d}"


def from_btc(text: str) -> Msat:
    """Read an amount as Electrum writes it, `0.1` or `1.2E-7`, to the millisatoshi."""
    try:
        msat = Decimal(text) * _SAT_PER_BTC * MSAT_PER_SAT
        if 0 <= msat <= MAX_AMOUNT and msat == msat.to_integral_value():
            return Msat(int(msat))
    except ArithmeticError:  # no number, or one beyond all
        pass
    raise WalletUnavailable("Electrum names an amount that is none")


def _read(text: bytes | msgspec.Raw, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise WalletUnavailable("Electrum answers in another way than it is known to") from exc


async def _body(parts: AsyncIterator[bytes]) -> bytes:
    body = bytearray()
    async for part in parts:
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise WalletUnavailable("Electrum's answer is too large")
    return bytes(body)
