"""A backend whose right answer anybody can tell, and which does not always give it."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import trio
from attrs import define

from pylon.errors import BackendUnavailable, GenerationFailed
from pylon.model.inference import BackendHealth, Completion, Prompt, Usage
from tests.simulation.record import Chronicle

FAILURES = ("refuses", "fails", "hangs", "says nothing")


def answer_to(question: str) -> str:
    """Return what an honest provider answers."""
    return f"the answer to {question!r}"


@define(eq=False)
class Oracle:
    """Knows every answer. `trouble` is how likely a generation goes wrong."""

    chance: Random
    chronicle: Chronicle
    is_calm: Callable[[], bool]
    trouble: float = 0.0
    slots: int = 4
    name: str = "llamacpp"

    async def health(self) -> BackendHealth:
        await trio.lowlevel.checkpoint()
        return BackendHealth(self.name, available=True, models=("qwen",), slots=self.slots)

    @asynccontextmanager
    async def generate(self, prompt: Prompt) -> AsyncGenerator["Utterance", None]:
        await trio.lowlevel.checkpoint()
        failure = None
        if not self.is_calm() and self.chance.random() < self.trouble:
            failure = self.chance.choice(FAILURES)
            self.chronicle.count(f"backend: {failure}")
        if failure == "refuses":
            raise BackendUnavailable("the queue is full")
        yield Utterance(prompt, failure, self.chance.uniform(0, 3), self.name)


@define(eq=False)
class Utterance:
    """One generation, in one piece.

    It is no async generator: one that is not iterated to its end is closed whenever garbage is
    collected, and no seed decides that.
    """

    prompt: Prompt
    failure: str | None
    seconds: float
    backend: str
    _told: bool = False

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        if self._told:
            raise StopAsyncIteration
        self._told = True
        return (await self.completion()).text

    async def completion(self) -> Completion:
        await trio.sleep(self.seconds)
        if self.failure == "fails":
            raise GenerationFailed("the model was unloaded")
        if self.failure == "hangs":
            await trio.sleep_forever()
        text = "" if self.failure else answer_to(self.prompt.messages[-1].content)
        return Completion(text, "stop", Usage(1, 1), self.prompt.model or "", self.backend)
