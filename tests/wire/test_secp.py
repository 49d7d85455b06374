"""Keys and signatures against the vectors of BIP-340 and against nostr-sdk."""

import csv
import hashlib
import hmac

import nostr_sdk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pylon.errors import BadSignature, Malformed
from pylon.model.ids import NodeKey, PublicKey
from pylon.wire import secp
from pylon.wire.secp import KeyPair
from tests.vectors import text

ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
BIP340 = list(csv.DictReader(text("bip340.csv").splitlines()))

secret_keys = st.integers(1, ORDER - 1).map(lambda n: n.to_bytes(32, "big"))
messages = st.binary(min_size=32, max_size=32)


@pytest.mark.parametrize("row", BIP340, ids=lambda row: row["index"])
def test_every_bip340_signature_is_judged_as_published(row: dict[str, str]) -> None:
    verdict = secp.verify_schnorr(
        PublicKey(row["public key"].lower()),
        bytes.fromhex(row["message"]),
        bytes.fromhex(row["signature"]),
    )
    assert verdict is (row["verification result"] == "TRUE")


@pytest.mark.parametrize(
    "row", [row for row in BIP340 if row["secret key"] and len(row["message"]) == 64]
)
def test_every_bip340_signature_is_made_as_published(row: dict[str, str]) -> None:
    keys = KeyPair(bytes.fromhex(row["secret key"]))
    assert keys.public_key == row["public key"].lower()
    signature = keys.sign32(bytes.fromhex(row["message"]), aux=bytes.fromhex(row["aux_rand"]))
    assert signature.hex().upper() == row["signature"]


def test_blinding_the_context_changes_no_signature() -> None:
    keys, message = KeyPair(b"\x07" * 32), b"\x01" * 32
    before = keys.sign32(message)
    secp.randomize(b"\x2a" * 32)
    assert keys.sign32(message) == before


@settings(max_examples=30)
@given(secret_keys, messages)
def test_nostr_sdk_derives_the_same_public_key_and_both_verify(
    secret: bytes, message: bytes
) -> None:
    keys = KeyPair(secret)
    theirs = nostr_sdk.Keys.parse(secret.hex())
    assert keys.public_key == theirs.public_key().to_hex()
    signature = bytes.fromhex(theirs.sign_schnorr(message))
    assert secp.verify_schnorr(keys.public_key, message, signature)


@settings(max_examples=30)
@given(secret_keys, messages, st.binary(min_size=32, max_size=32))
def test_a_signature_holds_for_its_key_and_message_only(
    secret: bytes, message: bytes, aux: bytes
) -> None:
    keys = KeyPair(secret)
    signature = keys.sign32(message, aux=aux)
    assert secp.verify_schnorr(keys.public_key, message, signature)
    assert not secp.verify_schnorr(keys.public_key, hashlib.sha256(message).digest(), signature)
    assert not secp.verify_schnorr(keys.public_key, message, signature[:-1])


@pytest.mark.parametrize(
    "key",
    ["", "00" * 32, "ff" * 32, "F9" + "30" * 31, "zz" * 32, "3 " * 32, "30" * 31, "\ud800" * 64],
)
def test_a_key_that_is_no_point_verifies_nothing(key: str) -> None:
    assert not secp.verify_schnorr(PublicKey(key), b"\0" * 32, b"\0" * 64)


@pytest.mark.parametrize("secret", [b"", b"\0" * 32, b"\1" * 31, ORDER.to_bytes(32, "big")])
def test_a_number_outside_the_group_is_no_secret_key(secret: bytes) -> None:
    with pytest.raises(Malformed, match="secret key"):
        KeyPair(secret)


def test_a_key_pair_does_not_show_its_secret() -> None:
    secret = bytes(range(1, 33))
    keys = KeyPair(secret)
    assert secret.hex() not in repr(keys)
    assert str(secret) not in repr(keys)
    assert keys.public_key in repr(keys)


@settings(max_examples=20)
@given(secret_keys, secret_keys)
def test_a_shared_secret_is_the_same_from_both_sides(a: bytes, b: bytes) -> None:
    ours, theirs = KeyPair(a), KeyPair(b)
    assert ours.shared_x(theirs.public_key) == theirs.shared_x(ours.public_key)


@pytest.mark.parametrize("peer", ["00" * 32, "ff" * 32, "not hex"])
def test_no_secret_is_shared_with_a_key_that_is_no_point(peer: str) -> None:
    with pytest.raises(Malformed):
        KeyPair(b"\x01" * 32).shared_x(PublicKey(peer))


@settings(max_examples=30)
@given(secret_keys, messages)
def test_an_ecdsa_signature_leads_back_to_its_node_key(secret: bytes, digest: bytes) -> None:
    keys = KeyPair(secret)
    signature, recovery_id = keys.sign_recoverable(digest)
    assert secp.recover_ecdsa(digest, signature, recovery_id) == keys.node_key
    assert secp.verify_ecdsa(keys.node_key, digest, signature)
    assert not secp.verify_ecdsa(keys.node_key, hashlib.sha256(digest).digest(), signature)


def test_high_s_is_recovered_but_not_verified() -> None:
    keys, digest = KeyPair(b"\x05" * 32), b"\x06" * 32
    signature, recovery_id = keys.sign_recoverable(digest)
    s = int.from_bytes(signature[32:], "big")
    high = signature[:32] + (ORDER - s).to_bytes(32, "big")
    assert secp.recover_ecdsa(digest, high, recovery_id ^ 1) == keys.node_key
    assert not secp.verify_ecdsa(keys.node_key, digest, high)


@pytest.mark.parametrize(
    ("signature", "recovery_id"),
    [
        (b"\x01" * 63, 0),
        (b"\x01" * 64, 4),
        (b"\x01" * 64, -1),
        (b"\xff" * 64, 0),
        (b"\0" * 64, 0),
    ],
)
def test_a_signature_nobody_can_have_made_is_refused(signature: bytes, recovery_id: int) -> None:
    with pytest.raises(BadSignature):
        secp.recover_ecdsa(b"\x01" * 32, signature, recovery_id)


@pytest.mark.parametrize("signature", [b"\x01" * 63, b"\xff" * 64])
def test_what_is_no_ecdsa_signature_verifies_nothing(signature: bytes) -> None:
    assert not secp.verify_ecdsa(KeyPair(b"\x05" * 32).node_key, b"\x01" * 32, signature)


@pytest.mark.parametrize("key", ["", "05" + "11" * 32, "02" + "ff" * 32])
def test_an_ecdsa_key_that_is_no_point_is_refused(key: str) -> None:
    with pytest.raises(Malformed):
        secp.verify_ecdsa(NodeKey(key), b"\x01" * 32, b"\x01" * 64)


def test_a_message_of_the_wrong_length_never_reaches_the_library() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        KeyPair(b"\x05" * 32).sign32(b"short")


def test_what_is_derived_is_hmac_of_the_purpose_under_the_secret() -> None:
    secret = bytes(range(1, 33))
    assert KeyPair(secret).derive(b"a") == hmac.digest(secret, b"a", "sha256")
    assert KeyPair(secret).derive(b"a") != KeyPair(secret).derive(b"b")
