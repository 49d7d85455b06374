"""JSON from outside is read within limits or refused."""

import json as stdlib_json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import Malformed, PeerFault
from pylon.wire import json
from tests.wire.strategies import json_values

HOSTILE = [
    "",
    "[",
    "NaN",
    '{"a":1',
    '"\\ud800"',
    '"\ud800"',
    b"\xff",
    b'"\xc3"',
    "1e400",
    "[" * 100_000,
    '{"a":' * 100_000,
    "9" * 1_000_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: f"{len(text)} {text[:9]!r}")
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(Malformed):
        json.decode(text)


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_bytes_are_read_or_refused(text: str | bytes) -> None:
    try:
        value = json.decode(text)
    except PeerFault:
        return
    assert value == stdlib_json.loads(text)


@given(json_values)
def test_what_is_written_is_what_the_standard_library_reads(value: object) -> None:
    written = json.encode(value)
    assert stdlib_json.loads(written) == stdlib_json.loads(msgspec.json.encode(value))
    assert json.decode(written) == stdlib_json.loads(written)


@pytest.mark.parametrize("nested", ["[" * 4 + "]" * 4, '{"a":' * 3 + "[]" + "}" * 3, "[[[{}]]]"])
def test_nesting_is_allowed_up_to_its_limit(nested: str) -> None:
    json.decode(nested, max_depth=4)
    with pytest.raises(Malformed, match="deep"):
        json.decode(nested, max_depth=3)


def test_size_is_allowed_up_to_its_limit() -> None:
    assert json.decode('"1234"', max_size=6) == "1234"
    with pytest.raises(Malformed, match="5 bytes"):
        json.decode('"1234"', max_size=5)


def test_a_lone_surrogate_is_not_written() -> None:
    with pytest.raises(Malformed, match="surrogate"):
        json.encode(["\ud800"])
