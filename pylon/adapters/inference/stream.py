"""The answer of an OpenAI-compatible server, as it streams in (server-sent events)."""

from collections.abc import Iterator
from typing import Annotated, Any, TypeAlias

import msgspec
from attrs import define, field, frozen

from pylon.errors import GenerationFailed

MAX_EVENT_BYTES = 1 << 20

_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
_MAX_REASON = 200


@frozen
class ServerUsage:
    """Tokens, as the server counted them."""

    prompt_tokens: _Count
    completion_tokens: _Count


@frozen
class _Delta:
    content: str | None = None
    reasoning_content: str | None = None


@frozen
class _Choice:
    delta: _Delta | None = None
    message: _Delta | None = None  # in place of `delta` where the server does not stream
    finish_reason: str | None = None


@frozen
class _Wire:
    choices: tuple[_Choice, ...] | None = None
    usage: ServerUsage | None = None
    model: str | None = None
    error: Any = None


@frozen
class Chunk:
    """One event of the stream. `alive` says that the model did something, if only think."""

    text: str = ""
    alive: bool = False
    finish_reason: str | None = None
    usage: ServerUsage | None = None
    model: str | None = None
    done: bool = False


@define
class EventReader:
    """Cut bytes into the data of server-sent events, however the network cut them.

    Working on whole lines of bytes keeps a character intact that two packets share. A `plain` body
    is one document, from a server that does not stream.
    """

    _plain: bool = False
    _rest: bytearray = field(factory=bytearray, init=False)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the data of each complete event; raise `GenerationFailed` on anything else."""
        self._rest += data
        if not self._plain:
            *lines, self._rest = self._rest.split(b"\n")
            for line in lines:
                yield from _data_of(bytes(line).removesuffix(b"\r"))
        if len(self._rest) > MAX_EVENT_BYTES:
            raise GenerationFailed("the backend sent an event without an end")

    def finish(self) -> Iterator[bytes]:
        """Yield what a body without a last line end leaves behind."""
        rest, self._rest = bytes(self._rest), bytearray()
        if rest:
            yield from (rest,) if self._plain else _data_of(rest)


def _data_of(line: bytes) -> Iterator[bytes]:
    # Every server sends an event's JSON as one `data` line, so events need not be put together.
    name, _, value = line.partition(b":")
    if name == b"data":
        yield value.removeprefix(b" ")
    elif name not in (b"", b"event", b"id", b"retry"):  # an empty name is a comment, or no line
        raise GenerationFailed("the backend sent something that is no event stream")


def read_chunk(data: bytes) -> Chunk:
    """Read the data of one event, or the whole of an unstreamed answer.

    Text cut inside a character shows U+FFFD there. Raises `GenerationFailed`.
    """
    if data == b"[DONE]":
        return Chunk(done=True)
    wire = _decode(data)
    if wire.error:
        raise GenerationFailed(f"the backend reports: {reason_in(data)}")
    if wire.choices is None and wire.usage is None:
        raise GenerationFailed("the backend sent an event that is no part of an answer")
    choice = wire.choices[0] if wire.choices else _Choice()
    said = choice.delta or choice.message or _Delta()
    return Chunk(
        text=said.content or "",
        alive=bool(said.content or said.reasoning_content),
        finish_reason=choice.finish_reason,
        usage=wire.usage,
        model=wire.model,
    )


def _decode(data: bytes) -> _Wire:
    try:
        return msgspec.json.decode(_whole_characters(data), type=_Wire)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise GenerationFailed(f"the backend sent garbage: {exc}") from exc


def _whole_characters(data: bytes) -> bytes:
    # A token may end inside a character, and not every server waits for the rest of it.
    return data.decode(errors="replace").encode()


def reason_in(body: bytes) -> str:
    """Find the words in a server's error, in one line; empty if there are none."""
    try:
        found = msgspec.json.decode(_whole_characters(body))
    except (msgspec.DecodeError, RecursionError):
        return ""
    for key in ("error", "message"):
        found = found.get(key, found) if isinstance(found, dict) else found
    if not isinstance(found, str):
        return ""
    shown = "".join(letter if letter.isprintable() else " " for letter in found[:_MAX_REASON])
    return " ".join(shown.split())
