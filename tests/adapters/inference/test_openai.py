"""The OpenAI protocol against a server that misbehaves in every way we know of."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from pylon.adapters.inference import servers
from pylon.adapters.inference.generation import Limits
from pylon.adapters.inference.openai import OpenAiBackend, open_openai
from pylon.errors import BackendUnavailable, GenerationFailed, Misconfigured
from pylon.model.inference import Completion, Message, Prompt, Usage
from tests.adapters.inference.scripted import (
    DONE,
    STREAM,
    Cut,
    Forever,
    Hang,
    Reply,
    Request,
    Script,
    ScriptedServer,
    answer,
    document,
    event,
    scripted,
)

HELLO = Prompt((Message("user", "Hello there"),), model="m")
QUICK = Limits(max_tokens=8, start_seconds=0.2, stall_seconds=0.1)
PATIENT = Limits(max_tokens=8, start_seconds=5, stall_seconds=5)
KEY = "sk-very-secret"

llamacpp = partial(servers.llamacpp, name="llamacpp")
openai = partial(servers.openai, api_key=KEY)


@asynccontextmanager
async def backend_of(
    script: Script | Reply, *, limits: Limits = PATIENT, paid: bool = False
) -> AsyncGenerator[tuple[OpenAiBackend, ScriptedServer], None]:
    with trio.fail_after(5):
        async with scripted(script) as server:
            make = openai if paid else llamacpp
            async with open_openai(make(server.url), limits=limits) as backend:
                yield backend, server


async def complete(backend: OpenAiBackend, prompt: Prompt = HELLO) -> Completion:
    async with backend.generate(prompt) as generation:
        return await generation.completion()


async def failure(script: Script | Reply, *, limits: Limits = PATIENT) -> str:
    """Return how a generation fails; the test fails if it does not."""
    async with backend_of(script, limits=limits) as (backend, _):
        with pytest.raises(GenerationFailed) as caught:
            await complete(backend)
        return str(caught.value)


# --- an answer


async def test_the_pieces_of_an_answer_join_to_the_whole() -> None:
    async with (
        backend_of(answer("Hel", "lo")) as (backend, _),
        backend.generate(HELLO) as generation,
    ):
        pieces = [piece async for piece in generation]
        whole = await generation.completion()
    assert pieces == ["Hel", "lo"]
    assert whole == Completion("Hello", "stop", Usage(3, 2), model="m", backend="llamacpp")


async def test_the_whole_may_be_asked_for_in_the_middle() -> None:
    async with (
        backend_of(answer("Hel", "lo", reason="length")) as (backend, _),
        backend.generate(HELLO) as generation,
    ):
        assert await anext(aiter(generation)) == "Hel"
        whole = await generation.completion()
    assert (whole.text, whole.finish_reason) == ("Hello", "length")


async def test_the_request_carries_the_prompt_its_limits_and_no_more() -> None:
    prompt = Prompt(HELLO.messages, model="m", temperature=0.5, top_k=3, stop=("\n",))
    async with backend_of(answer("4")) as (backend, server):
        await complete(backend, prompt)
    assert server.requests[0].path == "/v1/chat/completions"
    assert server.requests[0].json == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hello there"}],
        "max_tokens": 8,
        "temperature": 0.5,
        "top_k": 3,
        "stop": ["\n"],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_a_character_split_over_two_packets_arrives_whole() -> None:
    first, second = event("Zürich").split(b"\xbc")
    reply = Reply((first, 0.05, b"\xbc" + second, event(finish_reason="stop")), headers=STREAM)
    async with backend_of(reply) as (backend, _):
        assert (await complete(backend)).text == "Zürich"


async def test_tokens_are_counted_where_the_server_does_not() -> None:
    async with backend_of(answer("a", "b", "c", usage=None)) as (backend, _):
        assert (await complete(backend)).usage == Usage(
            3, 3
        )  # 11 characters read, 3 pieces written


async def test_a_server_that_does_not_stream_is_understood() -> None:
    whole = document(
        {"choices": [{"message": {"content": "4"}, "finish_reason": "stop"}], "model": "fm"}
    )
    async with backend_of(whole) as (backend, _):
        assert (await complete(backend)).text == "4"


async def test_the_end_mark_ends_an_answer_that_gives_no_reason() -> None:
    async with backend_of(Reply((event("4"), DONE), headers=STREAM)) as (backend, _):
        assert (await complete(backend)).finish_reason == "stop"


# --- what goes wrong in mid-stream


async def test_a_port_that_is_open_but_generates_nothing_is_given_up() -> None:
    async with backend_of(Reply((Hang(),)), limits=QUICK) as (backend, server):
        with pytest.raises(BackendUnavailable, match=r"no answer for 0\.2 s"):
            await complete(backend)
        await server.client_left.wait()


async def test_a_stream_that_begins_without_a_token_is_given_up() -> None:
    assert "no token for 0.2 s" in await failure(Reply((b": ", Hang())), limits=QUICK)


async def test_a_stall_in_mid_stream_is_noticed_and_the_server_released() -> None:
    async with backend_of(Reply((event("4"), Hang()), headers=STREAM), limits=QUICK) as (
        backend,
        server,
    ):
        with pytest.raises(GenerationFailed, match=r"no token for 0\.1 s"):
            await complete(backend)
        await server.client_left.wait()


async def test_comments_that_keep_the_connection_open_are_no_tokens() -> None:
    pings = [step for _ in range(20) for step in (b":\n\n", 0.03)]
    reply = Reply((event("4"), *pings, Hang()), headers=STREAM)
    assert "no token" in await failure(reply, limits=QUICK)


async def test_a_model_that_thinks_aloud_is_not_stalled() -> None:
    thought = event(choices=[{"delta": {"reasoning_content": "hm"}}])
    thinking = [step for _ in range(5) for step in (thought, 0.06)]
    reply = Reply((*thinking, event("4"), event(finish_reason="stop")), headers=STREAM)
    async with backend_of(reply, limits=QUICK) as (backend, _):
        assert (await complete(backend)).text == "4"


async def test_an_answer_cut_off_is_no_answer() -> None:
    assert "broke off" in await failure(Reply((event("The answer is"), Cut()), headers=STREAM))


async def test_an_answer_that_just_stops_is_no_answer() -> None:
    assert "broke off" in await failure(Reply((event("The answer is"),), headers=STREAM))


@pytest.mark.parametrize("reply", [answer(), answer("", " \n")])
async def test_an_empty_answer_is_no_answer(reply: Reply) -> None:
    assert "empty" in await failure(reply)


async def test_a_server_out_of_memory_in_mid_stream_is_quoted() -> None:
    broken = b'data: {"error": {"message": "out of memory"}}\n\n'
    assert "out of memory" in await failure(Reply((event("4"), broken), headers=STREAM))


async def test_a_page_of_another_server_is_no_answer() -> None:
    page = Reply((b"<html>\n<body>Welcome to nginx</body>",), headers={"Content-Type": "text/html"})
    assert "no event stream" in await failure(page)


async def test_text_far_beyond_the_limit_of_tokens_ends_the_generation() -> None:
    async with backend_of(Reply((Forever(event("x" * 99)),), headers=STREAM)) as (backend, server):
        with pytest.raises(GenerationFailed, match="far longer than asked for"):
            await complete(backend)
        await server.client_left.wait()


async def test_a_stream_without_text_and_without_end_is_ended() -> None:
    empty = Reply((Forever(event() * 1000),), headers=STREAM)
    assert "no end" in await failure(empty)


async def test_a_client_that_leaves_in_mid_stream_stops_the_server() -> None:
    async with backend_of(Reply((event("4"), Hang()), headers=STREAM)) as (backend, server):
        async with backend.generate(HELLO) as generation:
            assert await anext(aiter(generation)) == "4"
        await server.client_left.wait()


async def test_a_cancelled_generation_stops_the_server() -> None:
    async with backend_of(Reply((event("4"), Hang()), headers=STREAM)) as (backend, server):
        with trio.move_on_after(0.1) as scope:
            await complete(backend)
        assert scope.cancelled_caught
        await server.client_left.wait()


# --- refusals


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (503, {"error": {"message": "Loading model"}}, "llamacpp is busy: Loading model"),
        (503, {}, "llamacpp is busy: its queue is full"),
        (429, {"error": {"message": "slow down"}}, "llamacpp is busy: slow down"),
        (404, {"error": "model 'm' not found"}, "llamacpp: model 'm' not found"),
        (500, {}, "llamacpp: HTTP status 500"),
        (302, {}, "llamacpp: HTTP status 302"),
    ],
)
async def test_a_backend_that_cannot_generate_now_says_why(
    status: int, body: object, words: str
) -> None:
    async with backend_of(document(body, status=status)) as (backend, _):
        with pytest.raises(BackendUnavailable) as caught:
            await complete(backend)
    assert str(caught.value) == words


async def test_a_prompt_that_is_too_long_is_refused_in_the_servers_words() -> None:
    body = {"error": {"message": "request (9031 tokens) exceeds the available context size"}}
    assert "refuses the prompt: request (9031" in await failure(document(body, status=400))


async def test_a_server_that_is_down_is_unavailable() -> None:
    async with open_openai(servers.llamacpp("http://127.0.0.1:1")) as backend:
        with pytest.raises(BackendUnavailable, match="does not answer"):
            await complete(backend)


async def test_an_error_page_without_end_is_not_read_for_ever() -> None:
    async with backend_of(Reply((Forever(b"x" * 65536),), status=500)) as (backend, _):
        with pytest.raises(BackendUnavailable, match="too large"):
            await complete(backend)


@pytest.mark.parametrize("url", ["http://127.0.0.1:port", "http://[::1"])
async def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(Misconfigured, match="ollama has no usable address"):
        async with open_openai(servers.ollama(url)):
            pass


# --- the key


async def test_the_key_is_sent_and_shown_nowhere() -> None:
    def refuse(request: Request) -> Reply:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        status = 401 if request.method == "GET" else 400
        return document({"error": {"message": f"Incorrect API key: {KEY}"}}, status=status)

    async with backend_of(refuse, paid=True) as (backend, _):
        with pytest.raises(GenerationFailed) as caught:
            await complete(backend)
        health = await backend.health()
    assert KEY not in str(caught.value)
    assert "***" in str(caught.value)
    assert KEY not in repr(backend)
    assert health.reason == "it refuses the API key"


async def test_a_refused_key_is_not_quoted_even_in_part() -> None:
    body = {"error": {"message": f"Incorrect API key: {KEY[:6]}*"}}
    async with backend_of(document(body, status=401), paid=True) as (backend, _):
        with pytest.raises(BackendUnavailable) as caught:
            await complete(backend)
    assert KEY[:6] not in str(caught.value)


async def test_a_paid_server_is_not_sent_what_it_refuses_to_know() -> None:
    async with backend_of(answer("4"), paid=True) as (backend, server):
        await complete(backend, Prompt(HELLO.messages, model="m", top_k=3, top_p=0.5))
    assert "top_k" not in server.requests[0].json
    assert server.requests[0].json["top_p"] == 0.5


async def test_no_proxy_stands_between_us_and_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with backend_of(answer("4")) as (backend, _):
        assert (await complete(backend)).text == "4"
