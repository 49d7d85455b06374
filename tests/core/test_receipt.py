"""Anybody can tell a true receipt from a false one, and is told which claim is false."""

from hashlib import sha256

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pylon.core.receipt import Receipt, Verdict, claims, holds, read, write
from pylon.errors import Malformed, PeerFault
from pylon.model.event import Event
from pylon.model.ids import JobId, PaymentHash, Preimage
from pylon.model.invoice import Invoice
from pylon.model.job import FeedbackStatus, JobInput
from pylon.model.money import Msat, Network, PayMode
from pylon.model.wallet import IssuedInvoice
from pylon.wire import bolt11, jobs, locked
from pylon.wire import event as events
from pylon.wire.secp import KeyPair

BUYER, PROVIDER, STRANGER, NODE = (KeyPair(bytes([n]) * 32) for n in (1, 2, 3, 4))
NOW = 1_760_000_000
PRICE = Msat(21_000)
PREIMAGE = Preimage("ab" * 32)
HASH = PaymentHash(sha256(bytes.fromhex(PREIMAGE)).hexdigest())
ANSWER = "Four."

REQUEST = events.sign(jobs.write_request(5050, now=NOW, inputs=(JobInput("2+2?"),)), BUYER)
JOB = JobId(REQUEST.id)


def an_invoice(*, description: str = f"pylon:{JOB}", payment_hash: str = HASH) -> IssuedInvoice:
    invoice = Invoice(
        network=Network.REGTEST,
        amount=PRICE,
        created_at=NOW,
        payment_hash=PaymentHash(payment_hash),
        payment_secret="cc" * 32,
        payee=NODE.node_key,
        description=description,
        features=frozenset({8, 14}),
    )
    text = bolt11.encode(invoice, NODE)
    return IssuedInvoice(text, invoice.payment_hash, PRICE, NOW, invoice.expires_at)


INVOICE = an_invoice()


def an_offer(invoice: IssuedInvoice = INVOICE, by: KeyPair = PROVIDER) -> Event:
    status = FeedbackStatus.PAYMENT_REQUIRED
    draft = jobs.write_feedback(REQUEST, status, now=NOW, invoice=invoice, mode=PayMode.PREPAY)
    return events.sign(draft, by)


def a_result(by: KeyPair = PROVIDER, *, encrypted: bool = False) -> Event:
    draft = jobs.write_result(REQUEST, ANSWER, now=NOW, amount=PRICE, encrypted=encrypted)
    return events.sign(draft, by)


def a_locked_result(preimage: Preimage = PREIMAGE, text: str = ANSWER) -> Event:
    sealed = locked.lock(
        text, preimage, job=JOB, provider=PROVIDER.public_key, nonce=bytes(locked.NONCE_BYTES)
    )
    draft = jobs.write_result(
        REQUEST,
        sealed,
        now=NOW,
        amount=PRICE,
        bolt11=INVOICE.bolt11,
        mode=PayMode.LOCKED,
        encrypted=True,
        locked=locked.describe(text, preimage),
    )
    return events.sign(draft, PROVIDER)


PREPAID = Receipt(
    request=REQUEST,
    offer=an_offer(),
    result=a_result(),
    invoice=INVOICE.bolt11,
    preimage=PREIMAGE,
    answer=ANSWER,
)
LOCKED = evolve(PREPAID, offer=a_locked_result(), result=a_locked_result())


def false_claims(receipt: Receipt) -> list[str]:
    return [claim.name for claim in claims(receipt) if claim.verdict is Verdict.FAILS]


def open_claims(receipt: Receipt) -> list[str]:
    return [claim.name for claim in claims(receipt) if claim.verdict is Verdict.OPEN]


def forged(event: Event) -> Event:
    return evolve(event, sig="00" * 64)


@pytest.mark.parametrize("receipt", [PREPAID, LOCKED])
def test_every_claim_of_a_true_receipt_holds_and_survives_the_file(receipt: Receipt) -> None:
    kept = read(write(receipt))

    assert kept == receipt
    assert {claim.verdict for claim in claims(kept)} == {Verdict.HOLDS}
    assert holds(claims(kept))


