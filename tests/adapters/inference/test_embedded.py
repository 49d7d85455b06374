"""The embedded backend, with a real model: asserted by shape, for what it says is its own affair."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
import trio

from pylon.adapters.inference import embedded
from pylon.adapters.inference.embedded import EmbeddedBackend, EmbeddedModel, open_embedded
from pylon.errors import BackendUnavailable, GenerationFailed, Misconfigured
from pylon.model.inference import BackendHealth, Completion, Message, Prompt
from tests.demo_model import demo_model

pytestmark = pytest.mark.model

STORY = Prompt((Message("user", "Tell me a very long story."),), max_tokens=1500, seed=1)
HELLO = Prompt((Message("user", "Hello"),), max_tokens=12, seed=1)


@pytest.fixture(scope="module")
def model() -> EmbeddedModel:
    return demo_model()


@pytest.fixture
async def backend(model: EmbeddedModel) -> AsyncGenerator[EmbeddedBackend, None]:
    async with open_embedded(model) as opened:
        yield opened


async def complete(backend: EmbeddedBackend, prompt: Prompt = HELLO) -> Completion:
    with trio.fail_after(60):
        async with backend.generate(prompt) as generation:
            return await generation.completion()


def child_of(backend: EmbeddedBackend) -> trio.Process:
    assert backend._child is not None
    return backend._child.process


async def busy_slots(backend: EmbeddedBackend) -> int:
    """Ask the server itself how many answers it is working on."""
    assert backend._child is not None
    client: httpx.AsyncClient = backend._child.backend._client
    return sum(slot["is_processing"] for slot in (await client.get("/slots")).json())


async def test_at_rest_it_is_available_and_costs_nothing(
    backend: EmbeddedBackend, model: EmbeddedModel
) -> None:
    health = await backend.health()
    assert health == BackendHealth("embedded", available=True, models=(model.name,), slots=2)
    assert backend._child is None


async def test_a_started_model_tells_the_same_from_the_server_itself(
    backend: EmbeddedBackend, model: EmbeddedModel
) -> None:
    started = await backend.start()
    assert started == BackendHealth("embedded", available=True, models=(model.name,), slots=2)
    assert started == await backend.health()
    assert child_of(backend).returncode is None


async def test_a_streamed_answer_joins_to_the_whole_and_is_counted(
    backend: EmbeddedBackend, model: EmbeddedModel
) -> None:
    async with backend.generate(HELLO) as generation:
        pieces = [piece async for piece in generation]
        whole = await generation.completion()
    assert len(pieces) > 1
    assert "".join(pieces) == whole.text
    assert whole.finish_reason in ("stop", "length")
    assert whole.usage.prompt_tokens > 0
    assert 0 < whole.usage.completion_tokens <= 12
    assert (whole.model, whole.backend) == (model.name, "embedded")


async def test_the_limit_of_tokens_holds(backend: EmbeddedBackend) -> None:
    whole = await complete(backend, Prompt(STORY.messages, max_tokens=5))
    assert (whole.usage.completion_tokens, whole.finish_reason) == (5, "length")


async def test_the_same_seed_gives_the_same_answer(backend: EmbeddedBackend) -> None:
    first, second = await complete(backend), await complete(backend)
    assert first.text == second.text


async def test_a_prompt_longer_than_the_context_is_refused_in_words(
    backend: EmbeddedBackend,
) -> None:
    flood = Prompt((Message("user", "Hello " * 5000),), max_tokens=5)
    with pytest.raises(GenerationFailed, match="exceeds the available context size"):
        await complete(backend, flood)


async def test_leaving_a_generation_frees_its_slot(backend: EmbeddedBackend) -> None:
    with trio.fail_after(60):
        async with backend.generate(STORY) as generation:
            await anext(aiter(generation))
            assert await busy_slots(backend) == 1
        with trio.fail_after(3):  # far less than the story takes
            while await busy_slots(backend):
                await trio.lowlevel.checkpoint()


async def test_two_generations_run_at_once(backend: EmbeddedBackend) -> None:
    with trio.fail_after(60):
        async with backend.generate(STORY) as one, backend.generate(STORY) as other:
            assert await anext(aiter(one))
            assert await anext(aiter(other))
            assert await busy_slots(backend) == 2


async def test_a_server_killed_in_mid_stream_fails_the_answer_and_the_next_starts_another(
    backend: EmbeddedBackend,
) -> None:
    with trio.fail_after(60):
        async with backend.generate(STORY) as generation:
            await anext(aiter(generation))
            first = child_of(backend)
            os.kill(first.pid, signal.SIGKILL)
            with pytest.raises(GenerationFailed, match="broke off"):
                await generation.completion()
        await first.wait()
        assert (await complete(backend)).usage.completion_tokens > 0
        assert child_of(backend).pid != first.pid


async def test_generations_that_come_at_once_start_one_server(backend: EmbeddedBackend) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(complete, backend)
        nursery.start_soon(complete, backend)
        nursery.start_soon(complete, backend)
    first = child_of(backend)
    await complete(backend)
    assert child_of(backend) is first


async def test_the_server_refuses_whoever_lacks_the_key(backend: EmbeddedBackend) -> None:
    await backend.start()
    assert backend._child is not None
    async with httpx.AsyncClient(base_url=backend._child.backend._server.url) as stranger:
        answer = await stranger.post("/v1/chat/completions", json={"messages": []})
    assert answer.status_code == 401


async def test_the_key_is_not_in_the_arguments_and_our_secrets_not_in_the_environment(
    model: EmbeddedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLON_PASSPHRASE", "correct horse")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    async with open_embedded(model) as backend:
        await backend.start()
        assert backend._child is not None
        key = backend._child.backend._server.api_key
        assert key is not None
        pid = child_of(backend).pid
        assert key not in await trio.Path(f"/proc/{pid}/cmdline").read_text()
        inherited = await trio.Path(f"/proc/{pid}/environ").read_text()
    assert "correct horse" not in inherited
    assert "sk-secret" not in inherited


async def test_the_server_ends_with_its_block(model: EmbeddedModel) -> None:
    async with open_embedded(model) as backend:
        await backend.start()
        process = child_of(backend)
    assert process.returncode is not None


async def test_a_server_that_does_not_listen_any_more_is_killed(
    model: EmbeddedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "STOP_SECONDS", 0.2)
    async with open_embedded(model) as backend:
        await backend.start()
        process = child_of(backend)
        os.kill(process.pid, signal.SIGSTOP)
    assert process.returncode == -signal.SIGKILL


_PARENT = """
import sys, trio
from pathlib import Path
from pylon.adapters.inference.embedded import EmbeddedModel, open_embedded

