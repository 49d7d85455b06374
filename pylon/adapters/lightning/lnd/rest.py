"""HTTP to one lnd: questions, streams, and its errors in our words."""

import base64
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, TypeAlias, TypeVar

import httpx
import msgspec
import trio
from attrs import define, field, frozen

from pylon.adapters.inference.bodies import CLOSE_SECONDS, reading
from pylon.adapters.lightning.lnd.messages import Fault, Line, Refusal
from pylon.adapters.lightning.lnd.stream import Messages
from pylon.errors import Malformed, Misconfigured, WalletUnavailable
from pylon.model.ids import PaymentHash
from pylon.wire import json

T = TypeVar("T")
Params: TypeAlias = Mapping[str, str | int]

ANSWER_SECONDS = 20.0
MAX_BODY_BYTES = 16 << 20  # a page of invoices, each with its parts

BAKE = (
    "lncli bakemacaroon --save_to pylon.macaroon "
    "info:read invoices:read invoices:write offchain:read offchain:write"
)

_NOT_FOUND, _UNIMPLEMENTED = 5, 12
_LATER = (1, 4, 14)  # cancelled, deadline exceeded, unavailable
_NO_MACAROON = ("verification failed", "macaroon")
_LOCKED = ("wallet locked", "wallet not created")


class Refused(WalletUnavailable):
    """lnd is there and said no, in these words of its own."""

    def __init__(self, fault: Fault) -> None:
        self.message = " ".join(fault.message[:300].split()) or f"error {fault.code}"
        super().__init__(f"lnd: {self.message}")
        self.not_found = fault.code == _NOT_FOUND
        self.not_built = fault.code == _UNIMPLEMENTED or fault.message == "Not Found"


class NotPermitted(Misconfigured):
    """The macaroon does not allow a call."""


@frozen
class Rest:
    """An lnd that is known by its URL and by what its calls carry."""

    url: str
    _client: httpx.AsyncClient = field(repr=False)

    async def get(self, path: str, answer: type[T], params: Params | None = None) -> T:
        """GET an answer."""
        return await self._ask(self._client.build_request("GET", path, params=params), answer)

    async def post(self, path: str, answer: type[T], body: Mapping[str, Any]) -> T:
        """POST a question."""
        return await self._ask(self._post(path, body), answer)

    async def _ask(self, request: httpx.Request, answer: type[T]) -> T:
        with self._in_our_words(), trio.move_on_after(ANSWER_SECONDS):
            response = await self._begin(request)
            async with reading(response) as parts:
                body = await _whole(parts)
            if response.status_code != httpx.codes.OK:
                raise self._refusal(response.status_code, body)
            return read(answer, body)
        raise WalletUnavailable(f"lnd does not answer at {self.url} for {ANSWER_SECONDS:g} s")

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        kind: type[T],
        *,
        params: Params | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[Messages[T], None]:
        """Iterate over a stream's messages; GET, or POST if there is a body.

        Even the head of the answer may take for ever: lnd sends it with the first message.
        """
        request = (
            self._client.build_request("GET", path, params=params)
            if body is None
            else self._post(path, body)
        )
        with self._in_our_words():
            response = await self._begin(request)
        async with reading(response) as parts:
            if response.status_code != httpx.codes.OK:
                with self._in_our_words():
                    raise self._refusal(response.status_code, await _whole(parts))
            yield Messages(parts, partial(self._message, kind), self._in_our_words)

    def _message(self, kind: type[T], line: bytes) -> T:
        message = read(Line[kind], line)  # type: ignore[valid-type] # a type made at run time
        if message.error is not None:
            raise self._fault(message.error)
        if message.result is None:
            raise WalletUnavailable("lnd sent a line with nothing in it")
        return message.result

    async def _begin(self, request: httpx.Request) -> httpx.Response:
        """Send a request and wait for the head of its answer."""
        request.extensions["trace"] = _Handshake().trace
        return await self._client.send(request, stream=True)

    def _post(self, path: str, body: Mapping[str, Any]) -> httpx.Request:
        return self._client.build_request(
            "POST", path, content=msgspec.json.encode(body), headers=_JSON
        )

    @contextmanager
    def _in_our_words(self) -> Generator[None, None, None]:
        try:
            yield
        except httpx.HTTPError as error:
            raise self._transport(error) from error

    def _transport(self, error: httpx.HTTPError) -> WalletUnavailable | Misconfigured:
        match _root(error):
            case ssl.SSLCertVerificationError() as reason:
                return Misconfigured(
                    f"{self.url} shows a certificate that is not trusted "
                    f"({reason.verify_message}): give the tls.cert of this very lnd, "
                    "and call it by a name that is in it (tlsextradomain, tlsextraip)"
                )
            case ssl.SSLError():
                return Misconfigured(f"{self.url} does not speak TLS: is it lnd's REST port?")
            case ConnectionRefusedError():
                return WalletUnavailable(f"nothing answers at {self.url}: is lnd running?")
            case reason:
                return WalletUnavailable(
                    f"the connection to lnd at {self.url} failed ({type(reason).__name__})"
                )

    def _refusal(self, status: int, body: bytes) -> WalletUnavailable | Misconfigured:
        try:
            refusal = read(Refusal, body)
        except WalletUnavailable:
            return WalletUnavailable(f"{self.url} answers with HTTP status {status}: is it lnd?")
        inner = refusal.error
        return self._fault(inner if isinstance(inner, Fault) else refusal)

    def _fault(self, fault: Fault | Refusal) -> WalletUnavailable | Misconfigured:
        text = fault.message.lower()
        if "permission denied" in text:
            return NotPermitted(f"the macaroon does not allow this: bake another with: {BAKE}")
        if any(words in text for words in _NO_MACAROON):
            return Misconfigured(f"lnd does not accept the macaroon: bake one with: {BAKE}")
        if any(words in text for words in _LOCKED):
            return WalletUnavailable("lnd's wallet is locked: unlock it with: lncli unlock")
        refused = Refused(Fault(fault.code, fault.message))
        return WalletUnavailable(str(refused)) if fault.code in _LATER else refused


