"""An answer in the making, from an OpenAI-compatible server."""

from collections import deque
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager

import httpx
import trio
from attrs import define, field, frozen

from pylon.adapters.inference.stream import Chunk, EventReader, ServerUsage, read_chunk
from pylon.errors import GenerationFailed
from pylon.model.inference import Completion, Prompt, Usage

TEXT_BYTES_PER_TOKEN = 256  # far above any vocabulary's average
WIRE_BYTES_PER_TOKEN = 4096
CHARS_PER_TOKEN = 4  # of English text, for servers that do not count
WIRE_BYTES_AT_LEAST = 1 << 20


@frozen
class Limits:
    """How long and how much. The deadline of the whole belongs to the caller."""

    max_tokens: int = 512  # where the prompt sets none
    start_seconds: float = 120.0  # until the first token: prompts are read, perhaps queued
    stall_seconds: float = 30.0  # between tokens


@define
class OpenAiGeneration:
    """A `Generation` over one streamed response."""

    _backend: str
    _prompt: Prompt
    _data: AsyncIterator[bytes]
    _limits: Limits
    _max_tokens: int
    _events: EventReader
    _waiting: deque[bytes] = field(factory=deque, init=False)
    _pieces: list[str] = field(factory=list, init=False)
    _received: int = field(default=0, init=False)
    _written: int = field(default=0, init=False)
    begun: bool = field(default=False, init=False)
    _ended: bool = field(default=False, init=False)
    _finish_reason: str | None = field(default=None, init=False)
    _usage: ServerUsage | None = field(default=None, init=False)
    _model: str | None = field(default=None, init=False)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        patience = self._limits.stall_seconds if self.begun else self._limits.start_seconds
        with trio.move_on_after(patience) as scope:
            while (chunk := await self._next()) is not None:
                if chunk.alive:
                    self.begun = True
                    scope.deadline = trio.current_time() + self._limits.stall_seconds
                if chunk.text:
                    return chunk.text
        if scope.cancelled_caught:
            raise GenerationFailed(f"{self._backend}: no token for {patience:g} s")
        if self._finish_reason is None:
            raise GenerationFailed(f"{self._backend}: the answer broke off")
        raise StopAsyncIteration

    async def completion(self) -> Completion:
        async for _ in self:
            pass
        text = "".join(self._pieces)
        if not text.strip():
            raise GenerationFailed(f"{self._backend}: the answer is empty")
        return Completion(
            text,
            finish_reason=self._finish_reason or "stop",
            usage=self._counted(),
            model=self._prompt.model or self._model or "",
            backend=self._backend,
        )

    async def _next(self) -> Chunk | None:
        while not (self._waiting or self._ended):
            await self._receive()
        if not self._waiting:
            return None
        chunk = read_chunk(self._waiting.popleft())
        self._note(chunk)
        return chunk

    async def _receive(self) -> None:
        with _as_generation_failed(self._backend):
            data = await anext(self._data, None)
        if data is None:
            self._ended = True
            self._waiting.extend(self._events.finish())
            return
        self._received += len(data)
        if self._received > WIRE_BYTES_AT_LEAST + WIRE_BYTES_PER_TOKEN * self._max_tokens:
            raise GenerationFailed(f"{self._backend}: the answer has no end")
        self._waiting.extend(self._events.feed(data))

    def _note(self, chunk: Chunk) -> None:
        self._finish_reason = chunk.finish_reason or self._finish_reason
        self._usage = chunk.usage or self._usage
        self._model = chunk.model or self._model
        if chunk.done:
            self._ended = True
            self._waiting.clear()
            self._finish_reason = self._finish_reason or "stop"
        if chunk.text:
            self._pieces.append(chunk.text)
            self._written += len(chunk.text.encode())
        if self._written > TEXT_BYTES_PER_TOKEN * self._max_tokens:
            raise GenerationFailed(f"{self._backend}: the answer is far longer than asked for")

    def _counted(self) -> Usage:
        if self._usage is not None:
            return Usage(self._usage.prompt_tokens, self._usage.completion_tokens)
        # A server that does not count mostly sends a token at a time.
        asked = sum(len(message.content) for message in self._prompt.messages)
        return Usage(-(-asked // CHARS_PER_TOKEN), len(self._pieces))


@contextmanager
def _as_generation_failed(name: str) -> Generator[None, None, None]:
    try:
        yield
    except httpx.HTTPError as exc:
        raise GenerationFailed(f"{name} broke off ({type(exc).__name__})") from exc
