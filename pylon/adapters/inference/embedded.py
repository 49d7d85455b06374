"""The embedded backend: llama.cpp in a child process, started when first needed."""

import logging
import os
import re
import secrets
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import msgspec
import trio
from attrs import define, field, frozen

from pylon.adapters.inference.generation import Limits, OpenAiGeneration
from pylon.adapters.inference.openai import OpenAiBackend, open_openai
from pylon.adapters.inference.servers import llamacpp
from pylon.errors import BackendUnavailable, Misconfigured
from pylon.model.inference import BackendHealth, Prompt

NAME = "embedded"
START_SECONDS = 120.0  # large models on slow disks
STOP_SECONDS = 3.0
MAX_ADDRESS_BYTES = 256
MAX_COMPLAINT_BYTES = 65_536

log = logging.getLogger(__name__)


@frozen
class EmbeddedModel:
    """What to load: `context_tokens` is each slot's own."""

    path: Path
    name: str
    slots: int = 2
    context_tokens: int = 4096


@frozen
class _Child:
    process: trio.Process
    backend: OpenAiBackend
    resources: AsyncExitStack

    @property
    def is_alive(self) -> bool:
        return self.process.returncode is None


@define
class EmbeddedBackend:
    """A `Backend` whose server is a child process: started on demand, anew after it has died."""

    _model: EmbeddedModel
    _limits: Limits
    _child: _Child | None = field(default=None, init=False)
    _starting: trio.Lock = field(factory=trio.Lock, init=False)
    _failed: bool = field(default=False, init=False)

    @property
    def name(self) -> str:
        return NAME

    async def health(self) -> BackendHealth:
        """Answer from the model's file while at rest; loading it is proof, and costs its memory.

        After a failed start every call tries again.
        """
        at_rest = self._child is None and not self._failed and not self._starting.locked()
        if at_rest and self._model.path.is_file():
            return BackendHealth(
                NAME, available=True, models=(self._model.name,), slots=self._model.slots
            )
        return await self.start()

    async def start(self) -> BackendHealth:
        """Load the model now, and say whether it can generate."""
        try:
            return await (await self._running()).health()
        except BackendUnavailable as exc:
            return BackendHealth(NAME, available=False, reason=str(exc))

    @asynccontextmanager
    async def generate(self, prompt: Prompt) -> AsyncGenerator[OpenAiGeneration, None]:
        backend = await self._running()
        async with backend.generate(prompt) as generation:
            yield generation

    async def _running(self) -> OpenAiBackend:
        async with self._starting:
            if self._child is not None and not self._child.is_alive:
                log.warning("the embedded model ended (%s)", self._child.process.returncode)
                await self.stop()
            if self._child is None:
                self._failed = True  # unless the next line ends well
                self._child = await _start(self._model, self._limits)
                self._failed = False
            return self._child.backend

    async def stop(self) -> None:
        """End the child, if there is one."""
        if self._child is not None:
            child, self._child = self._child, None
            await child.resources.aclose()


def is_installed() -> bool:
    """Say whether llama.cpp is there to be embedded."""
    return find_spec("xllamacpp") is not None


@asynccontextmanager
async def open_embedded(
    model: EmbeddedModel, *, limits: Limits | None = None
) -> AsyncGenerator[EmbeddedBackend, None]:
    """Serve a GGUF file; the child starts with the first `start` or `generate`.

    The file may come later: until then it is unavailable. Raises `Misconfigured` when llama.cpp is
    not installed.
    """
    if not is_installed():
        raise Misconfigured("the embedded backend is not installed: pip install 'pylon[embedded]'")
    backend = EmbeddedBackend(model, limits or Limits())
    try:
        yield backend
    finally:
        await backend.stop()


async def _start(model: EmbeddedModel, limits: Limits) -> _Child:
    if not model.path.is_file():
        raise BackendUnavailable(f"there is no model {model.name}: pylon model pull")
    api_key = secrets.token_urlsafe(24)
    async with AsyncExitStack() as stack:
        process = await _spawn()
        stack.push_async_callback(_end, process)
        address = await _load(process, model, api_key)
        server = llamacpp(address, name=NAME, api_key=api_key)
        backend = await stack.enter_async_context(open_openai(server, limits=limits))
        return _Child(process, backend, stack.pop_all())


async def _spawn() -> trio.Process:
    return await trio.lowlevel.open_process(
        [sys.executable, "-P", "-m", "pylon.adapters.inference.embedded_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us: it may finish its answer
        env={name: value for name, value in os.environ.items() if not _is_ours(name)},
    )


def _is_ours(variable: str) -> bool:
    """Say whether it may hold a secret of ours, which llama.cpp has no use for."""
    return variable.startswith("PYLON_") or variable == "OPENAI_API_KEY"


async def _load(process: trio.Process, model: EmbeddedModel, api_key: str) -> str:
    assert process.stdin is not None  # noqa: S101 - asked for in _spawn
    assert process.stdout is not None  # noqa: S101 - likewise
    order = {
        "model": str(model.path.absolute()),
        "name": model.name,
        "slots": model.slots,
        "context_tokens": model.context_tokens,
        "api_key": api_key,
    }
    with trio.move_on_after(START_SECONDS):
        try:
            await process.stdin.send_all(msgspec.json.encode(order) + b"\n")
        except trio.BrokenResourceError:
            raise BackendUnavailable(await _complaint(process)) from None
        line = await _line(process.stdout)
        if not line:
            raise BackendUnavailable(await _complaint(process))
        return line.decode()
    raise BackendUnavailable(f"{model.name} is still loading after {START_SECONDS:g} s")


async def _line(stream: trio.abc.ReceiveStream) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < MAX_ADDRESS_BYTES:
        if not (data := await stream.receive_some(MAX_ADDRESS_BYTES)):
            return b""
        line += data
    return line.strip()


async def _complaint(process: trio.Process) -> str:
    """Find in the child's last words the first error of llama.cpp, which is the cause."""
    assert process.stderr is not None  # noqa: S101 - asked for in _spawn
    said = b""
    while len(said) < MAX_COMPLAINT_BYTES and (data := await process.stderr.receive_some()):
        said += data
    text = said.decode(errors="replace")
    found = re.search(r"^[0-9.]+ E (.*)$", text, re.MULTILINE)
    why = found[1] if found else (text.strip().splitlines() or ["it ended at once"])[-1]
    return f"the embedded model does not load: {why.strip()[:200]}"


async def _end(process: trio.Process) -> None:
    """Ask the child to end by closing its stdin, then insist."""
    with trio.move_on_after(STOP_SECONDS * 2, shield=True):
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                await stream.aclose()
        with trio.move_on_after(STOP_SECONDS):
            await process.wait()
            return
        process.kill()
        await process.wait()
