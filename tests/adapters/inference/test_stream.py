"""Server-sent events and what is in them."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.adapters.inference.stream import (
    MAX_EVENT_BYTES,
    Chunk,
    EventReader,
    ServerUsage,
    read_chunk,
    reason_in,
)
from pylon.errors import GenerationFailed
from tests.adapters.inference.scripted import DONE, event

STREAM = (
    b": a comment\r\n\r\n"
    + event("Grüße ")
    + b"event: message\n"
    + event("👋")
    + event(finish_reason="stop")
    + DONE
)


def read(parts: list[bytes], *, plain: bool = False) -> list[Chunk]:
    reader = EventReader(plain=plain)
    data = [found for part in parts for found in reader.feed(part)]
    return [read_chunk(found) for found in (*data, *reader.finish())]


@given(st.lists(st.integers(0, len(STREAM))))
def test_events_are_the_same_however_the_network_cuts_them(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    parts = [STREAM[start:end] for start, end in pairwise(edges)]
    chunks = read(parts)
    assert "".join(chunk.text for chunk in chunks) == "Grüße 👋"
    assert [chunk.finish_reason for chunk in chunks] == [None, None, "stop", None]
    assert chunks[-1].done


@given(
    st.lists(st.binary() | st.sampled_from([b"data: ", b"{", b'"choices":[]', b"\n"])),
    st.booleans(),
)
def test_any_bytes_are_read_or_refused(parts: list[bytes], plain: bool) -> None:
    try:
        chunks = read(parts, plain=plain)
    except GenerationFailed:
        return
    assert all(isinstance(chunk.text, str) for chunk in chunks)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_any_error_gives_one_short_line(value: object) -> None:
    body = msgspec.json.encode({"error": {"message": value}})
    reason = reason_in(body)
    assert len(reason) <= 200
    assert reason.isprintable()


def test_a_stream_without_a_last_line_end_loses_nothing() -> None:
    assert read([event("a").rstrip()])[0].text == "a"


@pytest.mark.parametrize(
    "garbage",
    [
        b"<html>\n",
        b"data: {\n",
        b"data: 7\n",
        b"data: {}\n",
        b'data: {"choices": [{"delta": {"content": 5}}]}\n',
        b'data: {"usage": {"prompt_tokens": -1, "completion_tokens": 0}}\n',
        b"data: " + b"[" * 100_000 + b"\n",
        b"x" * (MAX_EVENT_BYTES + 1),
    ],
)
def test_garbage_is_refused(garbage: bytes) -> None:
    with pytest.raises(GenerationFailed):
        read([garbage])


def test_an_error_in_the_stream_is_told_in_the_servers_words() -> None:
    with pytest.raises(GenerationFailed, match=r"reports: out of memory$"):
        read([b'data: {"error": {"code": 500, "message": "out of\\n memory"}}\n'])


def test_a_token_cut_inside_a_character_shows_where() -> None:
    cut = event("caf@").replace(b"@", "é".encode()[:1])
    assert read([cut])[0].text == "caf\ufffd"


def test_thinking_is_life_but_no_text() -> None:
    thought = b'{"choices": [{"delta": {"content": null, "reasoning_content": "Hm"}}]}'
    assert read_chunk(thought) == Chunk(alive=True)


def test_a_body_that_is_one_document_is_one_chunk() -> None:
    body = b"""{"choices": [{"message": {"role": "assistant", "content": "4"},
        "finish_reason": "stop"}], "model": "fm",
        "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}}"""
    assert read([body[:40], body[40:]], plain=True) == [
        Chunk("4", True, "stop", ServerUsage(9, 1), "fm")
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"error": "model \'x\' not found"}', "model 'x' not found"),
        (b'{"error": {"message": "Loading model", "code": 503}}', "Loading model"),
        (b'{"message": "slow down"}', "slow down"),
        (b'{"error": {"code": 1}}', ""),
        (b"<html>", ""),
        (b"[" * 100_000, ""),
    ],
)
def test_the_reason_is_found_where_servers_put_it(body: bytes, reason: str) -> None:
    assert reason_in(body) == reason
