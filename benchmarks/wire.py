"""How fast text becomes checked events, and the other way round: `python -m benchmarks.wire`."""

from hashlib import sha256

from benchmarks.rows import Row, rate, show
from pylon.model.event import Draft, Event
from pylon.model.filter import Filter
from pylon.wire import bech32, filters, frames, nip04, nip44
from pylon.wire import event as events
from pylon.wire.secp import KeyPair, verify_schnorr

ALICE = KeyPair(b"\x01" * 32)
BOB = KeyPair(b"\x02" * 32)
JOB = Draft(
    kind=5050,
    created_at=1_700_000_000,
    tags=(("i", "What is the capital of France? " * 2, "text"), ("p", BOB.public_key)),
    content="x" * 40,
)


def measure() -> list[Row]:
    """Measure every part of the wire that a job passes through."""
    job = events.sign(JOB, ALICE)
    return [*_signatures(job), *_events(job), *_encryption(), *_others(job)]


def _signatures(job: Event) -> list[Row]:
    digest, signature = bytes.fromhex(job.id), bytes.fromhex(job.sig)
    return [
        Row("schnorr sign", rate(lambda: ALICE.sign32(digest)), "cached key pair"),
        Row(
            "schnorr verify",
            rate(lambda: verify_schnorr(ALICE.public_key, digest, signature)),
            "parsed key from the cache",
        ),
        Row("ecdsa sign", rate(lambda: ALICE.sign_recoverable(digest)), "recoverable"),
        Row("ecdh", rate(lambda: ALICE.shared_x(BOB.public_key)), "one key parsed"),
    ]


def _events(job: Event) -> list[Row]:
    text = events.encode(job)
    frame = frames.encode(frames.Found("jobs", job))
    digest, signature = bytes.fromhex(job.id), bytes.fromhex(job.sig)
    sign_limit = rate(lambda: ALICE.sign32(digest))
    verify_limit = rate(lambda: verify_schnorr(ALICE.public_key, digest, signature))
    size = f"event of {len(text)} bytes"

    def receive() -> None:
        events.check(events.parse(text))

    return [
        Row(
            "event sign",
            rate(lambda: events.sign(JOB, ALICE)),
            f"{size}: id, signature",
            sign_limit,
        ),
        Row("event receive", rate(receive), f"{size}: parse, check, id, verify", verify_limit),
        Row("event parse", rate(lambda: events.parse(text)), size),
        Row(
            "event id",
            rate(lambda: events.event_id(job)),
            size,
            rate(lambda: sha256(text.encode())),
        ),
        Row("frame decode", rate(lambda: frames.decode_relay(frame)), f"EVENT frame, {size}"),
        Row("frame encode", rate(lambda: frames.encode(frames.Found("jobs", job))), "EVENT frame"),
    ]


def _encryption() -> list[Row]:
    key, nonce = nip44.conversation_key(ALICE, BOB.public_key), bytes(32)
    shared = ALICE.shared_x(BOB.public_key)
    text = "a prompt of two thousand characters, or so " * 47
    payload, legacy = (
        nip44.encrypt(key, text, nonce=nonce),
        nip04.encrypt(shared, text, iv=bytes(16)),
    )
    size = f"{len(text)} bytes, key cached"
    return [
        Row("nip44 encrypt", rate(lambda: nip44.encrypt(key, text, nonce=nonce)), size),
        Row("nip44 decrypt", rate(lambda: nip44.decrypt(key, payload)), size),
        Row("nip04 encrypt", rate(lambda: nip04.encrypt(shared, text, iv=bytes(16))), size),
        Row("nip04 decrypt", rate(lambda: nip04.decrypt(shared, legacy)), size),
    ]


def _others(job: Event) -> list[Row]:
    invoice = bech32.encode("lnbcrt120n", bech32.to_symbols(bytes(190)))
    subscriptions = [Filter(kinds=(5050,), tags={"p": (f"{n:064x}",)}) for n in range(100)]
    match = filters.matcher(subscriptions)
    return [
        Row("bech32 decode", rate(lambda: bech32.decode(invoice)), f"{len(invoice)} characters"),
        Row("filters", rate(lambda: match(job)), "one event against 100 filters of its kind"),
    ]


if __name__ == "__main__":
    show(measure())