@pytest.mark.parametrize(
    ("receipt", "claim"),
    [
        (evolve(PREPAID, request=forged(REQUEST)), "the request is signed by the buyer"),
        (evolve(PREPAID, offer=forged(an_offer())), "the offer is signed by the provider"),
        (
            evolve(PREPAID, offer=evolve(an_offer(), tags=())),
            "the offer is for this request, to its buyer",
        ),
        (evolve(PREPAID, invoice="lnbcrt1"), "the invoice is signed"),
        (
            evolve(PREPAID, invoice=an_invoice(description=f"pylon:{'0' * 64}").bolt11),
            "the invoice names this job",
        ),
        (
            evolve(PREPAID, invoice=an_invoice(description=f"pylon:{JOB}:{'0' * 64}").bolt11),
            "the invoice names this job",
        ),
        (
            evolve(PREPAID, invoice=an_invoice(payment_hash="dd" * 32).bolt11),
            "it was paid: the preimage hashes to the payment hash",
        ),
        (
            evolve(PREPAID, preimage=Preimage("cd" * 32)),
            "it was paid: the preimage hashes to the payment hash",
        ),
        (
            evolve(PREPAID, offer=an_offer(an_invoice(payment_hash="dd" * 32))),
            "the offer asks for this invoice and its amount",
        ),
        (
            evolve(PREPAID, offer=an_offer(evolve(INVOICE, amount=Msat(1_000)))),
            "the offer asks for this invoice and its amount",
        ),
        (
            evolve(PREPAID, offer=evolve(an_offer(), tags=(("amount", "many"),))),
            "the offer asks for this invoice and its amount",
        ),
        (
            evolve(PREPAID, result=a_result(by=STRANGER)),
            "the result is signed by the provider that was paid",
        ),
        (
            evolve(PREPAID, result=forged(a_result())),
            "the result is signed by the provider that was paid",
        ),
        (evolve(PREPAID, result=an_offer()), "the result is for this request, to its buyer"),
        (evolve(PREPAID, answer="Five."), "the answer is the one that was signed"),
        (
            evolve(LOCKED, result=a_locked_result(Preimage("cd" * 32))),
            "the payment opens the result",
        ),
        (evolve(LOCKED, answer="Five."), "the answer is the one that was sold"),
    ],
)
def test_a_false_claim_is_named(receipt: Receipt, claim: str) -> None:
    assert claim in false_claims(receipt)
    assert not holds(claims(receipt))


def test_a_lock_of_an_unknown_version_opens_nothing() -> None:
    result = evolve(a_result(), tags=(("locked", "2", HASH, HASH),))

    assert "the payment opens the result" in false_claims(evolve(PREPAID, result=result))


def test_what_nothing_in_the_receipt_tells_is_left_open() -> None:
    by_another_program = an_invoice(description="a job")
    silent = evolve(LOCKED, answer=None)
    foreign = evolve(PREPAID, offer=an_offer(by_another_program), invoice=by_another_program.bolt11)
    hidden = evolve(PREPAID, result=a_result(encrypted=True))
    refunded = evolve(PREPAID, result=None)
    dialect = evolve(an_offer(), tags=(("encrypted",), ("e", JOB), ("p", BUYER.public_key)))

    assert open_claims(silent) == ["the answer is the one that was sold"]
    assert open_claims(foreign) == ["the invoice names this job"]
    assert open_claims(hidden) == ["the answer is the one that was signed"]
    assert open_claims(refunded) == ["an answer was delivered"]
    asks = "the offer asks for this invoice and its amount"
    assert open_claims(evolve(PREPAID, offer=dialect)) == [asks]
    assert all(holds(claims(receipt)) for receipt in (silent, foreign, hidden, refunded))


def test_what_is_no_receipt_of_ours_is_refused() -> None:
    with pytest.raises(Malformed, match="version 2"):
        read(write(evolve(PREPAID, pylon_receipt=2)))
    with pytest.raises(Malformed, match="preimage"):
        read(write(evolve(PREPAID, preimage=Preimage("secret"))))
    with pytest.raises(Malformed, match="JSON"):
        read("[]")


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_any_bytes_are_a_receipt_or_refused(junk: bytes) -> None:
    with pytest.raises(PeerFault):
        read(junk)


def _put(junk: Event, which: str) -> Receipt:
    match which:
        case "request":
            return evolve(PREPAID, request=junk)
        case "offer":
            return evolve(PREPAID, offer=junk)
        case _:
            return evolve(PREPAID, result=junk)


@given(
    st.sampled_from(["request", "offer", "result"]),
    st.lists(st.lists(st.text(max_size=80), max_size=5).map(tuple), max_size=5).map(tuple),
    st.integers(-10, 70_000),
    st.text(max_size=200),
)
def test_any_events_are_judged(
    which: str, tags: tuple[tuple[str, ...], ...], kind: int, content: str
) -> None:
    junk = evolve(REQUEST, tags=tags, kind=kind, content=content)

    assert not holds(claims(_put(junk, which)))
