"""The choice of backend and model."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.core.backends import KNOWN, Chosen, Refused, Wanted, choose, combine, find_model, parse
from pylon.errors import Malformed
from pylon.model.inference import BackendHealth

LLAMA = BackendHealth("llamacpp", available=True, models=("/models/gpt-oss-20b.gguf",), slots=2)
OLLAMA = BackendHealth("ollama", available=True, models=("qwen3:4b", "llama3.2:latest"))
APPLE = BackendHealth("apple_fm", available=True)
DOWN = BackendHealth("llamacpp", available=False, reason="loading its model")
ORDER = ("llamacpp", "ollama", "apple_fm")


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("apple_fm", Wanted("apple_fm")),
        ("llamacpp:gpt_oss_20b", Wanted("llamacpp", "gpt_oss_20b")),
        ("ollama:llama3.2", Wanted("ollama", "llama3.2")),
        ("ollama:llama3.2:3b", Wanted("ollama", "llama3.2:3b")),
        ("llama3.2:3b", Wanted(None, "llama3.2:3b")),
    ],
)
def test_identifiers_are_read_as_people_write_them(text: str, meaning: Wanted) -> None:
    assert parse(text) == meaning
    assert str(meaning) == text


@pytest.mark.parametrize("text", ["", "two words", "llamacpp:", "x\x1b[31m", "m" * 257])
def test_text_that_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse(text)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        wanted = parse(text)
    except Malformed:
        return
    assert str(wanted) == text


_MODELS = st.text(string.ascii_lowercase + string.digits + ".:", min_size=1)


@given(st.sampled_from(KNOWN), _MODELS)
def test_a_written_identifier_is_read_back(backend: str, model: str) -> None:
    assert parse(str(Wanted(backend, model))) == Wanted(backend, model)


@pytest.mark.parametrize(
    ("backend", "model", "meaning"),
    [
        (None, None, Wanted()),
        ("ollama", "qwen3", Wanted("ollama", "qwen3")),
        ("ollama:qwen3", None, Wanted("ollama", "qwen3")),
        ("ollama:qwen3", "qwen3", Wanted("ollama", "qwen3")),
        (None, "ollama:qwen3", Wanted("ollama", "qwen3")),
        ("ollama", "ollama:qwen3", Wanted("ollama", "qwen3")),
    ],
)
def test_backend_and_model_may_be_named_apart(
    backend: str | None, model: str | None, meaning: Wanted
) -> None:
    assert combine(backend=backend, model=model) == meaning


@pytest.mark.parametrize(
    ("backend", "model"),
    [("ollama", "llamacpp:x"), ("ollama:x", "y"), ("gpt4all", None), ("qwen3", "qwen3")],
)
def test_what_contradicts_itself_or_does_not_exist_is_refused(
    backend: str, model: str | None
) -> None:
    with pytest.raises(Malformed):
        combine(backend=backend, model=model)


def test_the_preferred_backend_is_chosen_with_its_first_model() -> None:
    assert choose(ORDER, [APPLE, OLLAMA, LLAMA], Wanted()) == Chosen(
        "llamacpp", "/models/gpt-oss-20b.gguf"
    )


def test_a_backend_that_is_down_is_passed_over() -> None:
    assert choose(ORDER, [DOWN, OLLAMA], Wanted()) == Chosen("ollama", "qwen3:4b")


def test_a_backend_outside_the_order_comes_last() -> None:
    assert choose(("apple_fm",), [OLLAMA, APPLE], Wanted()) == Chosen("apple_fm", None)


def test_a_wanted_model_is_found_wherever_it_is() -> None:
    assert choose(ORDER, [LLAMA, OLLAMA], Wanted(model="llama3.2")) == Chosen(
        "ollama", "llama3.2:latest"
    )


def test_the_default_model_serves_jobs_that_name_none() -> None:
    healths = [OLLAMA]
    default = "llama3.2"
    assert choose(ORDER, healths, Wanted(), default_model=default) == Chosen(
        "ollama", "llama3.2:latest"
    )
    named = choose(ORDER, healths, Wanted(model="qwen3:4b"), default_model=default)
    assert named == Chosen("ollama", "qwen3:4b")


@pytest.mark.parametrize("spelling", ["gpt_oss_20b", "GPT-OSS-20B", "gpt-oss-20b.gguf"])
def test_spellings_of_a_model_that_differ_in_punctuation_are_one(spelling: str) -> None:
    assert find_model(LLAMA, spelling) == "/models/gpt-oss-20b.gguf"


@pytest.mark.parametrize("other", ["gpt_oss", "oss_20b", "llama3.2:3b", "gpt_oss_120b"])
def test_another_model_is_not_passed_off_as_the_wanted_one(other: str) -> None:
    assert find_model(LLAMA, other) is None
    assert find_model(OLLAMA, other) is None


def test_an_unknown_backend_is_refused_with_those_there_are() -> None:
    refused = choose(ORDER, [LLAMA, OLLAMA], Wanted("embedded"))
    assert refused == Refused(True, "no backend embedded here; have: llamacpp, ollama")


def test_an_unknown_model_is_refused_with_those_there_are() -> None:
    refused = choose(ORDER, [OLLAMA, APPLE], Wanted(model="gpt5"))
    assert refused == Refused(
        True, "no model gpt5 here; have: ollama:qwen3:4b, ollama:llama3.2:latest, apple_fm"
    )


def test_a_backend_that_is_down_is_refused_for_now_with_its_reason() -> None:
    refused = choose(ORDER, [DOWN], Wanted("llamacpp"))
    assert refused == Refused(False, "cannot generate now (llamacpp: loading its model)")


def test_a_missing_model_is_no_final_refusal_while_a_backend_is_down() -> None:
    refused = choose(ORDER, [DOWN, OLLAMA], Wanted(model="gpt5"))
    assert isinstance(refused, Refused)
    assert not refused.unknown
    assert refused.reason.endswith("(llamacpp: loading its model)")


def test_without_any_backend_the_refusal_says_so() -> None:
    assert choose(ORDER, [], Wanted()) == Refused(True, "no backend is configured here")
