"""An answer is read out of its layers, or not at all."""

import pytest
from attrs import evolve

from pylon.core.answers import open_result, read_text
from pylon.core.chat import write_answer
from pylon.errors import Malformed
from pylon.model.event import Event
from pylon.model.ids import JobId, Preimage
from pylon.model.inference import Completion, Usage
from pylon.wire import jobs, locked
from pylon.wire.event import sign
from tests.nostr import NOW, keys, note

SELLER = 2
PREIMAGE = Preimage("07" * 32)
REQUEST = note("why?", kind=5050, by=1)
JOB = JobId(REQUEST.id)


def sealed(text: str, *, promised: str | None = None) -> tuple[Event, str]:
    """Return a locked result, and its content decrypted."""
    lock = locked.describe(text if promised is None else promised, PREIMAGE)
    provider = keys(SELLER).public_key
    hidden = locked.lock(text, PREIMAGE, job=JOB, provider=provider, nonce=bytes(12))
    draft = jobs.write_result(REQUEST, "ciphertext", now=NOW, encrypted=True, locked=lock)
    return sign(draft, keys(SELLER)), hidden


def test_an_answer_in_clear_needs_no_key() -> None:
    result = sign(jobs.write_result(REQUEST, "because", now=NOW), keys(SELLER))
    assert open_result(result, None, None) == "because"
    assert read_text(result, None, PREIMAGE) == "because"


def test_a_locked_answer_opens_with_the_preimage_that_was_paid_for() -> None:
    event, hidden = sealed("because")
    assert open_result(event, hidden, PREIMAGE) == "because"
    assert read_text(event, hidden, PREIMAGE) == "because"


def test_a_locked_answer_stays_locked_without_its_key() -> None:
    event, hidden = sealed("because")
    with pytest.raises(Malformed, match="its key is not paid for"):
        open_result(event, hidden, None)
    with pytest.raises(Malformed, match="does not open"):
        open_result(event, hidden, Preimage("08" * 32))


def test_an_answer_that_is_not_the_one_that_was_promised_is_none() -> None:
    event, hidden = sealed("because", promised="a long and wise answer")
    with pytest.raises(Malformed, match="not the one that was promised"):
        open_result(event, hidden, PREIMAGE)


def test_a_locked_answer_of_white_space_is_none() -> None:
    event, hidden = sealed(" \n")
    with pytest.raises(Malformed, match="empty"):
        open_result(event, hidden, PREIMAGE)


def test_of_a_chat_the_words_of_the_assistant_are_shown() -> None:
    chat = evolve(REQUEST, kind=5935)
    said = write_answer(Completion("because", "stop", Usage(1, 1), "qwen", "llamacpp"))
    result = sign(jobs.write_result(chat, said, now=NOW), keys(SELLER))
    assert open_result(result, None, None) == said
    assert read_text(result, None, None) == "because"
