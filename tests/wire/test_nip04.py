"""NIP-04 against vectors and nostr-sdk, both ways."""

from base64 import b64encode
from typing import Any

import nostr_sdk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pylon.errors import Malformed, PeerFault, Undecryptable
from pylon.wire import nip04
from pylon.wire.secp import KeyPair
from tests.vectors import load
from tests.wire.strategies import ALICE, BOB

VECTORS: dict[str, Any] = load("nip04.json")
FIRST = KeyPair(bytes.fromhex(VECTORS["sec1"]))
SECOND = KeyPair(bytes.fromhex(VECTORS["sec2"]))
SHARED = FIRST.shared_x(SECOND.public_key)


def test_the_shared_secret_is_the_published_one() -> None:
    assert SHARED.hex() == VECTORS["shared_x"] == SECOND.shared_x(FIRST.public_key).hex()


@pytest.mark.parametrize("case", VECTORS["decrypt"], ids=lambda case: case["plaintext"][:8])
def test_a_payload_is_read_as_published(case: dict[str, str]) -> None:
    assert nip04.decrypt(SHARED, case["content"]) == case["plaintext"]


@pytest.mark.parametrize("case", VECTORS["encrypt_with_fixed_iv"], ids=lambda case: case["iv"][:4])
def test_a_payload_is_made_as_published(case: dict[str, str]) -> None:
    payload = nip04.encrypt(SHARED, case["plaintext"], iv=bytes.fromhex(case["iv"]))
    assert payload == case["content"]
    assert nip04.decrypt(SHARED, payload) == case["plaintext"]


@pytest.mark.parametrize(
    "payload",
    [
        *VECTORS["invalid"],
        "",
        "?iv=?iv=",
        VECTORS["decrypt"][0]["content"] + "?iv=AAAA",
        f"{b64encode(bytes(20)).decode()}?iv={b64encode(bytes(16)).decode()}",
        "äöü?iv=AAAAAAAAAAAAAAAAAAAAAA==",
    ],
)
def test_every_broken_payload_is_refused_with_the_same_words(payload: str) -> None:
    with pytest.raises(Undecryptable, match="NIP-04: cannot be decrypted"):
        nip04.decrypt(SHARED, payload)


def test_text_that_is_not_utf8_is_undecryptable() -> None:
    payload = nip04.encrypt(SHARED, "é" * 8, iv=bytes(16))
    data, separator, _ = payload.partition("?iv=")
    other_iv = b64encode(bytes([0x80]) + bytes(15)).decode()
    with pytest.raises(Undecryptable, match="cannot be decrypted"):
        nip04.decrypt(SHARED, data + separator + other_iv)


def test_a_payload_is_measured_before_it_is_decoded() -> None:
    payload = nip04.encrypt(SHARED, "x" * 100, iv=bytes(16))
    assert nip04.decrypt(SHARED, payload, max_size=len(payload)) == "x" * 100
    with pytest.raises(Undecryptable, match="too long"):
        nip04.decrypt(SHARED, payload, max_size=len(payload) - 1)


def test_a_lone_surrogate_is_not_encrypted() -> None:
    with pytest.raises(Malformed, match="surrogate"):
        nip04.encrypt(SHARED, "\ud800", iv=bytes(16))


@given(st.text(max_size=200))
def test_any_text_is_refused_without_the_key(text: str) -> None:
    with pytest.raises(PeerFault):
        nip04.decrypt(SHARED, text)


@settings(max_examples=30)
@given(st.text(max_size=200), st.binary(min_size=16, max_size=16))
def test_nostr_sdk_reads_what_we_write_and_we_what_it_writes(text: str, iv: bytes) -> None:
    secret = nostr_sdk.SecretKey.parse("02" * 32)
    alice = nostr_sdk.PublicKey.parse(ALICE.public_key)
    shared = ALICE.shared_x(BOB.public_key)
    payload = nip04.encrypt(shared, text, iv=iv)
    assert nip04.is_nip04(payload)
    assert nostr_sdk.nip04_decrypt(secret, alice, payload) == text
    assert nip04.decrypt(shared, nostr_sdk.nip04_encrypt(secret, alice, text)) == text
