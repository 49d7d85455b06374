"""The OpenAI chat protocol: prompts out, text in, a generation that ends when its block does."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import msgspec
import trio
from attrs import define, evolve, field

from pylon.adapters.inference.bodies import read_body, reading
from pylon.adapters.inference.generation import Limits, OpenAiGeneration
from pylon.adapters.inference.servers import Server, Survey, headers
from pylon.adapters.inference.stream import EventReader, reason_in
from pylon.errors import BackendUnavailable, GenerationFailed, Misconfigured
from pylon.model.inference import BackendHealth, Message, Prompt

CONNECT_SECONDS = 5.0
SURVEY_SECONDS = 10.0
PROBE_SECONDS = 60.0  # a model may have to be loaded first
PROVEN_SECONDS = 3600.0  # how long a generation counts as health, if none fails meanwhile

_PROBE = Prompt((Message("user", "Hi"),), max_tokens=1)


@define
class OpenAiBackend:
    """A `Backend` over one server."""

    _server: Server
    _client: httpx.AsyncClient
    _limits: Limits
    _proven_until: float = field(default=float("-inf"), init=False)

    @property
    def name(self) -> str:
        return self._server.name

    async def health(self) -> BackendHealth:
        try:
            survey = await self._survey()
        except trio.TooSlowError:
            return self._unavailable("no answer in time")
        except (BackendUnavailable, GenerationFailed) as exc:
            return self._unavailable(str(exc))
        return BackendHealth(self.name, available=True, models=survey.models, slots=survey.slots)

    async def _survey(self) -> Survey:
        with trio.fail_after(SURVEY_SECONDS):
            survey = await self._server.survey(self._client)
        if not survey.models:
            raise BackendUnavailable("it has no model")
        if not survey.proven:
            liked = self._server.probe_model
            await self._prove(liked if liked in survey.models else survey.models[0])
        return survey

    @asynccontextmanager
    async def generate(self, prompt: Prompt) -> AsyncGenerator[OpenAiGeneration, None]:
        max_tokens = prompt.max_tokens or self._limits.max_tokens
        try:
            response = await self._start(_body(prompt, max_tokens, omit=self._server.omit))
            # Leaving an unfinished body closes its connection, and that stops the server.
            async with reading(response) as data:
                events = EventReader(plain=_is_document(response))
                generation = OpenAiGeneration(
                    self.name, prompt, data, self._limits, max_tokens, events
                )
                yield generation
        except (BackendUnavailable, GenerationFailed):
            self._proven_until = float("-inf")
            raise
        if generation.begun:
            self._proven_until = trio.current_time() + PROVEN_SECONDS

    async def _start(self, body: bytes) -> httpx.Response:
        request = self._client.build_request(
            "POST", "/v1/chat/completions", content=body, headers=_JSON
        )
        patience = self._limits.start_seconds
        with trio.move_on_after(patience), _as_unavailable(self.name):
            response = await self._client.send(request, stream=True)
            if response.status_code == httpx.codes.OK:
                return response
            raise self._refused(response.status_code, await read_body(response))
        raise BackendUnavailable(f"{self.name}: no answer for {patience:g} s")

    def _refused(self, status: int, body: bytes) -> BackendUnavailable | GenerationFailed:
        reason = self._server.hide_key(reason_in(body))
        match status:
            case 429 | 503:
                return BackendUnavailable(f"{self.name} is busy: {reason or 'its queue is full'}")
            case 401 | 403:  # the reason may quote the key in part
                return BackendUnavailable(f"{self.name} refuses the API key")
            case 400 | 413 | 422:
                return GenerationFailed(f"{self.name} refuses the prompt: {reason or status}")
            case _:
                return BackendUnavailable(f"{self.name}: {reason or f'HTTP status {status}'}")

    async def _prove(self, model: str) -> None:
        """Generate one token, unless something was generated lately."""
        if trio.current_time() < self._proven_until:
            return
        with trio.fail_after(PROBE_SECONDS):
            async with self.generate(evolve(_PROBE, model=model)) as generation:
                async for _ in generation:  # a model that thinks first may show nothing: fine
                    pass

    def _unavailable(self, reason: str) -> BackendHealth:
        return BackendHealth(self.name, available=False, reason=self._server.hide_key(reason))


@asynccontextmanager
async def open_openai(
    server: Server, *, limits: Limits | None = None
) -> AsyncGenerator[OpenAiBackend, None]:
    """Talk to a server of this protocol; raise `Misconfigured` for an address that is none."""
    try:
        client = httpx.AsyncClient(
            base_url=server.url,
            headers=headers(server),
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            # llama.cpp hangs up on an idle connection after 5 s: do not meet it half-way.
            limits=httpx.Limits(max_connections=None, keepalive_expiry=3),
            trust_env=not server.is_local,
        )
    except (httpx.InvalidURL, ValueError) as exc:
        raise Misconfigured(f"{server.name} has no usable address: {exc}") from exc
    async with client:
        yield OpenAiBackend(server, client, limits or Limits())


_JSON = {"Content-Type": "application/json"}


def _body(prompt: Prompt, max_tokens: int, *, omit: frozenset[str]) -> bytes:
    fields: dict[str, Any] = {
        "model": prompt.model,
        "messages": prompt.messages,
        "max_tokens": max_tokens,
        "temperature": prompt.temperature,
        "top_p": prompt.top_p,
        "top_k": prompt.top_k,
        "frequency_penalty": prompt.frequency_penalty,
        "stop": prompt.stop or None,
        "seed": prompt.seed,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    present = {k: v for k, v in fields.items() if v is not None and k not in omit}
    return msgspec.json.encode(present)


def _is_document(response: httpx.Response) -> bool:
    """Say whether the server ignored `stream` and sent the whole answer at once."""
    kind: str = response.headers.get("content-type", "")
    return kind.startswith("application/json")


@contextmanager
def _as_unavailable(name: str) -> Generator[None, None, None]:
    try:
        yield
    except httpx.HTTPError as exc:
        raise BackendUnavailable(f"{name} does not answer ({type(exc).__name__})") from exc
