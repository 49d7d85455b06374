"""`pylon infer` and `pylon model`, as a person or a program meets them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from pylon.cli.exit_codes import ExitCode
from tests.adapters.inference.scripted import (
    STREAM,
    Hang,
    Reply,
    Request,
    answer,
    document,
    event,
    scripted,
)
from tests.cli.conftest import Pylon
from tests.demo_model import demo_model

LLAMA = {
    "/health": document({"status": "ok"}),
    "/v1/models": document({"data": [{"id": "a"}, {"id": "b"}]}),
    "/props": document({"total_slots": 1}),
}


async def infer(
    *tokens: str, machine: Path, reply: Reply, stdin: bytes = b"", **environ: str
) -> tuple[subprocess.CompletedProcess[bytes], list[Request]]:
    """Run the real command against a scripted llama.cpp."""
    with trio.fail_after(30):
        async with scripted(lambda request: LLAMA.get(request.path, reply)) as server:
            ran = await trio.run_process(
                [sys.executable, "-m", "pylon", "--home", str(machine), "infer", *tokens],
                stdin=stdin,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                env=os.environ | {"PYLON_LLAMA_SERVER_URL": server.url} | environ,
            )
    return ran, [request for request in server.requests if request.method == "POST"]


async def test_an_answer_is_streamed_and_who_gave_it_is_said_beside(machine: Path) -> None:
    ran, asked = await infer("--prompt", "What is 2+2?", machine=machine, reply=answer("4", "."))
    assert (ran.returncode, ran.stdout) == (0, b"4.\n")
    assert ran.stderr.startswith(b"llamacpp:a: 2 tokens in ")
    assert asked[0].json["messages"] == [{"role": "user", "content": "What is 2+2?"}]
    assert asked[0].json["max_tokens"] == 512


async def test_every_option_reaches_the_model(machine: Path) -> None:
    ran, asked = await infer(
        *("Hello", "--model", "llamacpp:b", "--max-tokens", "9", "--temperature", "0.5"),
        *("--top-p", "0.9", "--top-k", "4", "--seed", "7", "--system", "Be brief", "--no-stream"),
        machine=machine,
        reply=answer("Hi", reason="length"),
    )
    assert ran.stdout == b"Hi\n"
    assert b"cut at the limit of tokens" in ran.stderr
    body = asked[0].json
    assert body["messages"][0] == {"role": "system", "content": "Be brief"}
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("b", 9, 0.5)
    assert (body["top_p"], body["top_k"], body["seed"]) == (0.9, 4, 7)


async def test_a_program_gets_one_json_document(machine: Path) -> None:
    ran, _ = await infer("Hello", "--json", machine=machine, reply=answer("Hi"))
    value = json.loads(ran.stdout)
    assert value.pop("seconds") > 0
    assert value == {
        "text": "Hi",
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
        "model": "a",
        "backend": "llamacpp",
    }
    assert ran.stderr == b""


async def test_the_prompt_may_come_from_a_pipe(machine: Path) -> None:
    stdin = "Grüße".encode()
    _, asked = await infer(machine=machine, reply=answer("Hi"), stdin=stdin)
    assert asked[0].json["messages"][0]["content"] == "Grüße"


async def test_an_answer_that_breaks_off_is_a_failure(machine: Path) -> None:
    reply = Reply((event("The answer"),), headers=STREAM)
    ran, _ = await infer("Hello", machine=machine, reply=reply)
    assert ran.returncode == ExitCode.PROVIDER_FAILURE
    assert ran.stderr == b"pylon: llamacpp: the answer broke off\n"


async def test_an_answer_that_takes_too_long_is_given_up(machine: Path) -> None:
    ran, _ = await infer(
        *("Hello", "--no-stream"),
        machine=machine,
        reply=Reply((event("The"), Hang()), headers=STREAM),
        PYLON_JOB_TIMEOUT_SECONDS="1",
    )
    assert ran.returncode == ExitCode.TIMEOUT
    assert ran.stderr == b"pylon: no whole answer within 1 s\n"


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (("Hi", "--temperature", "3"), "--temperature. Must be <= 2"),
        (("Hi", "--max-tokens", "0"), "--max-tokens. Must be >= 1"),
        (("Hi", "--backend", "ollama", "--model", "llamacpp:a"), "cannot both be meant"),
        ((" ",), "the prompt is empty"),
        (("\udcff",), "the prompt is not UTF-8 text"),
        (("Hi", "--backend", "openai"), "no backend openai here"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_line(
    pylon: Pylon, tokens: tuple[str, ...], words: str
) -> None:
    ran = pylon("infer", *tokens)
    assert ran.status == ExitCode.USAGE
    assert words in ran.err
    assert ran.err.count("\n") == 1


def test_with_no_backend_at_all_the_reasons_are_told(
    pylon: Pylon, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLON_ORDER", "llamacpp,embedded")
    monkeypatch.setenv("PYLON_LLAMA_SERVER_URL", "http://127.0.0.1:1")
    ran = pylon("infer", "Hi")
    assert ran.status == ExitCode.FAILURE
    assert "llamacpp: no answer at 127.0.0.1:1" in ran.err
    assert "embedded: there is no model smollm2-135m-instruct: pylon model pull" in ran.err


@pytest.mark.model
def test_the_embedded_model_answers(
    pylon: Pylon, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLON_EMBEDDED_MODEL", str(demo_model().path))
    ran = pylon("infer", "Hello", "--backend", "embedded", "--max-tokens", "8", "--json")
    value = json.loads(ran.out)
    assert value["backend"] == "embedded"
    assert 0 < value["usage"]["completion_tokens"] <= 8


def test_models_are_fetched_and_listed(pylon: Pylon, machine: Path) -> None:
    assert pylon("model", "list").err == "no models yet: pylon model pull\n"
    file = machine / "tiny.gguf"
    file.write_bytes(b"GGUF and so on")
    path = machine / ".local/share/pylon/models/tiny.gguf"

    pulled = pylon("model", "pull", str(file))
    assert pulled.out == f"{path}\n"
    assert "PYLON_EMBEDDED_MODEL=tiny pylon infer" in pulled.err
    assert pylon("model", "list").out == f"NAME\tSIZE\tFILE\ntiny\t0 MB\t{path}\n"
    listed = pylon("model", "list", "--json").out
    assert json.loads(listed) == [{"name": "tiny", "path": str(path), "bytes": 14}]
    assert json.loads(pylon("model", "pull", str(file), "--json").out)["name"] == "tiny"


def test_a_model_that_does_not_exist_is_refused(pylon: Pylon) -> None:
    ran = pylon("model", "pull", "gpt5")
    assert ran.status == ExitCode.USAGE
    assert "known: smollm2-135m-instruct" in ran.err
