"""What `pylon init` writes is read back, and explains itself."""

import re
import tomllib

import pytest
from attrs import evolve, fields
from hypothesis import given
from hypothesis import strategies as st

from pylon.config import (
    BuyerConfig,
    Config,
    NodeConfig,
    PricingConfig,
    ProviderConfig,
    RelayConfig,
)
from pylon.config.reading import parse
from pylon.config.writing import literal, render

texts = st.text(st.characters(exclude_categories=["Cs"]))
configs = st.builds(
    Config,
    node=st.builds(
        NodeConfig, network=st.sampled_from(["regtest", "mainnet"]), name=texts, about=texts
    ),
    relay=st.builds(
        RelayConfig,
        urls=st.lists(texts.map("wss://{}".format), max_size=3).map(tuple),
        port=st.integers(1, 65_535),
    ),
    provider=st.builds(
        ProviderConfig,
        kinds=st.lists(st.integers(5000, 5999), max_size=3).map(tuple),
        announce=st.booleans(),
    ),
    pricing=st.builds(
        PricingConfig, multipliers=st.dictionaries(texts, st.integers(0, 10_000), max_size=3)
    ),
    buyer=st.builds(BuyerConfig, offer_window_seconds=st.floats(0, 600)),
)


@given(configs)
def test_what_is_written_is_read_back(config: Config) -> None:
    assert parse(render(config), source="config.toml") == config


def test_every_key_is_written_with_its_default_and_a_comment() -> None:
    text = render(Config())
    live = re.sub(r"(?m)^#(\w+ = )", r"\1", text)

    assert parse(live, source="config.toml") == Config()
    assert tomllib.loads(text) == {section.name: {} for section in fields(Config)}
    for section in fields(Config):
        for key in fields(type(getattr(Config(), section.name))):
            assert f"\n# {key.metadata['comment']}\n#{key.name} = " in text


def test_only_what_differs_from_its_default_is_live() -> None:
    config = evolve(Config(), node=NodeConfig(network="signet"))

    live = [line for line in render(config).splitlines() if re.match(r"\w", line)]

    assert live == ['network = "signet"']


def test_a_value_toml_has_no_word_for_is_a_bug() -> None:
    with pytest.raises(TypeError, match="NoneType"):
        literal(None)
