"""Servers that speak the OpenAI protocol, and how each says what it can do."""

from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from typing import TypeAlias, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
from attrs import field, frozen

from pylon.adapters.inference.bodies import read_body
from pylon.adapters.inference.stream import reason_in
from pylon.errors import BackendUnavailable

T = TypeVar("T")


@frozen
class Survey:
    """What a server says of itself. `proven` means that this alone shows it can generate."""

    models: tuple[str, ...]
    slots: int = 1
    proven: bool = False


Ask: TypeAlias = Callable[[httpx.AsyncClient], Awaitable[Survey]]


@frozen
class Server:
    """Where a server is and how to ask it; the API key shows nowhere."""

    name: str
    url: str  # without /v1
    survey: Ask
    api_key: str | None = field(default=None, repr=False)
    omit: frozenset[str] = frozenset()  # parameters it refuses to know
    probe_model: str = ""  # asked for the token that proves health; else the first it lists

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine, where no proxy belongs in between."""
        host = urlsplit(self.url).hostname or ""
        return host == "localhost" or _is_loopback(host)

    def hide_key(self, text: str) -> str:
        """Take the API key out of what a server said: some quote it back."""
        return text.replace(self.api_key, "***") if self.api_key else text


def llamacpp(
    url: str = "http://127.0.0.1:8080", *, name: str = "llamacpp", api_key: str | None = None
) -> Server:
    """Describe llama.cpp's own server. It answers /health only once its model is loaded."""
    return Server(name, _root(url), _survey_llamacpp, api_key)


def ollama(url: str = "http://127.0.0.1:11434", *, probe_model: str = "") -> Server:
    """Describe Ollama, with the models it has pulled."""
    return Server("ollama", _root(url), _survey_ollama, probe_model=probe_model)


def apple_fm(url: str = "http://127.0.0.1:11435") -> Server:
    """Describe the bridge to Apple's foundation models."""
    return Server("apple_fm", _root(url), _survey_models)


def openai(url: str, *, api_key: str | None, probe_model: str = "") -> Server:
    """Describe any other server of the protocol, local or paid for."""
    unknown = frozenset({"top_k"})  # api.openai.com refuses a request that has it
    return Server("openai", _root(url), _survey_models, api_key, unknown, probe_model)


async def get(client: httpx.AsyncClient, path: str) -> bytes:
    """GET a small body; raise `BackendUnavailable` for every other outcome."""
    try:
        response = await client.send(client.build_request("GET", path), stream=True)
        body = await read_body(response)
    except httpx.HTTPError as exc:
        where = client.base_url.netloc.decode()  # without a password
        raise BackendUnavailable(f"no answer at {where} ({type(exc).__name__})") from exc
    if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise BackendUnavailable("it refuses the API key")
    if response.status_code != httpx.codes.OK:
        raise BackendUnavailable(reason_in(body) or f"{path} answers {response.status_code}")
    return body


@frozen
class _Model:
    id: str


@frozen
class _Models:
    data: tuple[_Model, ...]


@frozen
class _Props:
    total_slots: int = 1


@frozen
class _Tag:
    name: str


@frozen
class _Tags:
    models: tuple[_Tag, ...]


async def _survey_llamacpp(client: httpx.AsyncClient) -> Survey:
    await get(client, "/health")
    models = _decode(await get(client, "/v1/models"), _Models)
    props = _decode(await get(client, "/props"), _Props)
    return Survey(tuple(model.id for model in models.data), max(1, props.total_slots), proven=True)


async def _survey_ollama(client: httpx.AsyncClient) -> Survey:
    tags = _decode(await get(client, "/api/tags"), _Tags)
    return Survey(tuple(tag.name for tag in tags.models))


async def _survey_models(client: httpx.AsyncClient) -> Survey:
    models = _decode(await get(client, "/v1/models"), _Models)
    return Survey(tuple(model.id for model in models.data))


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BackendUnavailable("another kind of server answers at this address") from exc


def headers(server: Server) -> Mapping[str, str]:
    """Return what every request to the server carries."""
    # Compressed streams arrive in lumps, and local servers gain nothing by compressing.
    plain = {"Accept-Encoding": "identity", "User-Agent": "pylon"}
    return plain | ({"Authorization": f"Bearer {server.api_key}"} if server.api_key else {})


def _root(url: str) -> str:
    # Both http://host:8080 and http://host:8080/v1 are in common use for the same thing.
    return url.rstrip("/").removesuffix("/v1")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
