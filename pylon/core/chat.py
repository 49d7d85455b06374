"""Chat requests as they travel in jobs: NIP-90 params (kind 5050) and OpenAI JSON (kind 5935)."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from attrs import evolve, frozen

from pylon.core.backends import Wanted, combine
from pylon.errors import Malformed
from pylon.model.inference import Completion, Message, Prompt, Usage

MAX_CHARS = 1_000_000  # of all messages together
MAX_MESSAGES = 1_000

T = TypeVar("T")

# Ranges of the OpenAI chat API; top_k is llama.cpp's.
_Tokens: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
_Temperature: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=2)]
_TopP: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=1)]
_TopK: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1_000)]
_Penalty: TypeAlias = Annotated[float, msgspec.Meta(ge=-2, le=2)]
_Seed: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
_Stop: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Stops: TypeAlias = Annotated[tuple[_Stop, ...], msgspec.Meta(max_length=4)]
_Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=256)]


@frozen
class ChatRequest:
    """A chat as a job carries it. The prompt's own `model` is left None until one is chosen."""

    wanted: Wanted
    prompt: Prompt


@frozen
class ChatAnswer:
    """What came back for a chat."""

    text: str
    finish_reason: str
    usage: Usage


@frozen
class _Part:
    type: Literal["text"]
    text: str


@frozen
class _Turn:
    role: Literal["system", "developer", "user", "assistant"]
    content: str | tuple[_Part, ...]


@frozen
class _Params:
    max_tokens: _Tokens | None = None
    temperature: _Temperature | None = None
    top_p: _TopP | None = None
    top_k: _TopK | None = None
    frequency_penalty: _Penalty | None = None
    stop: _Stop | _Stops | None = None
    seed: _Seed | None = None
    model: _Name | None = None


@frozen
class _Payload:
    messages: Annotated[tuple[_Turn, ...], msgspec.Meta(min_length=1, max_length=MAX_MESSAGES)]
    params: _Params | None = None
    backend: _Name | None = None


@frozen
class _AnswerTurn:
    content: str
    role: Literal["assistant"] = "assistant"


@frozen
class _Answer:
    messages: Annotated[tuple[_AnswerTurn, ...], msgspec.Meta(min_length=1, max_length=1)]
    backend: str = ""
    finish_reason: str = "stop"
    usage: Usage | None = None


_PARAM_NAMES = {
    "top-k": "top_k",
    "top-p": "top_p",
}  # as the NIP-90 example of kind 5050 spells them
_NUMBERS = {"max_tokens", "temperature", "top_p", "top_k", "frequency_penalty", "seed"}
_NUMBER = re.compile(r"-?[0-9]{1,10}(\.[0-9]{1,20})?")


def read_params(params: Iterable[tuple[str, str]], text: str) -> ChatRequest:
    """Make a chat of a kind-5050 job's input and its `param` tags (name, value).

    Both `top_k` and `top-k` are read, parameters of other makes are passed over, the last of
    several wins. Raises `Malformed` for a value out of its range.
    """
    found: dict[str, object] = {}
    for name, value in params:
        key = _PARAM_NAMES.get(name, name)
        if key in _NUMBERS:
            found[key] = _number(key, value)
        elif key in ("model", "stop"):
            found[key] = value
    asked = _convert(found, _Params) if found else _Params()
    return _request((_Turn("user", text),), asked, backend=None)


def read_chat(content: str) -> ChatRequest:
    """Read a kind-5935 payload `{"backend", "messages", "params"}`; raise `Malformed`."""
    payload = _decode(content, _Payload)
    return _request(payload.messages, payload.params or _Params(), backend=payload.backend)


def write_chat(request: ChatRequest) -> str:
    """Write the payload `read_chat` reads."""
    prompt = request.prompt
    params = {
        "max_tokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "top_p": prompt.top_p,
        "top_k": prompt.top_k,
        "frequency_penalty": prompt.frequency_penalty,
        "stop": prompt.stop or None,
        "seed": prompt.seed,
        "model": request.wanted.model,
    }
    payload = {
        "backend": request.wanted.backend,
        "messages": prompt.messages,
        "params": _present(params),
    }
    return msgspec.json.encode(_present(payload)).decode()


def write_answer(completion: Completion) -> str:
    """Write a kind-6935 answer, in the request's shape with one assistant message."""
    return msgspec.json.encode(
        _Answer(
            messages=(_AnswerTurn(completion.text),),
            backend=f"{completion.backend}:{completion.model}",
            finish_reason=completion.finish_reason,
            usage=completion.usage,
        )
    ).decode()


def read_answer(content: str) -> ChatAnswer:
    """Read what `write_answer` writes; raise `Malformed`."""
    answer = _decode(content, _Answer)
    usage = answer.usage or Usage(0, 0)
    return ChatAnswer(answer.messages[0].content, answer.finish_reason, usage)


def with_system(prompt: Prompt, system: str) -> Prompt:
    """Put a system message before the others."""
    return evolve(prompt, messages=(Message("system", system), *prompt.messages))


def _request(turns: tuple[_Turn, ...], params: _Params, *, backend: str | None) -> ChatRequest:
    messages = tuple(_message(turn) for turn in turns)
    if sum(len(message.content) for message in messages) > MAX_CHARS:
        raise Malformed(f"more than {MAX_CHARS:,} characters of input")
    if not any(message.content.strip() for message in messages):
        raise Malformed("the prompt is empty")
    stop = (params.stop,) if isinstance(params.stop, str) else params.stop or ()
    prompt = Prompt(
        messages,
        max_tokens=params.max_tokens,
        temperature=params.temperature,
        top_p=params.top_p,
        top_k=params.top_k,
        frequency_penalty=params.frequency_penalty,
        stop=stop,
        seed=params.seed,
    )
    return ChatRequest(combine(backend=backend, model=params.model), prompt)


def _message(turn: _Turn) -> Message:
    # `developer` is OpenAI's newer word for `system`; other servers do not know it.
    role = "system" if turn.role == "developer" else turn.role
    content = turn.content
    text = content if isinstance(content, str) else "".join(part.text for part in content)
    return Message(role, text)


def _number(name: str, value: str) -> int | float:
    if not _NUMBER.fullmatch(value):
        raise Malformed(f"{name} is not a number")
    return float(value) if "." in value else int(value)


def _decode(content: str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        raise Malformed(f"not a chat: {_told(exc)}") from exc


def _convert(values: dict[str, object], kind: type[T]) -> T:
    try:
        return msgspec.convert(values, type=kind)
    except msgspec.ValidationError as exc:
        raise Malformed(_told(exc)) from exc


def _told(error: Exception) -> str:
    """Put msgspec's words in the order people use: which value, then what is wrong with it."""
    what, at, where = str(error).replace("`", "").partition(" - at $.")
    return f"{where}: {what}" if at else what


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
