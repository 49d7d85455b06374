"""BIP-39, BIP-32 and NIP-06 against their vectors and nostr-sdk."""

from typing import Any

import nostr_sdk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pylon.errors import Misconfigured
from pylon.wire import mnemonic
from pylon.wire.secp import KeyPair
from tests.vectors import load, text

BIP39: dict[str, Any] = load("bip39_english.json")
BIP32: dict[str, Any] = load("bip32.json")
NIP06: dict[str, Any] = load("nip06.json")
WORDS = text("bip39_english_wordlist.txt").split()
ZERO = "abandon " * 11 + "about"


@pytest.mark.parametrize("case", BIP39["vectors"], ids=lambda case: case["seed"][:8])
def test_entropy_becomes_words_and_words_a_seed_as_published(case: dict[str, str]) -> None:
    words = mnemonic.generate(bytes.fromhex(case["entropy"]))
    assert words == mnemonic.check(words) == case["mnemonic"]
    assert mnemonic.seed(words, BIP39["passphrase"]).hex() == case["seed"]


@pytest.mark.parametrize(
    ("seed", "chain"),
    [(group["seed"], chain) for group in BIP32["valid"] for chain in group["chains"]],
)
def test_a_key_is_derived_as_published(seed: str, chain: dict[str, str]) -> None:
    assert mnemonic.derive(bytes.fromhex(seed), chain["path"]).hex() == chain["private_key_hex"]


@pytest.mark.parametrize("case", NIP06["vectors"], ids=lambda case: case["private_key"][:8])
def test_a_nostr_identity_is_derived_as_published(case: dict[str, Any]) -> None:
    seed = mnemonic.seed(mnemonic.check(case["mnemonic"]), case["passphrase"])
    assert seed.hex() == case["bip39_seed"]
    keys = mnemonic.nostr_keys(seed, account=case["account"])
    assert keys.public_key == KeyPair(bytes.fromhex(case["private_key"])).public_key


@settings(max_examples=5)
@given(st.binary(min_size=16, max_size=16) | st.binary(min_size=32, max_size=32), st.integers(0, 9))
def test_nostr_sdk_derives_the_same_identity(entropy: bytes, account: int) -> None:
    words = mnemonic.generate(entropy)
    ours = mnemonic.nostr_keys(mnemonic.seed(words), account=account)
    theirs = nostr_sdk.Keys.from_mnemonic(words, None, account)
    assert ours.public_key == theirs.public_key().to_hex()


def test_the_node_key_is_another_one_on_every_kind_of_network() -> None:
    seed = mnemonic.seed(ZERO)
    keys = {
        mnemonic.nostr_keys(seed).public_key,
        mnemonic.node_keys(seed, mainnet=True).public_key,
        mnemonic.node_keys(seed, mainnet=False).public_key,
    }
    assert len(keys) == 3
    lnd_path = "m/1017'/0'/6'/0/0"
    assert (
        mnemonic.node_keys(seed, mainnet=True).node_key
        == KeyPair(mnemonic.derive(seed, lnd_path)).node_key
    )


def test_words_may_be_typed_in_any_case_and_spacing() -> None:
    assert mnemonic.check("  ABANDON\n" + "abandon\t " * 10 + "\u3000About ") == ZERO


@pytest.mark.parametrize("count", [0, 1, 11, 13, 25])
def test_a_wrong_number_of_words_is_said(count: int) -> None:
    with pytest.raises(Misconfigured, match=f"not {count}$"):
        mnemonic.check("abandon " * count)


@pytest.mark.parametrize(
    ("typed", "nearest"), [("abuot", "about"), ("zooo", "zoo"), ("lettre", "letter")]
)
def test_a_mistyped_word_is_named_with_the_nearest_right_one(typed: str, nearest: str) -> None:
    words = ["abandon"] * 12
    words[6] = typed
    with pytest.raises(Misconfigured, match=f"word 7, '{typed}', .* perhaps '{nearest}'") as said:
        mnemonic.check(" ".join(words))
    assert "abandon" not in str(said.value)


def test_words_out_of_order_are_noticed_by_their_checksum() -> None:
    words = NIP06["vectors"][0]["mnemonic"].split()
    words[0], words[1] = words[1], words[0]
    with pytest.raises(Misconfigured, match="checksum"):
        mnemonic.check(" ".join(words))


@given(
    st.text(max_size=100) | st.lists(st.sampled_from(WORDS), min_size=12, max_size=12).map(" ".join)
)
@settings(max_examples=30)
def test_any_text_is_a_mnemonic_or_said_to_be_none(typed: str) -> None:
    try:
        words = mnemonic.check(typed)
    except Misconfigured:
        return
    assert mnemonic.check(words) == words == " ".join(typed.lower().split())


def test_the_words_are_the_published_ones() -> None:
    assert list(mnemonic._word_list()) == WORDS
