"""NIP-44 against its official vectors and nostr-sdk, both ways."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from typing import Any

import nostr_sdk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pylon.errors import Malformed, PeerFault, Undecryptable
from pylon.model.ids import PublicKey
from pylon.wire import nip44
from pylon.wire.secp import KeyPair
from tests.vectors import load
from tests.wire.strategies import ALICE, BOB

VECTORS: dict[str, Any] = load("nip44.vectors.json")["v2"]
EXTENDED: dict[str, Any] = load("nip44_extended.json")
KEY = nip44.conversation_key(ALICE, BOB.public_key)
NONCE = bytes(range(32))

texts = st.text(min_size=1, max_size=300)
nonces = st.binary(min_size=32, max_size=32)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("case", VECTORS["valid"]["get_conversation_key"])
def test_a_conversation_key_is_derived_as_published(case: dict[str, str]) -> None:
    key = nip44.conversation_key(KeyPair(bytes.fromhex(case["sec1"])), PublicKey(case["pub2"]))
    assert key.hex() == case["conversation_key"]


@pytest.mark.parametrize(
    "case", VECTORS["invalid"]["get_conversation_key"], ids=lambda case: case["note"]
)
def test_no_conversation_is_held_with_an_impossible_key(case: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        nip44.conversation_key(KeyPair(bytes.fromhex(case["sec1"])), PublicKey(case["pub2"]))


@pytest.mark.parametrize(("length", "padded"), VECTORS["valid"]["calc_padded_len"])
def test_a_text_is_padded_as_published(length: int, padded: int) -> None:
    assert nip44.padded_length(length) == padded


@pytest.mark.parametrize("case", VECTORS["valid"]["encrypt_decrypt"])
def test_a_payload_is_made_and_read_as_published(case: dict[str, str]) -> None:
    sender = KeyPair(bytes.fromhex(case["sec1"]))
    receiver = KeyPair(bytes.fromhex(case["sec2"]))
    key = nip44.conversation_key(sender, receiver.public_key)
    assert key.hex() == case["conversation_key"]
    payload = nip44.encrypt(key, case["plaintext"], nonce=bytes.fromhex(case["nonce"]))
    assert payload == case["payload"]
    assert (
        nip44.decrypt(nip44.conversation_key(receiver, sender.public_key), payload)
        == case["plaintext"]
    )


@pytest.mark.parametrize("case", VECTORS["valid"]["encrypt_decrypt_long_msg"])
def test_a_long_payload_is_made_and_read_as_published(case: dict[str, Any]) -> None:
    key, text = bytes.fromhex(case["conversation_key"]), case["pattern"] * case["repeat"]
    assert sha256(text) == case["plaintext_sha256"]
    payload = nip44.encrypt(key, text, nonce=bytes.fromhex(case["nonce"]))
    assert sha256(payload) == case["payload_sha256"]
    assert nip44.decrypt(key, payload) == text


@pytest.mark.parametrize(
    "case", VECTORS["invalid"]["decrypt"], ids=lambda case: case["payload"][-9:] or "empty"
)
def test_a_broken_payload_is_undecryptable(case: dict[str, str]) -> None:
    with pytest.raises(Undecryptable):
        nip44.decrypt(bytes.fromhex(case["conversation_key"]), case["payload"])


@pytest.mark.parametrize("length", VECTORS["invalid"]["encrypt_msg_lengths"])
def test_a_text_of_a_length_few_can_read_is_not_written(length: int) -> None:
    with pytest.raises(Malformed, match="1 to 65535 bytes"):
        nip44.encrypt(KEY, "x" * length, nonce=NONCE)


def sealed(padded: bytes, *, key: bytes = KEY) -> str:
    """Make a payload around any padded text, as a peer with the right key could."""
    cipher_key, cipher_nonce, mac_key = nip44._message_keys(key, NONCE)
    ciphertext = nip44._chacha20(cipher_key, cipher_nonce, padded)
    mac = hmac.digest(mac_key, NONCE + ciphertext, "sha256")
    return b64encode(b"\x02" + NONCE + ciphertext + mac).decode()


@pytest.mark.parametrize("case", EXTENDED["vectors"], ids=lambda case: str(case["plaintext_len"]))
def test_the_longer_form_is_read_as_published(case: dict[str, Any]) -> None:
    text = b"a" * case["plaintext_len"]
    prefix = len(text).to_bytes(2 if case["prefix_bytes"] == 2 else 6, "big")
    padded = prefix + text + bytes(case["padded_len"] - len(text))
    assert nip44.decrypt(KEY, sealed(padded)) == text.decode()


@pytest.mark.parametrize(
    "padded",
    [
        b"\x00\x00" + bytes(32),
        b"\x00\x00" + (5).to_bytes(4, "big") + b"hello" + bytes(27),
        b"\x00\x00" + (65536).to_bytes(4, "big") + b"x" * 65535,
        b"\x00\x05hello" + bytes(28),
        b"\x00\x05hello" + bytes(59),
        b"\x00\x21" + b"x" * 32,
        b"\x00\x02\xc3\x28" + bytes(30),
        b"\x00\x03\xed\xa0\x80" + bytes(29),
    ],
)
def test_a_text_that_does_not_fit_its_padding_is_undecryptable(padded: bytes) -> None:
    with pytest.raises(Undecryptable):
        nip44.decrypt(KEY, sealed(padded))


def test_a_payload_is_measured_before_it_is_decoded() -> None:
    payload = nip44.encrypt(KEY, "x" * 1000, nonce=NONCE)
    assert nip44.decrypt(KEY, payload, max_size=len(payload)) == "x" * 1000
    with pytest.raises(Undecryptable, match="too long"):
        nip44.decrypt(KEY, payload, max_size=len(payload) - 1)


def test_a_lone_surrogate_is_not_encrypted() -> None:
    with pytest.raises(Malformed, match="surrogate"):
        nip44.encrypt(KEY, "\ud800", nonce=NONCE)


@given(texts, nonces)
def test_what_is_encrypted_is_read_by_the_other_side(text: str, nonce: bytes) -> None:
    payload = nip44.encrypt(KEY, text, nonce=nonce)
    assert nip44.decrypt(nip44.conversation_key(BOB, ALICE.public_key), payload) == text


@given(texts, st.data())
def test_any_changed_byte_is_noticed(text: str, draw: st.DataObject) -> None:
    data = bytearray(b64decode(nip44.encrypt(KEY, text, nonce=NONCE)))
    data[draw.draw(st.integers(0, len(data) - 1))] ^= draw.draw(st.integers(1, 255))
    with pytest.raises(Undecryptable):
        nip44.decrypt(KEY, b64encode(data).decode())


@given(
    st.text(max_size=200) | st.binary(max_size=200).map(lambda b: b64encode(b"\x02" + b).decode())
)
def test_any_text_is_refused_without_the_key(text: str) -> None:
    with pytest.raises(PeerFault):
        nip44.decrypt(KEY, text)


@settings(max_examples=30)
@given(texts, nonces)
def test_nostr_sdk_reads_what_we_write_and_we_what_it_writes(text: str, nonce: bytes) -> None:
    secret = nostr_sdk.SecretKey.parse("02" * 32)
    alice = nostr_sdk.PublicKey.parse(ALICE.public_key)
    assert nostr_sdk.nip44_decrypt(secret, alice, nip44.encrypt(KEY, text, nonce=nonce)) == text
    theirs = nostr_sdk.nip44_encrypt(secret, alice, text, nostr_sdk.Nip44Version.V2)
    assert nip44.decrypt(KEY, theirs) == text
