"""The identity that signs and decrypts, without showing its secret."""

import os

import pytest

from pylon.adapters.keys import LocalSigner
from pylon.errors import PeerFault, Undecryptable
from pylon.model.event import Draft
from pylon.model.ids import EventId, JobId, PublicKey
from pylon.ports.keys import Signer
from pylon.wire import event as events
from pylon.wire import nip04
from pylon.wire.secp import KeyPair

SECRET = bytes(range(1, 33))


@pytest.fixture
def alice() -> Signer:
    return LocalSigner(KeyPair(SECRET))


@pytest.fixture
def bob() -> Signer:
    return LocalSigner(KeyPair(b"\x02" * 32))


def test_a_signed_event_is_valid_and_its_author_s(alice: Signer) -> None:
    event = alice.sign(Draft(1, 1_700_000_000, (("t", "x"),), "hello"))
    events.check(event)
    assert event.pubkey == alice.public_key == KeyPair(SECRET).public_key


def test_signatures_are_randomised(alice: Signer) -> None:
    draft = Draft(1, 1_700_000_000)
    assert alice.sign(draft).sig != alice.sign(draft).sig


def test_each_side_reads_what_the_other_encrypts(alice: Signer, bob: Signer) -> None:
    payload = alice.encrypt("2+2?", bob.public_key)
    assert bob.decrypt(payload, alice.public_key) == "2+2?"
    assert payload != alice.encrypt("2+2?", bob.public_key)


def test_an_old_payload_is_told_by_its_shape_and_answered_in_kind(
    alice: Signer, bob: Signer
) -> None:
    payload = alice.encrypt_legacy("2+2?", bob.public_key)
    assert nip04.is_nip04(payload)
    assert bob.decrypt(payload, alice.public_key) == "2+2?"


def test_what_was_meant_for_another_cannot_be_read(alice: Signer, bob: Signer) -> None:
    stranger = LocalSigner(KeyPair(os.urandom(32)))
    payload = alice.encrypt("secret", bob.public_key)
    with pytest.raises(Undecryptable):
        stranger.decrypt(payload, alice.public_key)


def test_an_impossible_peer_is_the_peer_s_fault(alice: Signer) -> None:
    with pytest.raises(PeerFault):
        alice.encrypt("hello", PublicKey("ff" * 32))


def test_the_secret_is_in_no_repr() -> None:
    signer = LocalSigner(KeyPair(SECRET))
    assert signer.public_key in repr(signer)
    assert SECRET.hex() not in repr(signer)
    assert repr(SECRET) not in repr(signer)


def test_the_preimage_for_a_job_is_always_the_same_and_nobody_else_s(
    alice: Signer, bob: Signer
) -> None:
    """A crash between making an invoice and storing it must not lose what opens the money."""
    job, other = JobId(EventId("ab" * 32)), JobId(EventId("cd" * 32))
    again = LocalSigner(KeyPair(SECRET))
    assert alice.preimage(job) == again.preimage(job)
    assert len(bytes.fromhex(alice.preimage(job))) == 32
    told = {alice.preimage(job), alice.preimage(other), bob.preimage(job)}
    assert len(told) == 3
    assert SECRET.hex() not in told
