"""Prices are integers that never round in the customer's favour by accident, nor against reason."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.config import PricingConfig
from pylon.core.pricing import estimate_tokens, quote, rates_of
from pylon.model.handler import Rates
from pylon.model.inference import Message, Prompt
from pylon.model.money import Msat

FREE_LISTS = PricingConfig(
    base_msats=0, input_msats_per_1k_tokens=0, output_msats_per_1k_tokens=0, min_price_msats=0
)


def prompt(*texts: str) -> Prompt:
    return Prompt(tuple(Message("user", text) for text in texts))


@pytest.mark.parametrize(
    ("texts", "tokens"),
    [
        ((), 0),
        (("",), 4),
        (("a",), 5),
        (("abcd",), 5),
        (("abcde",), 6),
        (("abcd", "abcd"), 10),
        (("日本",), 6),  # 6 bytes of UTF-8
    ],
)
def test_a_token_is_four_bytes_and_a_message_four_tokens(
    texts: tuple[str, ...], tokens: int
) -> None:
    assert estimate_tokens(prompt(*texts)) == tokens


def test_the_default_price_list_is_as_the_configuration_says() -> None:
    # 1,000 + 5 tokens in x 5 + 512 tokens out x 20 = 11,265 msat, so 12 sat
    assert quote(prompt("abcd"), "embedded", pricing=PricingConfig(), max_tokens=512) == 12_000


def test_each_part_of_the_price_counts() -> None:
    pricing = PricingConfig(
        base_msats=7_000, input_msats_per_1k_tokens=0, output_msats_per_1k_tokens=0
    )
    assert quote(prompt("abcd"), "x", pricing=pricing, max_tokens=9) == 7_000
    pricing = PricingConfig(
        base_msats=0, input_msats_per_1k_tokens=1_000_000, output_msats_per_1k_tokens=0
    )
    assert quote(prompt("abcd"), "x", pricing=pricing, max_tokens=9) == 5_000
    pricing = PricingConfig(
        base_msats=0, input_msats_per_1k_tokens=0, output_msats_per_1k_tokens=1_000_000
    )
    assert quote(prompt("abcd"), "x", pricing=pricing, max_tokens=9) == 9_000


def test_the_percentage_is_the_backends_own() -> None:
    pricing = PricingConfig(
        base_msats=10_000,
        input_msats_per_1k_tokens=0,
        output_msats_per_1k_tokens=0,
        multipliers={"ollama": 150},
    )
    assert quote(prompt("a"), "ollama", pricing=pricing, max_tokens=1) == 15_000
    assert quote(prompt("a"), "embedded", pricing=pricing, max_tokens=1) == 10_000


def test_the_announced_rates_are_the_backends_own_and_never_too_low() -> None:
    pricing = PricingConfig(3, 5, 7, 9, {"ollama": 150})
    assert rates_of("ollama", pricing=pricing) == Rates(Msat(5), Msat(8), Msat(11), Msat(9))
    assert rates_of("embedded", pricing=pricing) == Rates(Msat(3), Msat(5), Msat(7), Msat(9))


def test_nothing_is_sold_below_the_minimum() -> None:
    pricing = PricingConfig(
        base_msats=1,
        input_msats_per_1k_tokens=0,
        output_msats_per_1k_tokens=0,
        min_price_msats=2_500,
    )
    assert quote(prompt("a"), "x", pricing=pricing, max_tokens=1) == 3_000
    assert quote(prompt("a"), "x", pricing=FREE_LISTS, max_tokens=1) == 0


amounts = st.integers(0, 10**12)
lists = st.builds(
    PricingConfig,
    base_msats=amounts,
    input_msats_per_1k_tokens=amounts,
    output_msats_per_1k_tokens=amounts,
    min_price_msats=amounts,
    multipliers=st.fixed_dictionaries({"x": st.integers(0, 10_000)}),
)


@given(lists, st.text(max_size=50), st.integers(1, 10**6))
def test_the_price_is_the_formula_rounded_up_once_to_whole_sats(
    pricing: PricingConfig, text: str, most: int
) -> None:
    read = estimate_tokens(prompt(text)) * pricing.input_msats_per_1k_tokens
    written = most * pricing.output_msats_per_1k_tokens
    exact = (pricing.base_msats + Fraction(read + written, 1000)) * pricing.multipliers["x"] / 100
    price = quote(prompt(text), "x", pricing=pricing, max_tokens=most)
    assert price == ceil(max(exact, Fraction(pricing.min_price_msats)) / 1000) * 1000
