"""bech32 against BIP-173's own strings and against itself."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import Malformed, PeerFault
from pylon.wire import bech32
from tests.vectors import load

VECTORS: dict[str, Any] = load("bech32.json")


@pytest.mark.parametrize("text", VECTORS["valid"] + VECTORS["length_limit_only"])
def test_a_valid_string_is_read_and_written_back_in_lower_case(text: str) -> None:
    assert bech32.encode(*bech32.decode(text)) == text.lower()


@pytest.mark.parametrize("text", [text for text, _ in VECTORS["invalid"]])
def test_an_invalid_string_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        bech32.decode(text)


def test_the_constant_of_bech32m_is_refused() -> None:
    with pytest.raises(Malformed, match="checksum"):
        bech32.decode("a1lqfn3a")


def test_a_letter_that_only_lower_cases_to_ascii_is_refused() -> None:
    with pytest.raises(Malformed, match="foreign"):
        bech32.decode(bech32.encode("k", b"").upper().replace("K", "\u212a"))


@pytest.mark.parametrize("text", ["A12uEL5L", "a12UEL5L"])
def test_mixed_case_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="case"):
        bech32.decode(text)


@given(st.from_regex(r"[!-@\[-~]{1,20}", fullmatch=True), st.binary(max_size=300))
def test_what_is_written_is_read_back(hrp: str, data: bytes) -> None:
    symbols = bech32.to_symbols(data)
    assert bech32.decode(bech32.encode(hrp, symbols)) == (hrp, symbols)
    assert bech32.to_bytes(symbols) == data


@given(st.binary(min_size=1, max_size=60), st.data())
def test_one_changed_character_is_noticed(data: bytes, draw: st.DataObject) -> None:
    text = bech32.encode("pylon", bech32.to_symbols(data))
    at = draw.draw(st.integers(len("pylon1"), len(text) - 1))
    other = draw.draw(
        st.sampled_from([c for c in "qpzry9x8gf2tvdw0s3jn54khce6mua7l" if c != text[at]])
    )
    with pytest.raises(Malformed, match="checksum"):
        bech32.decode(text[:at] + other + text[at + 1 :])


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        hrp, symbols = bech32.decode(text)
    except PeerFault:
        return
    assert bech32.encode(hrp, symbols) == text.lower()


@pytest.mark.parametrize("symbols", [b"\x00", b"\x00\x01", b"\x00" * 3, bytes([0, 0, 0, 1])])
def test_padding_of_a_whole_symbol_or_with_a_set_bit_is_refused(symbols: bytes) -> None:
    with pytest.raises(Malformed, match="padding"):
        bech32.to_bytes(symbols)


def test_symbols_read_as_a_number_are_big_endian() -> None:
    assert bech32.to_number(b"") == 0
    assert bech32.to_number(bytes([1, 0, 31])) == (1 << 10) + 31
