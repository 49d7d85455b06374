"""What a command changes in config.toml, and what it leaves to the people who wrote it."""

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pylon.config import Config
from pylon.config.editing import with_values
from pylon.config.reading import parse
from pylon.config.writing import render

BY_HAND = """\
# my node
[wallet]  # the money
backend = "ledger"   # for now
#lnd_url = "https://127.0.0.1:8080"

[budget]
per_day_sats = 7
"""

texts = st.text(st.characters(exclude_categories=["Cs"]))


def read(text: str) -> Config:
    return parse(text, source="config.toml")


def test_a_key_is_set_where_it_stands_and_all_else_stays() -> None:
    changed = with_values(BY_HAND, "wallet", {"backend": "lnd", "lnd_url": "https://a:1"})

    assert changed == BY_HAND.replace('backend = "ledger"   # for now', 'backend = "lnd"').replace(
        '#lnd_url = "https://127.0.0.1:8080"', 'lnd_url = "https://a:1"'
    )


def test_a_key_that_is_not_mentioned_comes_at_the_end_of_its_section() -> None:
    changed = with_values(BY_HAND, "wallet", {"lnd_macaroon": "/m"})

    assert changed == BY_HAND.replace('8080"\n', '8080"\nlnd_macaroon = "/m"\n')


def test_a_section_that_is_not_there_is_made() -> None:
    assert with_values("", "wallet", {"backend": "nwc"}) == '\n[wallet]\nbackend = "nwc"\n'


def test_the_key_of_another_section_is_another_key() -> None:
    text = '[node]\nname = "backend = 1"\nbackend = "x"\n[wallet]\n'

    assert with_values(text, "wallet", {"backend": "nwc"}) == f'{text}backend = "nwc"\n'


def test_a_live_key_counts_before_the_commented_one_above_it() -> None:
    text = '[wallet]\n#backend = "ledger"\nbackend = "nwc"\n'

    changed = with_values(text, "wallet", {"backend": "lnd"})

    assert changed == text.replace("nwc", "lnd")


@given(texts, st.sampled_from(["ledger", "spark"]), st.booleans())
def test_what_was_set_is_read_back(path: str, backend: str, mainnet: bool) -> None:
    values = {"lnd_macaroon": path, "backend": backend, "mainnet": mainnet}

    once = with_values(render(Config()), "wallet", values)

    wallet = evolve(Config().wallet, lnd_macaroon=path, backend=backend, mainnet=mainnet)
    assert read(once) == evolve(Config(), wallet=wallet)
    assert with_values(once, "wallet", values) == once
