"""Prompts and answers, whichever backend serves them."""

from attrs import frozen


@frozen
class Message:
    """One turn of a chat, in OpenAI's roles: system, user, assistant."""

    role: str
    content: str


@frozen
class Prompt:
    """What to generate, and within which limits. None leaves a choice to the backend."""

    messages: tuple[Message, ...]
    model: str | None = None  # as the backend names it
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None


@frozen
class Usage:
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int


@frozen
class Completion:
    """A whole answer. `finish_reason` is OpenAI's: stop, length."""

    text: str
    finish_reason: str
    usage: Usage
    model: str
    backend: str


@frozen
class BackendHealth:
    """Whether a backend can generate now, with which models, and how many at once."""

    backend: str  # apple_fm, llamacpp, ollama, openai, embedded
    available: bool
    models: tuple[str, ...] = ()
    slots: int = 1
    reason: str = ""  # why not, in words for a person
