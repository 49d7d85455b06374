"""What services ask of an inference backend."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from pylon.model.inference import BackendHealth, Completion, Prompt


class Generation(Protocol):
    """An answer in the making: iterate for its pieces, then ask for the whole."""

    def __aiter__(self) -> AsyncIterator[str]:
        """Yield text as it comes; raise `GenerationFailed` when it stalls or breaks off."""
        ...

    async def completion(self) -> Completion:
        """Drain what is left and return the whole; raise `GenerationFailed` if it is empty."""
        ...


class Backend(Protocol):
    """One program that turns prompts into text."""

    @property
    def name(self) -> str:
        """The identifier's first half: apple_fm, llamacpp, ollama, openai, embedded."""
        ...

    async def health(self) -> BackendHealth:
        """Find out whether it can generate, not merely whether a port is open. Never raises."""
        ...

    def generate(self, prompt: Prompt) -> AbstractAsyncContextManager[Generation]:
        """Start generating; leaving the block stops the generation at the backend.

        Raises `BackendUnavailable` when it is down, full or has no such model.
        """
        ...
