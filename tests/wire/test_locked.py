"""A locked result is opened by the payment's preimage, by nothing else, and only as promised."""

import base64
import hmac
from hashlib import sha256

import pytest
from attrs import evolve
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import Malformed, PeerFault
from pylon.model.ids import EventId, JobId, Preimage
from pylon.wire import locked, nip44
from pylon.wire.locked import MAX_TEXT, NONCE_BYTES, describe, hash_of, lock, unlock
from tests.wire.strategies import ALICE, BOB

JOB, OTHER_JOB = JobId(EventId("ab" * 32)), JobId(EventId("cd" * 32))
PREIMAGE, OTHER = Preimage("5e" * 32), Preimage("5f" * 32)
NONCE = bytes(range(NONCE_BYTES))
PROVIDER = ALICE.public_key
ANSWER = "four, naïvely"
SEALED = lock(ANSWER, PREIMAGE, job=JOB, provider=PROVIDER, nonce=NONCE)
PROMISE = describe(ANSWER, PREIMAGE)


@given(st.text(), st.binary(min_size=32, max_size=32), st.binary(min_size=12, max_size=12))
def test_what_is_locked_is_opened_by_its_preimage(text: str, secret: bytes, nonce: bytes) -> None:
    preimage = Preimage(secret.hex())
    sealed = lock(text, preimage, job=JOB, provider=PROVIDER, nonce=nonce)
    promise = describe(text, preimage)
    assert promise.payment_hash == sha256(secret).hexdigest()
    assert unlock(sealed, preimage, promise, job=JOB, provider=PROVIDER) == text


def test_the_key_is_derived_as_the_protocol_says() -> None:
    """HKDF-SHA256 (RFC 5869) by hand: one block is enough for 32 bytes."""
    secret = bytes.fromhex(PREIMAGE)
    extracted = hmac.digest(sha256(secret).digest(), secret, sha256)
    info = b"pylon/locked-result/1" + bytes.fromhex(JOB)
    key = hmac.digest(extracted, info + b"\x01", sha256)
    aad = bytes.fromhex(JOB) + bytes.fromhex(PROVIDER)
    data = base64.b64decode(SEALED)
    assert data[:NONCE_BYTES] == NONCE
    opened = ChaCha20Poly1305(key).decrypt(NONCE, data[NONCE_BYTES:], aad)
    assert opened.decode() == ANSWER


def test_no_other_preimage_job_or_provider_opens_it() -> None:
    for preimage, job, provider in (
        (OTHER, JOB, PROVIDER),
        (PREIMAGE, OTHER_JOB, PROVIDER),
        (PREIMAGE, JOB, BOB.public_key),
    ):
        with pytest.raises(Malformed, match="does not open"):
            unlock(SEALED, preimage, PROMISE, job=job, provider=provider)


def test_an_answer_that_is_not_the_one_promised_is_fraud() -> None:
    promise = describe("five", PREIMAGE)
    with pytest.raises(Malformed, match="not the one that was promised"):
        unlock(SEALED, PREIMAGE, promise, job=JOB, provider=PROVIDER)


@pytest.mark.parametrize("at", [0, NONCE_BYTES, -1])
def test_a_single_changed_bit_does_not_open(at: int) -> None:
    data = bytearray(base64.b64decode(SEALED))
    data[at] ^= 1
    with pytest.raises(Malformed, match="does not open"):
        unlock(base64.b64encode(data).decode(), PREIMAGE, PROMISE, job=JOB, provider=PROVIDER)


def test_what_was_locked_as_something_else_than_text_is_refused() -> None:
    secret = bytes.fromhex(PREIMAGE)
    extracted = hmac.digest(sha256(secret).digest(), secret, sha256)
    key = hmac.digest(extracted, b"pylon/locked-result/1" + bytes.fromhex(JOB) + b"\x01", sha256)
    aad = bytes.fromhex(JOB) + bytes.fromhex(PROVIDER)
    sealed = ChaCha20Poly1305(key).encrypt(NONCE, b"\xff", aad)
    payload = base64.b64encode(NONCE + sealed).decode()
    promise = evolve(PROMISE, digest=sha256(b"\xff").hexdigest())
    with pytest.raises(Malformed, match="no text"):
        unlock(payload, PREIMAGE, promise, job=JOB, provider=PROVIDER)


@given(st.one_of(st.text(), st.binary().map(lambda data: base64.b64encode(data).decode())))
def test_any_payload_is_opened_or_refused(payload: str) -> None:
    with pytest.raises(PeerFault):
        unlock(payload, PREIMAGE, PROMISE, job=JOB, provider=PROVIDER)


def test_what_is_locked_fits_into_nip44_and_no_more_is_locked() -> None:
    longest = lock("x" * MAX_TEXT, PREIMAGE, job=JOB, provider=PROVIDER, nonce=NONCE)
    assert len(longest) <= nip44.MAX_TEXT
    assert len(longest) + 4 > nip44.MAX_TEXT
    with pytest.raises(Malformed, match="it has 49,122 bytes, and a locked one carries 49,121"):
        lock("x" * (MAX_TEXT + 1), PREIMAGE, job=JOB, provider=PROVIDER, nonce=NONCE)


def test_two_locked_answers_have_nothing_in_common_to_look_at() -> None:
    again = lock(ANSWER, PREIMAGE, job=JOB, provider=PROVIDER, nonce=b"\x01" * NONCE_BYTES)
    other = lock(ANSWER, OTHER, job=JOB, provider=PROVIDER, nonce=NONCE)
    assert len({SEALED, again, other}) == 3
    assert hash_of(PREIMAGE) != hash_of(OTHER)
    assert locked.KEY_BYTES == 32
