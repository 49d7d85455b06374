"""Which backends are opened, and which of them is asked."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import pytest
import trio
from attrs import define

from pylon.adapters.inference import embedded
from pylon.adapters.inference.models import DEFAULT_MODEL
from pylon.app import inference
from pylon.app.inference import (
    embedded_model,
    load_embedded,
    open_backends,
    pick,
    pull_embedded_model,
)
from pylon.config import BackendsConfig
from pylon.core.backends import Wanted
from pylon.errors import BackendUnavailable, Misconfigured
from pylon.model.inference import BackendHealth, Message, Prompt
from pylon.ports.inference import Backend, Generation
from tests.adapters.inference.scripted import answer, document, scripted
from tests.demo_model import demo_model, models_folder

CONFIG = BackendsConfig()


@define
class AskedBackend:
    """Answers for its health, and counts how often it was asked."""

    name: str
    models: tuple[str, ...] = ()
    asked: int = 0

    async def health(self) -> BackendHealth:
        self.asked += 1
        up = bool(self.models)
        return BackendHealth(
            self.name, available=up, models=self.models, reason="" if up else "off"
        )

    @asynccontextmanager
    async def generate(self, _prompt: Prompt) -> AsyncGenerator[Generation, None]:
        raise NotImplementedError
        yield


def without_llamacpp(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (embedded, inference):
        monkeypatch.setattr(module, "is_installed", lambda: False)


async def opened(config: BackendsConfig, **environ: str) -> list[str]:
    async with open_backends(config, environ, models_folder=Path("/nowhere")) as backends:
        return [backend.name for backend in backends]


async def test_backends_are_opened_in_the_order_configured() -> None:
    config = BackendsConfig(order=("embedded", "ollama", "openai", "llamacpp", "ollama"))
    assert await opened(config) == ["embedded", "ollama", "llamacpp"]


async def test_a_service_with_an_address_is_opened_too() -> None:
    config = BackendsConfig(order=("openai",), openai_base_url="https://api.example.com/v1")
    assert await opened(config) == ["openai"]


async def test_the_key_comes_from_the_environment_and_goes_to_the_service_only() -> None:
    async with scripted(answer("4")) as server:
        config = BackendsConfig(
            order=("openai", "ollama"), openai_base_url=server.url, ollama_url=server.url
        )
        environ = {"OPENAI_API_KEY": " sk-1\n"}
        async with open_backends(config, environ, models_folder=Path("/nowhere")) as backends:
            for backend in backends:
                async with backend.generate(Prompt((Message("user", "Hi"),))) as generation:
                    await generation.completion()
    assert [request.headers.get("authorization") for request in server.requests] == [
        "Bearer sk-1",
        None,
    ]


async def test_what_is_not_installed_is_left_out_while_something_else_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_llamacpp(monkeypatch)
    assert await opened(CONFIG) == ["llamacpp", "ollama", "apple_fm"]


async def test_with_nothing_installed_and_nothing_named_the_way_out_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_llamacpp(monkeypatch)
    with pytest.raises(Misconfigured, match=r"pip install 'pylon\[embedded\]'"):
        await opened(BackendsConfig(order=("embedded",)))
    with pytest.raises(Misconfigured, match="names no backend"):
        await opened(BackendsConfig(order=("openai",)))


async def test_no_more_backends_are_asked_than_it_takes() -> None:
    down, up, rest = (
        AskedBackend("llamacpp"),
        AskedBackend("ollama", ("a",)),
        AskedBackend("openai"),
    )
    picked = await pick((down, up, rest), CONFIG, Wanted())
    assert (picked.backend, picked.model) == (up, "a")
    assert (down.asked, up.asked, rest.asked) == (1, 1, 0)


async def test_only_the_wanted_backend_is_asked() -> None:
    first, second = AskedBackend("llamacpp", ("a",)), AskedBackend("ollama", ("b",))
    picked = await pick((first, second), CONFIG, Wanted("ollama"))
    assert (picked.backend, picked.model) == (second, "b")
    assert first.asked == 0


async def test_a_job_without_a_model_gets_the_configured_one() -> None:
    backend = AskedBackend("ollama", ("a", "b"))
    picked = await pick((backend,), BackendsConfig(default_model="b"), Wanted())
    assert picked.model == "b"


@pytest.mark.parametrize(
    ("wanted", "error", "words"),
    [
        (Wanted("openai"), Misconfigured, "no backend openai here; have: llamacpp, ollama"),
        (Wanted("ollama", "z"), Misconfigured, "no model z here; have: ollama:a"),
        (Wanted("llamacpp"), BackendUnavailable, r"cannot generate now \(llamacpp: off\)"),
    ],
)
async def test_unknown_and_unavailable_are_told_apart(
    wanted: Wanted, error: type[Exception], words: str
) -> None:
    backends: tuple[Backend, ...] = (AskedBackend("llamacpp"), AskedBackend("ollama", ("a",)))
    with pytest.raises(error, match=words):
        await pick(backends, CONFIG, wanted)


async def test_no_model_is_loaded_while_another_backend_can_generate(tmp_path: Path) -> None:
    broken = tmp_path / f"{DEFAULT_MODEL.name}.gguf"
    broken.write_bytes(b"GGUF")
    up = document({"models": [{"name": "a"}]})
    async with scripted(lambda r: up if r.path == "/api/tags" else answer("4")) as server:
        config = BackendsConfig(order=("embedded", "ollama"), ollama_url=server.url)
        async with open_backends(config, {}, models_folder=tmp_path) as backends:
            await load_embedded(backends)
            health = await backends[0].health()
    assert health.available  # it would not be, had this file been loaded


async def test_when_nobody_can_generate_every_reason_is_told(tmp_path: Path) -> None:
    config = BackendsConfig(order=("embedded", "ollama"), ollama_url="http://127.0.0.1:1")
    async with open_backends(config, {}, models_folder=tmp_path) as backends:
        with pytest.raises(BackendUnavailable) as caught:
            await load_embedded(backends)
    assert "ollama: no answer at 127.0.0.1:1" in str(caught.value)
    assert "embedded: there is no model smollm2-135m-instruct" in str(caught.value)


@pytest.mark.model
async def test_the_embedded_model_is_loaded_when_nobody_else_can_generate() -> None:
    model = await trio.to_thread.run_sync(demo_model)
    config = BackendsConfig(order=("llamacpp", "embedded"), llama_server_url="http://127.0.0.1:1")
    with trio.fail_after(60):
        async with open_backends(config, {}, models_folder=model.path.parent) as backends:
            await load_embedded(backends)
            picked = await pick(backends, config, Wanted())
            async with picked.backend.generate(
                Prompt((Message("user", "Hi"),), model=picked.model, max_tokens=4)
            ) as generation:
                completion = await generation.completion()
    assert (completion.backend, completion.model) == ("embedded", model.name)
    assert completion.usage.completion_tokens > 0


def _refuse(*_: object, **__: object) -> NoReturn:
    raise AssertionError("nothing should be fetched")


async def test_a_model_is_fetched_only_where_it_is_of_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "pull", _refuse)
    own = BackendsConfig(embedded_model="my-own")
    elsewhere = BackendsConfig(order=("ollama",))
    for config in (own, elsewhere):
        assert await pull_embedded_model(config, models_folder=tmp_path, progress=_refuse) is None
    without_llamacpp(monkeypatch)
    assert await pull_embedded_model(CONFIG, models_folder=tmp_path, progress=_refuse) is None


async def test_a_model_that_is_here_is_used_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "pull", _refuse)
    path = tmp_path / f"{DEFAULT_MODEL.name}.gguf"
    path.write_bytes(b"GGUF")
    found = await pull_embedded_model(CONFIG, models_folder=tmp_path, progress=_refuse)
    assert found is not None
    assert found.path == path


def test_the_embedded_model_is_a_name_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.gguf"
    file.write_bytes(b"GGUF")
    config = BackendsConfig(embedded_model=str(file), embedded_slots=3, context_tokens=1024)
    loaded = embedded_model(config, models_folder())
    assert (loaded.path, loaded.name, loaded.slots, loaded.context_tokens) == (
        file,
        "mine",
        3,
        1024,
    )
    missing = embedded_model(BackendsConfig(embedded_model="later"), tmp_path)
    assert (missing.path, missing.name) == (tmp_path / "later.gguf", "later")
