"""One model over HTTP, resumed where it was cut."""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.parse import urldefrag, urlsplit

import httpx
import trio
from attrs import frozen

from pylon.adapters.inference import models
from pylon.adapters.inference.bodies import reading
from pylon.adapters.inference.models import Progress, StoredModel
from pylon.errors import BackendUnavailable, Misconfigured, StoreFull

TRIES = 5
SILENCE_SECONDS = 30.0
_RETRY_SECONDS = 1.0
_WRITE_BYTES = 1 << 20
_SHA256 = re.compile(r"sha256=([0-9a-f]{64})")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-[0-9]+/([0-9]+)")


@frozen
class _Part:
    """A download in the making: its bytes, and beside them which version of which address."""

    data: Path
    origin: Path

    def resume_from(self, url: str) -> tuple[int, str]:
        """Return how much is there, and the version it belongs to; (0, "") to begin anew."""
        with suppress(FileNotFoundError, ValueError):
            of, version = self.origin.read_text(encoding="utf-8").splitlines()
            if of == url:
                return self.data.stat().st_size, version
        return 0, ""

    def begin(self, url: str, version: str) -> None:
        """Remember where the bytes come from, so that only their like is added to them."""
        self.data.unlink(missing_ok=True)
        with models.open_private(self.origin, "wb") as file:
            file.write(f"{url}\n{version}\n".encode())

    def discard(self) -> None:
        self.data.unlink(missing_ok=True)
        self.origin.unlink(missing_ok=True)


async def download(address: str, folder: Path, *, progress: Progress) -> StoredModel:
    """Fetch a GGUF file into the store, unless a model of its name is there.

    Raises as `pulling.pull` does.
    """
    url, fragment = urldefrag(address)
    name = models.model_name(urlsplit(url).path.rsplit("/", 1)[-1])
    expected = _SHA256.fullmatch(fragment)
    if fragment and not expected:
        raise Misconfigured(f"write the checksum as #sha256= and 64 hex digits, not #{fragment}")
    if stored := models.find_model(folder, name):
        return stored
    part = _Part(folder / f".{name}.part", folder / f".{name}.from")
    await _fetch(url, part, folder, progress)
    return await trio.to_thread.run_sync(
        _settle, part, folder, name, expected[1] if expected else None
    )


def _settle(part: _Part, folder: Path, name: str, sha256: str | None) -> StoredModel:
    try:
        with models.disk_errors(folder), part.data.open("r+b") as file:
            return models.settle(part.data, folder, name, file=file, sha256=sha256)
    finally:
        part.discard()


async def _fetch(url: str, part: _Part, folder: Path, progress: Progress) -> None:
    timeout = httpx.Timeout(SILENCE_SECONDS)
    try:
        async with httpx.AsyncClient(follow_redirects=True, timeout=timeout) as client:
            for left in reversed(range(TRIES)):
                try:
                    return await _attempt(client, url, part, folder, progress)
                except httpx.TransportError:
                    if not left:
                        raise
                await trio.sleep(_RETRY_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        why = str(exc) or type(exc).__name__
        raise BackendUnavailable(f"the download was cut: {why}; asked again, it goes on") from exc


async def _attempt(
    client: httpx.AsyncClient, url: str, part: _Part, folder: Path, progress: Progress
) -> None:
    have, version = part.resume_from(url)
    # Compressed, the ranges of a file are another file's.
    wanted = {"Accept-Encoding": "identity"}
    if have and version:
        wanted |= {"Range": f"bytes={have}-", "If-Range": version}
    request = client.build_request("GET", url, headers=wanted)
    response = await client.send(request, stream=True)
    async with reading(response) as data:
        if _is_complete(response, have):
            return
        start, total = _extent(response, have)
        with models.disk_errors(folder):
            if start == 0:
                part.begin(url, _version(response))
            _expect_room(folder, (total or 0) - start)
            with models.open_private(part.data, "ab") as file:
                await _write(data, file, have=start, total=total, progress=progress)


def _is_complete(response: httpx.Response, have: int) -> bool:
    """Say whether the server has nothing to add: it answers so when asked for a range past it."""
    past_it = response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE
    return past_it and response.headers.get("content-range") == f"bytes */{have}"


def _extent(response: httpx.Response, have: int) -> tuple[int, int | None]:
    """Return where the body begins, and the size of the whole file if it is told."""
    if response.status_code == httpx.codes.OK:
        length = response.headers.get("content-length", "")
        return 0, int(length) if length.isdecimal() else None
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        if found and int(found[1]) == have:
            return have, int(found[2])
    answer = f"{response.url.host} answers {response.status_code} for this address"
    if response.is_client_error:
        raise Misconfigured(answer)
    raise BackendUnavailable(answer)


def _version(response: httpx.Response) -> str:
    """Return what tells this content from a later one (RFC 9110, 13.1.5); weak tags do not."""
    tag: str = response.headers.get("etag", "")
    changed: str = response.headers.get("last-modified", "")
    return tag if tag.startswith('"') else changed


def _expect_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        raise StoreFull(f"the disk with {folder} has {free:,} bytes free, {size:,} are needed")


async def _write(
    data: AsyncIterator[bytes], file: IO[bytes], *, have: int, total: int | None, progress: Progress
) -> None:
    waiting = bytearray()
    try:
        async for part in data:
            waiting += part
            if len(waiting) >= _WRITE_BYTES:
                await trio.to_thread.run_sync(file.write, bytes(waiting))
                have += len(waiting)
                waiting.clear()
                progress(have, total)
    finally:
        file.write(waiting)  # also when cut: it need not be fetched again
    progress(have + len(waiting), total)
