"""Ports that fail on order."""

import inspect
from typing import Any

import trio


class Trouble:
    """Stands before a port; the calls named in `failures` fail, each so many times as errors wait."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.failures: dict[str, list[Exception]] = {}
        self.calls: list[str] = []

    def fail(self, method: str, *errors: Exception) -> None:
        self.failures.setdefault(method, []).extend(errors)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not inspect.iscoroutinefunction(method):
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            if waiting := self.failures.get(name):
                await trio.lowlevel.checkpoint()
                raise waiting.pop(0)
            return await method(*args, **kwargs)

        return call