@define
class _Handshake:
    """Closes a connection whose TLS handshake ends badly: cancelled, httpcore leaves it open."""

    _connection: Any = None

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Follow what httpcore tells of its doings."""
        if event == "connection.connect_tcp.complete":
            self._connection = info["return_value"]
        elif event == "connection.start_tls.failed":
            with trio.move_on_after(CLOSE_SECONDS, shield=True):
                await self._connection.aclose()


_JSON = {"Content-Type": "application/json"}


def read(kind: type[T], data: bytes) -> T:
    """Read JSON of lnd's; raise `WalletUnavailable` for anything else."""
    try:
        return json.decode_as(_decoder(kind), data, max_size=MAX_BODY_BYTES)
    except Malformed as fault:
        raise WalletUnavailable(f"lnd sent something unexpected: {fault}") from fault


_DECODERS: dict[object, msgspec.json.Decoder[Any]] = {}


def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    if kind not in _DECODERS:  # numbers of 64 bits come as strings
        _DECODERS[kind] = msgspec.json.Decoder(kind, strict=False)
    return _DECODERS[kind]


async def _whole(parts: AsyncIterator[bytes]) -> bytes:
    body = bytearray()
    async for part in parts:
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise WalletUnavailable("lnd's answer is too large")
    return bytes(body)


def _root(error: BaseException) -> BaseException:
    """Find what a library's errors were made of; of several attempts to connect, the first."""
    while inner := error.__cause__ or error.__context__:
        error = inner.exceptions[0] if isinstance(inner, BaseExceptionGroup) else inner
        if isinstance(error, ssl.SSLError | ConnectionRefusedError):
            break
    return error


def base64_of(hexadecimal: str) -> str:
    """Write bytes as in JSON."""
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


def in_path(payment_hash: PaymentHash) -> str:
    """Write a payment hash as in the paths of `/v2`."""
    return base64.urlsafe_b64encode(bytes.fromhex(payment_hash)).decode()
