"""A backend that follows a script."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import trio
from attrs import define, field

from pylon.model.inference import BackendHealth, Completion, Prompt, Usage


@define(eq=False)
class ScriptedBackend:
    """Answers with the pieces given, each after `seconds`; an exception among them is raised."""

    pieces: Sequence[str | Exception] = ("fo", "ur")
    then: Sequence[str | Exception] | None = None  # what it answers from the second time on
    seconds: float = 0.0
    slots: int = 4
    name: str = "llamacpp"
    available: bool = True
    prompts: list[Prompt] = field(factory=list)
    cut_off: int = 0
    at_work: int = 0
    most_at_work: int = 0

    async def health(self) -> BackendHealth:
        await trio.lowlevel.checkpoint()
        return BackendHealth(self.name, self.available, models=("qwen",), slots=self.slots)

    @asynccontextmanager
    async def generate(self, prompt: Prompt) -> AsyncGenerator["ScriptedGeneration", None]:
        self.prompts.append(prompt)
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            again = self.then is not None and len(self.prompts) > 1
            pieces = self.then if again and self.then else self.pieces
            yield ScriptedGeneration(self, prompt, iter(pieces))
        except trio.Cancelled:
            self.cut_off += 1
            raise
        finally:
            self.at_work -= 1


@define(eq=False)
class ScriptedGeneration:
    """One answer of a scripted backend."""

    _backend: ScriptedBackend
    _prompt: Prompt
    _pieces: Iterator[str | Exception]
    _said: list[str] = field(factory=list)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        piece = next(self._pieces, None)
        if piece is None:
            raise StopAsyncIteration
        await trio.sleep(self._backend.seconds)
        if isinstance(piece, Exception):
            raise piece
        self._said.append(piece)
        return piece

    async def completion(self) -> Completion:
        async for _ in self:
            pass
        text = "".join(self._said)
        return Completion(text, "stop", Usage(1, 1), self._prompt.model or "", self._backend.name)
