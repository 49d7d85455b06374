"""Amounts as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.cli.wallet.amount import check_grain, read_amount
from pylon.errors import Misconfigured
from pylon.model.money import Msat, show_sats
from pylon.model.wallet import Capabilities
from pylon.wire.bolt11 import MAX_AMOUNT


@pytest.mark.parametrize(
    ("text", "msat"),
    [
        ("1500", 1_500_000),
        ("1,500", 1_500_000),
        ("1,234,567", 1_234_567_000),
        (" 12 sat ", 12_000),
        ("12sats", 12_000),
        ("12 SAT", 12_000),
        ("0.5", 500),
        ("0.001", 1),
        ("1.25 sat", 1_250),
    ],
)
def test_an_amount_is_read(text: str, msat: int) -> None:
    assert read_amount(text) == msat


@pytest.mark.parametrize(
    "text",
    [
        *("", "sat", "0,5", "1,50", "1,5000", ",500", "1,,500", "1.", ".5", "1.2345", "-1", "+1"),
        *("1e3", "0x10", "1_000", "1 500", "١٢", "12 msat", "1 btc", "inf", "1\n2", "9" * 17),
        *("\x1b[2J", "1" * 10_000),
    ],
)
def test_what_is_no_amount_is_refused_in_words(text: str) -> None:
    with pytest.raises(Misconfigured, match="is no amount: write satoshi"):
        read_amount(text)


def test_more_than_all_money_and_nothing_are_refused() -> None:
    with pytest.raises(Misconfigured, match="more than all the money"):
        read_amount("2,100,000,000,000,001")
    with pytest.raises(Misconfigured, match="the amount is nothing"):
        read_amount("0.000")
    assert read_amount("0", zero=True) == 0


@given(st.integers(1, MAX_AMOUNT).map(Msat))
def test_what_is_shown_can_be_typed_in(amount: Msat) -> None:
    assert read_amount(show_sats(amount)) == amount


def test_a_wallet_of_whole_satoshi_is_asked_for_no_less() -> None:
    check_grain(Msat(2_000), Capabilities())
    check_grain(Msat(2_500), Capabilities(msat=True))
    with pytest.raises(Misconfigured, match=r"2.5 sat cannot be asked for: .* whole satoshi"):
        check_grain(Msat(2_500), Capabilities())
