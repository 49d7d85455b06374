"""Chats as jobs carry them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.core.backends import KNOWN, Wanted
from pylon.core.chat import (
    MAX_CHARS,
    ChatAnswer,
    ChatRequest,
    read_answer,
    read_chat,
    read_params,
    with_system,
    write_answer,
    write_chat,
)
from pylon.errors import Malformed
from pylon.model.inference import Completion, Message, Prompt, Usage

USER = {"role": "user", "content": "What is 2+2?"}


def payload(**changes: Any) -> str:
    return json.dumps({"messages": [USER]} | changes)


def test_a_chat_is_read_with_its_backend_messages_and_params() -> None:
    request = read_chat(
        payload(
            backend="llamacpp:gpt_oss_20b",
            messages=[{"role": "system", "content": "Be brief"}, USER],
            params={"max_tokens": 64, "temperature": 0.2, "stop": ["\n"], "seed": 1, "n": 3},
        )
    )
    assert request.wanted == Wanted("llamacpp", "gpt_oss_20b")
    assert request.prompt == Prompt(
        (Message("system", "Be brief"), Message("user", "What is 2+2?")),
        max_tokens=64,
        temperature=0.2,
        stop=("\n",),
        seed=1,
    )


def test_text_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    request = read_chat(payload(messages=[{"role": "user", "content": parts}]))
    assert request.prompt.messages == (Message("user", "ab"),)


def test_a_developer_message_becomes_a_system_message() -> None:
    request = read_chat(payload(messages=[{"role": "developer", "content": "Be brief"}, USER]))
    assert request.prompt.messages[0] == Message("system", "Be brief")


def test_one_stop_string_is_a_list_of_one() -> None:
    assert read_chat(payload(params={"stop": "END"})).prompt.stop == ("END",)


@pytest.mark.parametrize(
    "bad",
    [
        payload(messages=[]),
        payload(messages=[{"role": "tool", "content": "x"}]),
        payload(messages=[{"role": "user", "content": [{"type": "image_url", "text": ""}]}]),
        payload(messages=[{"role": "user", "content": "  \n"}]),
        payload(messages=[{"role": "user", "content": "x" * (MAX_CHARS + 1)}]),
        payload(params={"max_tokens": 0}),
        payload(params={"max_tokens": True}),
        payload(params={"max_tokens": "12"}),
        payload(params={"temperature": 2.1}),
        payload(params={"temperature": float("nan")}),
        payload(params={"top_p": 0}),
        payload(params={"top_k": 0}),
        payload(params={"frequency_penalty": -3}),
        payload(params={"stop": ["a", "b", "c", "d", "e"]}),
        payload(params={"stop": ""}),
        payload(backend="gpt4all"),
        payload(backend="ollama", params={"model": "llamacpp:x"}),
        "[" * 100_000,
        '{"messages": "\ud800"}',
        "no JSON",
    ],
)
def test_a_chat_that_is_wrong_is_refused(bad: str) -> None:
    with pytest.raises(Malformed):
        read_chat(bad)


def test_a_refusal_names_the_value_and_what_is_wrong_with_it() -> None:
    with pytest.raises(Malformed, match=r"params\.temperature: Expected float <= 2\.0"):
        read_chat(payload(params={"temperature": 3}))


@given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (read_chat, read_answer):
        try:
            read(text)
        except Malformed:
            continue


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ("max_tokens", "temperature", "top-k", "top-p", "seed", "stop", "model")
            ),
            st.text() | st.integers().map(str) | st.floats().map(str),
        )
    )
)
def test_any_params_are_read_or_refused(params: list[tuple[str, str]]) -> None:
    try:
        prompt = read_params(params, "Hello").prompt
    except Malformed:
        return
    assert prompt.messages == (Message("user", "Hello"),)
    assert prompt.temperature is None or 0 <= prompt.temperature <= 2
    assert prompt.max_tokens is None or prompt.max_tokens >= 1


def test_params_of_a_text_job_are_read_in_both_spellings() -> None:
    hyphens = read_params([("top-k", "50"), ("top-p", "0.7")], "Hello")
    underscores = read_params([("top_k", "50"), ("top_p", "0.7")], "Hello")
    assert hyphens == underscores
    assert (hyphens.prompt.top_k, hyphens.prompt.top_p) == (50, 0.7)


def test_params_of_a_text_job_name_the_model() -> None:
    request = read_params([("model", "ollama:llama3.2"), ("max_tokens", "512")], "Hello")
    assert request.wanted == Wanted("ollama", "llama3.2")
    assert request.prompt == Prompt((Message("user", "Hello"),), max_tokens=512)


def test_a_param_of_another_make_is_passed_over_and_the_last_of_several_wins() -> None:
    params = [("size", "1024x768"), ("seed", "1"), ("seed", "2")]
    assert read_params(params, "Hello").prompt.seed == 2


@pytest.mark.parametrize("value", ["", "1e3", "١٢", "1_000", " 5", "0x10", "nan", "1.5", "-1"])
def test_a_number_in_any_other_notation_is_refused(value: str) -> None:
    with pytest.raises(Malformed):
        read_params([("max_tokens", value)], "Hello")


def test_a_text_job_without_text_is_refused() -> None:
    with pytest.raises(Malformed, match="empty"):
        read_params([], "\n")


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
_REQUESTS = st.builds(
    ChatRequest,
    wanted=st.builds(
        Wanted, st.none() | st.sampled_from(KNOWN), st.none() | st.sampled_from(["a", "b:c", "d.e"])
    ),
    prompt=st.builds(
        Prompt,
        messages=st.lists(
            st.builds(Message, st.sampled_from(("system", "user", "assistant")), _TEXT), min_size=1
        ).map(tuple),
        model=st.none(),
        max_tokens=st.none() | st.integers(1, 1_000_000),
        temperature=st.none() | st.floats(0, 2),
        top_p=st.none() | st.floats(0, 1, exclude_min=True),
        top_k=st.none() | st.integers(1, 1_000),
        frequency_penalty=st.none() | st.floats(-2, 2),
        stop=st.lists(_TEXT.filter(lambda text: len(text) <= 64), max_size=4).map(tuple),
        seed=st.none() | st.integers(0, 2**32 - 1),
    ),
)


@given(_REQUESTS)
def test_a_chat_written_is_read_back(request: ChatRequest) -> None:
    assert read_chat(write_chat(request)) == request


@given(_TEXT, st.sampled_from(("stop", "length")), st.integers(0, 10**6), st.integers(0, 10**6))
def test_an_answer_written_is_read_back(text: str, reason: str, read: int, written: int) -> None:
    completion = Completion(text, reason, Usage(read, written), model="m", backend="ollama")
    answer = write_answer(completion)
    assert read_answer(answer) == ChatAnswer(text, reason, Usage(read, written))
    assert json.loads(answer)["backend"] == "ollama:m"


def test_an_answer_that_counts_nothing_counts_nothing() -> None:
    answer = '{"messages": [{"role": "assistant", "content": "4"}]}'
    assert read_answer(answer) == ChatAnswer("4", "stop", Usage(0, 0))


def test_a_system_message_goes_before_the_others() -> None:
    prompt = with_system(Prompt((Message("user", "Hi"),), seed=1), "Be brief")
    assert prompt == Prompt((Message("system", "Be brief"), Message("user", "Hi")), seed=1)
