"""Messages that come one a line, for as long as lnd likes."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

from attrs import define, field

from pylon.errors import WalletUnavailable

T = TypeVar("T")

MAX_LINE_BYTES = 1 << 20


@define
class Messages(Generic[T]):
    """The messages of one stream, which `_read` makes of lines; `_mapping` maps what goes wrong."""

    _parts: AsyncIterator[bytes]
    _read: Callable[[bytes], T]
    _mapping: Callable[[], AbstractContextManager[None]]
    _lines: deque[bytes] = field(factory=deque, init=False)
    _rest: bytes = field(default=b"", init=False)

    def __aiter__(self) -> "Messages[T]":
        return self

    async def __anext__(self) -> T:
        while not self._lines:
            with self._mapping():
                part = await anext(self._parts, None)
            if part is None:
                raise StopAsyncIteration
            self._feed(part)
        return self._read(self._lines.popleft())

    def _feed(self, part: bytes) -> None:
        *lines, self._rest = (self._rest + part).split(b"\n")
        self._lines.extend(line for line in lines if line.strip())
        if len(self._rest) > MAX_LINE_BYTES:
            raise WalletUnavailable("lnd sent a line without an end")
