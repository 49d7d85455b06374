"""How each kind of server shows that it can generate."""

import pytest
import trio

from pylon.adapters.inference import servers
from pylon.adapters.inference.generation import Limits
from pylon.adapters.inference.openai import open_openai
from pylon.errors import GenerationFailed
from pylon.model.inference import BackendHealth, Message, Prompt
from tests.adapters.inference.scripted import (
    STREAM,
    Hang,
    Reply,
    Request,
    Script,
    answer,
    document,
    event,
    scripted,
)

QUICK = Limits(start_seconds=0.2, stall_seconds=0.1)
GENERATE = "/v1/chat/completions"
LLAMA = {
    "/health": document({"status": "ok"}),
    "/v1/models": document({"object": "list", "data": [{"id": "gpt-oss-20b"}]}),
    "/props": document({"total_slots": 4}),
}
OLLAMA = {
    "/api/tags": document({"models": [{"name": "llama3.2:latest"}, {"name": "qwen3:4b"}]}),
    GENERATE: answer("H"),
}


def routes(table: dict[str, Reply]) -> Script:
    return lambda request: table.get(request.path, Reply(status=404))


async def health(server: servers.Server) -> BackendHealth:
    with trio.fail_after(5):
        async with open_openai(server, limits=QUICK) as backend:
            return await backend.health()


async def test_llamacpp_tells_its_model_and_its_slots() -> None:
    async with scripted(routes(LLAMA)) as server:
        found = await health(servers.llamacpp(server.url))
    assert found == BackendHealth("llamacpp", available=True, models=("gpt-oss-20b",), slots=4)


async def test_llamacpp_is_unavailable_while_it_loads_its_model() -> None:
    loading = document({"error": {"message": "Loading model", "code": 503}}, status=503)
    async with scripted(loading) as server:
        found = await health(servers.llamacpp(server.url))
    assert found == BackendHealth("llamacpp", available=False, reason="Loading model")


async def test_ollama_lists_what_it_has_pulled_and_proves_it_with_one_token() -> None:
    async with scripted(routes(OLLAMA)) as server:
        found = await health(servers.ollama(server.url))
    assert found == BackendHealth("ollama", available=True, models=("llama3.2:latest", "qwen3:4b"))
    assert server.requests[-1].json["max_tokens"] == 1
    assert server.requests[-1].json["model"] == "llama3.2:latest"


async def test_a_bridge_that_generates_is_available() -> None:
    table = {"/v1/models": document({"data": [{"id": "apple-on-device"}]}), GENERATE: answer("H")}
    async with scripted(routes(table)) as server:
        found = await health(servers.apple_fm(f"{server.url}/v1"))
    assert found == BackendHealth("apple_fm", available=True, models=("apple-on-device",))


async def test_the_proof_is_asked_of_the_configured_model() -> None:
    async with scripted(routes(OLLAMA)) as server:
        await health(servers.ollama(server.url, probe_model="qwen3:4b"))
    assert server.requests[-1].json["model"] == "qwen3:4b"


async def test_a_server_that_lists_models_but_generates_nothing_is_unavailable() -> None:
    hanging = routes(OLLAMA | {GENERATE: Reply((Hang(),))})
    async with scripted(hanging) as server:
        found = await health(servers.ollama(server.url))
    assert found == BackendHealth("ollama", available=False, reason="ollama: no answer for 0.2 s")


async def test_a_server_without_a_model_is_unavailable() -> None:
    async with scripted(document({"models": []})) as server:
        found = await health(servers.ollama(server.url))
    assert not found.available
    assert found.reason == "it has no model"


async def test_a_proof_holds_until_a_generation_fails() -> None:
    broken = False

    def script(request: Request) -> Reply:
        if request.path == GENERATE and broken:
            return Reply((event("H"), Hang()), headers=STREAM)
        return OLLAMA[request.path]

    with trio.fail_after(5):
        async with (
            scripted(script) as server,
            open_openai(servers.ollama(server.url), limits=QUICK) as backend,
        ):
            assert (await backend.health()).available
            assert (await backend.health()).available
            assert [request.path for request in server.requests].count(GENERATE) == 1
            broken = True
            with pytest.raises(GenerationFailed):
                async with backend.generate(Prompt((Message("user", "Hi"),))) as generation:
                    await generation.completion()
            assert not (await backend.health()).available


async def test_a_real_answer_is_proof_enough() -> None:
    with trio.fail_after(5):
        async with (
            scripted(routes(OLLAMA)) as server,
            open_openai(servers.ollama(server.url), limits=QUICK) as backend,
        ):
            async with backend.generate(Prompt((Message("user", "Hi"),))) as generation:
                await generation.completion()
            assert (await backend.health()).available
            assert [request.path for request in server.requests].count(GENERATE) == 1


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"data": [{}]}', b"[" * 100_000, b"\xff"])
async def test_another_program_on_the_port_is_unavailable(body: bytes) -> None:
    async with scripted(Reply((body,))) as server:
        found = await health(servers.apple_fm(server.url))
    assert found == BackendHealth(
        "apple_fm", available=False, reason="another kind of server answers at this address"
    )


async def test_nobody_on_the_port_is_unavailable_and_a_password_is_not_shown() -> None:
    found = await health(servers.openai("http://me:secret@127.0.0.1:1/v1", api_key=None))
    assert found == BackendHealth(
        "openai", available=False, reason="no answer at 127.0.0.1:1 (ConnectError)"
    )


async def test_a_server_that_never_answers_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pylon.adapters.inference.openai.SURVEY_SECONDS", 0.1)
    async with scripted(Reply((Hang(),))) as server:
        found = await health(servers.apple_fm(server.url))
    assert found == BackendHealth("apple_fm", available=False, reason="no answer in time")


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://localhost:8080/v1", True),
        ("http://[::1]:8080", True),
        ("https://api.openai.com/v1", False),
        ("http://192.168.1.5:8080", False),
    ],
)
def test_what_is_on_this_machine_is_known_by_its_address(url: str, local: bool) -> None:
    server = servers.openai(url, api_key=None)
    assert server.is_local is local
    assert not server.url.endswith("/v1")