async def main():
    async with open_embedded(EmbeddedModel(Path(sys.argv[1]), "m")) as backend:
        await backend.start()
        print(backend._child.process.pid, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


async def test_the_server_dies_with_a_parent_that_is_killed(model: EmbeddedModel) -> None:
    with trio.fail_after(60):
        parent = await trio.lowlevel.open_process(
            [sys.executable, "-c", _PARENT, str(model.path)], stdout=subprocess.PIPE
        )
        assert parent.stdout is not None
        async with parent.stdout:
            child = int(await parent.stdout.receive_some())
            parent.kill()
            await parent.wait()
        with trio.fail_after(5):
            while _is_running(child):  # noqa: ASYNC110 - it is not our child: nobody tells us
                await trio.sleep(0.01)


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


async def test_a_file_that_is_no_model_gives_llamacpps_reason(tmp_path: Path) -> None:
    junk = tmp_path / "junk.gguf"
    junk.write_bytes(b"junk" * 100)
    async with open_embedded(EmbeddedModel(junk, "junk")) as backend:
        with pytest.raises(BackendUnavailable, match=r"does not load: .*invalid magic"):
            await complete(backend)
        health = await backend.health()
    assert not health.available
    assert "invalid magic" in health.reason


async def test_a_model_that_comes_later_makes_it_available(
    tmp_path: Path, model: EmbeddedModel
) -> None:
    path = tmp_path / "late.gguf"
    async with open_embedded(EmbeddedModel(path, "late")) as backend:
        assert await backend.health() == BackendHealth(
            "embedded", available=False, reason="there is no model late: pylon model pull"
        )
        path.symlink_to(model.path)
        assert (await backend.health()).models == ("late",)
        assert child_of(backend).returncode is None  # after a failure, only a start is proof


async def test_a_load_that_takes_for_ever_is_given_up(
    model: EmbeddedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "START_SECONDS", 0.01)
    async with open_embedded(model) as backend:
        assert "still loading" in (await backend.start()).reason


async def test_without_llamacpp_the_way_to_get_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda _name: None)
    with pytest.raises(Misconfigured, match=r"pip install 'pylon\[embedded\]'"):
        async with open_embedded(EmbeddedModel(tmp_path / "m.gguf", "m")):
            pass
