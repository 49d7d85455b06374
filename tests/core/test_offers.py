"""A buyer pays only what it ordered, to whom it ordered it from, for as much as was said."""

from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest
from attrs import evolve

from pylon.core.offers import (
    MAX_EXPIRY_SECONDS,
    MAX_FINAL_CLTV,
    MAX_FUTURE_SECONDS,
    Unacceptable,
    description,
    does_not_open,
    read_answer,
    read_locked_offer,
    read_offer,
)
from pylon.model.event import Event
from pylon.model.ids import EventId, JobId, NodeKey, PaymentHash, PublicKey
from pylon.model.invoice import Invoice
from pylon.model.job import Encryption, FeedbackStatus
from pylon.model.money import Msat, Network, PayMode
from pylon.model.order import Answer, Offer, Order
from pylon.model.reply import Feedback, Locked, Result

NOW = 1_700_000_000
MARGIN = 10
ME, ANN, BOB = (PublicKey(name * 32) for name in ("dd", "aa", "bb"))
JOB = JobId(EventId("11" * 32))
PRICE = Msat(21_000)
NODE = NodeKey("02" + "ee" * 32)
HASH = PaymentHash("22" * 32)

ORDER = Order(
    id=JOB,
    request=Event(EventId(JOB), ME, NOW, 5050, (), "", ""),
    provider=ANN,
    max_price=Msat(50_000),
    max_fee=Msat(5_000),
    network=Network.REGTEST,
    auto_pay=True,
    opened_at=NOW,
    offer_seconds=2,
    deadline=NOW + 120,
)
FEEDBACK = Feedback(
    id=EventId("33" * 32),
    provider=ANN,
    job=JOB,
    customer=ME,
    created_at=NOW,
    status=FeedbackStatus.PAYMENT_REQUIRED,
    amount=PRICE,
    bolt11="lnbcrt210n1",
)
INVOICE = Invoice(
    network=Network.REGTEST,
    amount=PRICE,
    created_at=NOW,
    payment_hash=HASH,
    payment_secret="44" * 32,
    payee=NODE,
    description=f"pylon:{JOB}",
    expiry_seconds=600,
)
PAID_MODES = (PayMode.HOLD_LOCKED, PayMode.LOCKED, PayMode.HOLD, PayMode.PREPAY)
RESULT = Result(EventId("55" * 32), ANN, JOB, ME, NOW, 6050, "Paris")
LOCKED_RESULT = evolve(
    RESULT,
    content=b64encode(bytes(12 + 16 + 5)).decode(),
    amount=PRICE,
    bolt11="lnbcrt210n1",
    mode=PayMode.LOCKED,
    encryption=Encryption.NIP44,
    locked=Locked(HASH, sha256(b"Paris").hexdigest()),
)


def refusal(**changes: Any) -> str:
    """Read the offer with something changed; return why it is refused."""
    order = evolve(ORDER, **changes.get("order", {}))
    feedback = evolve(FEEDBACK, **changes.get("feedback", {}))
    invoice = evolve(INVOICE, **changes.get("invoice", {}))
    read = read_offer(order, feedback, invoice, now=NOW, margin=MARGIN)
    assert isinstance(read, Unacceptable)
    return read.reason


def test_a_fair_offer_is_read() -> None:
    assert read_offer(ORDER, FEEDBACK, INVOICE, now=NOW, margin=MARGIN) == Offer(
        provider=ANN,
        feedback=FEEDBACK.id,
        amount=PRICE,
        bolt11="lnbcrt210n1",
        payment_hash=HASH,
        node_key=NODE,
        expires_at=NOW + 600,
        mode=PayMode.PREPAY,
    )


def test_a_broadcast_takes_offers_from_anybody() -> None:
    order = evolve(ORDER, provider=None)
    read = read_offer(order, evolve(FEEDBACK, provider=BOB), INVOICE, now=NOW, margin=MARGIN)
    assert isinstance(read, Offer)
    assert read.provider == BOB


@pytest.mark.parametrize("mode", [PayMode.HOLD, PayMode.HOLD_LOCKED])
def test_a_hold_invoice_is_paid_like_any_other(mode: PayMode) -> None:
    order = evolve(ORDER, accepts=(mode,))
    read = read_offer(order, evolve(FEEDBACK, mode=mode), INVOICE, now=NOW, margin=MARGIN)
    assert isinstance(read, Offer)
    assert (read.mode, read.answer) == (mode, None)


def test_a_provider_that_names_no_mode_wants_to_be_paid_first() -> None:
    order = evolve(ORDER, accepts=(PayMode.LOCKED, PayMode.HOLD))
    read = read_offer(order, FEEDBACK, INVOICE, now=NOW, margin=MARGIN)
    assert read == Unacceptable(
        "it wants to be paid in the mode prepay, and we pay by locked, hold"
    )


@pytest.mark.parametrize("missing", ["amount", "bolt11"])
def test_an_offer_without_amount_or_invoice_is_refused(missing: str) -> None:
    assert refusal(feedback={missing: None}) == "it names no amount, or has no invoice"
    read = read_offer(ORDER, FEEDBACK, None, now=NOW, margin=MARGIN)
    assert read == Unacceptable("it names no amount, or has no invoice")


def test_an_offer_from_another_provider_than_asked_is_refused() -> None:
    assert refusal(feedback={"provider": BOB}) == "it is not from the provider that was asked"


def test_an_offer_for_another_job_or_customer_is_refused() -> None:
    other = JobId(EventId("99" * 32))
    assert refusal(feedback={"job": other}) == "it is about another job"
    assert refusal(feedback={"customer": BOB}) == "it is addressed to somebody else"
    assert (
        refusal(invoice={"description": f"pylon:{other}"}) == "the invoice was made for another job"
    )


def test_an_invoice_of_another_provider_is_refused() -> None:
    """Offers are public: it was copied, and its payment would buy an answer nobody waits for."""
    copied = {"description": description(JOB, BOB)}
    assert refusal(invoice=copied) == "the invoice is one of another provider"
    own = evolve(INVOICE, description=description(JOB, ANN))
    assert isinstance(read_offer(ORDER, FEEDBACK, own, now=NOW, margin=MARGIN), Offer)


@pytest.mark.parametrize("status", [FeedbackStatus.PROCESSING, FeedbackStatus.SUCCESS, "tip"])
def test_a_suggested_payment_is_not_paid(status: str) -> None:
    assert refusal(feedback={"status": status}) == "it suggests a payment and requires none"


@pytest.mark.parametrize("mode", [PayMode.FREE, PayMode.LOCKED])
def test_a_mode_that_does_not_ask_for_money_before_the_work_is_refused_then(mode: PayMode) -> None:
    order = {"accepts": PAID_MODES}
    reason = refusal(order=order, feedback={"mode": mode})
    assert reason == f"it wants to be paid before the work, and in the mode {mode}"


@pytest.mark.parametrize("mode", [PayMode.HOLD, PayMode.HOLD_LOCKED])
def test_a_mode_of_payment_that_was_not_agreed_is_refused(mode: PayMode) -> None:
    assert f"in the mode {mode}" in refusal(feedback={"mode": mode})


def test_an_amount_tag_that_differs_from_the_invoice_is_refused() -> None:
    assert refusal(feedback={"amount": Msat(1_000)}) == "it says 1 sat and its invoice 21 sat"
    assert refusal(invoice={"amount": Msat(21_001)}) == "it says 21 sat and its invoice 21.001 sat"


def test_an_invoice_that_leaves_the_amount_open_is_refused() -> None:
    assert refusal(invoice={"amount": None}) == "the invoice leaves the amount open"


def test_an_invoice_amount_above_the_limit_is_refused() -> None:
    assert refusal(order={"max_price": Msat(20_999)}) == "21 sat is above the limit of 20.999 sat"
    exact = evolve(ORDER, max_price=PRICE)
    assert isinstance(read_offer(exact, FEEDBACK, INVOICE, now=NOW, margin=MARGIN), Offer)


@pytest.mark.parametrize("network", [Network.MAINNET, Network.TESTNET, Network.SIGNET])
def test_an_invoice_of_the_wrong_network_is_refused(network: Network) -> None:
    assert refusal(invoice={"network": network}).startswith(f"the invoice is for {network}")


def test_an_invoice_has_a_description_or_its_hash() -> None:
    wrong = "the invoice must have a description or its hash, and not both"
    assert refusal(invoice={"description": None}) == wrong
    assert refusal(invoice={"description_hash": "66" * 32}) == wrong
    for fair in (
        evolve(INVOICE, description=None, description_hash="66" * 32),
        evolve(INVOICE, description="thanks"),
    ):
        assert isinstance(read_offer(ORDER, FEEDBACK, fair, now=NOW, margin=MARGIN), Offer)


def test_an_expired_invoice_is_refused_with_a_margin() -> None:
    late = "the invoice has expired, or is about to"
    assert refusal(invoice={"expiry_seconds": MARGIN - 1}) == late
    just = evolve(INVOICE, expiry_seconds=MARGIN)
    assert isinstance(read_offer(ORDER, FEEDBACK, just, now=NOW, margin=MARGIN), Offer)


def test_an_absurd_expiry_is_refused() -> None:
    absurd = "the invoice stays open for an absurdly long time"
    assert refusal(invoice={"expiry_seconds": MAX_EXPIRY_SECONDS + 1}) == absurd
    long = evolve(INVOICE, expiry_seconds=MAX_EXPIRY_SECONDS)
    assert isinstance(read_offer(ORDER, FEEDBACK, long, now=NOW, margin=MARGIN), Offer)


def test_an_invoice_from_the_future_is_refused() -> None:
    future = {"created_at": NOW + MAX_FUTURE_SECONDS + 1}
    assert refusal(invoice=future) == "the invoice is dated in the future"
    ahead = evolve(INVOICE, created_at=NOW + MAX_FUTURE_SECONDS)
    assert isinstance(read_offer(ORDER, FEEDBACK, ahead, now=NOW, margin=MARGIN), Offer)


def test_an_invoice_that_could_be_held_for_weeks_is_refused() -> None:
    assert "hold the payment" in refusal(invoice={"min_final_cltv": MAX_FINAL_CLTV + 1})
    edge = evolve(INVOICE, min_final_cltv=MAX_FINAL_CLTV)
    assert isinstance(read_offer(ORDER, FEEDBACK, edge, now=NOW, margin=MARGIN), Offer)


def test_a_result_for_the_order_is_an_answer() -> None:
    assert read_answer(ORDER, RESULT) == Answer(RESULT.id, ANN)
    broadcast = evolve(ORDER, provider=None)
    assert read_answer(broadcast, evolve(RESULT, provider=BOB)) == Answer(RESULT.id, BOB)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"provider": BOB}, "it is not from the provider that was asked"),
        ({"job": "99" * 32}, "it is about another job"),
        ({"customer": BOB}, "it is addressed to somebody else"),
        ({"kind": 6935}, "kind 6935 does not answer kind 5050"),
        ({"content": ""}, "the answer is empty"),
        ({"content": " \n"}, "the answer is empty"),
    ],
)
def test_what_does_not_answer_the_order_is_no_answer(changes: dict[str, Any], reason: str) -> None:
    assert read_answer(ORDER, evolve(RESULT, **changes)) == Unacceptable(reason)


def locked_refusal(**changes: Any) -> Unacceptable:
    """Read the locked result with something changed; return why it is refused."""
    order = evolve(ORDER, **{"accepts": PAID_MODES} | changes.get("order", {}))
    result = evolve(LOCKED_RESULT, **changes.get("result", {}))
    invoice = evolve(INVOICE, **changes.get("invoice", {}))
    read = read_locked_offer(order, result, invoice, now=NOW, margin=MARGIN)
    assert isinstance(read, Unacceptable)
    return read


def test_a_locked_result_is_an_offer_that_brings_its_answer() -> None:
    order = evolve(ORDER, accepts=PAID_MODES)
    assert read_locked_offer(order, LOCKED_RESULT, INVOICE, now=NOW, margin=MARGIN) == Offer(
        provider=ANN,
        feedback=LOCKED_RESULT.id,
        amount=PRICE,
        bolt11="lnbcrt210n1",
        payment_hash=HASH,
        node_key=NODE,
        expires_at=NOW + 600,
        mode=PayMode.LOCKED,
        answer=Answer(LOCKED_RESULT.id, ANN, LOCKED_RESULT.locked),
    )


def test_a_locked_result_whose_invoice_pays_for_another_key_is_refused_before_paying() -> None:
    refused = locked_refusal(invoice={"payment_hash": PaymentHash("77" * 32)})
    assert refused == Unacceptable("its invoice does not pay for the key it is locked with", True)


def test_a_locked_result_everybody_on_the_route_could_read_is_refused() -> None:
    for encryption in (Encryption.NONE, Encryption.NIP04):
        refused = locked_refusal(result={"encryption": encryption})
        assert "whoever forwards the payment could read it" in refused.reason
        assert refused.contradiction


@pytest.mark.parametrize(
    "content", ["no base64!", "", b64encode(bytes(28)).decode(), "AAAA\nAAAA", "AAA"]
)
def test_a_locked_result_that_can_hold_no_answer_is_refused_before_paying(content: str) -> None:
    refused = locked_refusal(result={"content": content})
    assert refused.reason in (
        "it is locked, and no base64",
        "it is locked, and too short to hold an answer",
    )
    assert refused.contradiction


def test_a_locked_result_that_promises_an_empty_answer_is_refused() -> None:
    nothing = Locked(HASH, sha256(b"").hexdigest())
    assert "too short" in locked_refusal(result={"locked": nothing}).reason


def test_the_amount_of_a_locked_result_is_its_invoices_and_within_the_limit() -> None:
    assert locked_refusal(result={"amount": Msat(1_000)}) == Unacceptable(
        "it says 1 sat and its invoice 21 sat", True
    )
    above = locked_refusal(order={"max_price": Msat(20_000)})
    assert above == Unacceptable("21 sat is above the limit of 20 sat")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"result": {"provider": BOB}}, "not from the provider that was asked"),
        ({"result": {"job": "99" * 32}}, "about another job"),
        ({"result": {"customer": BOB}}, "addressed to somebody else"),
        ({"result": {"kind": 6935}}, "kind 6935 does not answer"),
        ({"result": {"mode": PayMode.PREPAY}}, "does not say that its invoice is the key"),
        ({"result": {"mode": None}}, "does not say that its invoice is the key"),
        ({"result": {"amount": None}}, "names no amount"),
        ({"result": {"bolt11": None}}, "names no amount, or has no invoice"),
        ({"order": {"accepts": (PayMode.PREPAY,)}}, "in the mode locked, and we pay by prepay"),
        ({"invoice": {"network": Network.MAINNET}}, "for mainnet"),
        ({"invoice": {"description": f"pylon:{'99' * 32}"}}, "made for another job"),
        ({"invoice": {"expiry_seconds": MARGIN - 1}}, "has expired"),
    ],
)
def test_a_locked_result_that_does_not_fit_the_order_is_refused(
    changes: dict[str, Any], why: str
) -> None:
    refused = locked_refusal(**changes)
    assert why in refused.reason
    assert not refused.contradiction


def test_a_locked_result_without_an_invoice_is_no_offer() -> None:
    order = evolve(ORDER, accepts=PAID_MODES)
    read = read_locked_offer(order, LOCKED_RESULT, None, now=NOW, margin=MARGIN)
    assert read == Unacceptable("it names no amount, or has no invoice")
    clear = evolve(LOCKED_RESULT, locked=None)
    assert isinstance(
        read_locked_offer(order, clear, INVOICE, now=NOW, margin=MARGIN), Unacceptable
    )


def test_an_answer_opens_with_what_is_paid_for_its_own_offer_alone() -> None:
    offer = read_offer(ORDER, FEEDBACK, INVOICE, now=NOW, margin=MARGIN)
    assert isinstance(offer, Offer)
    locked = read_answer(ORDER, LOCKED_RESULT)
    assert locked == Answer(LOCKED_RESULT.id, ANN, LOCKED_RESULT.locked)
    assert isinstance(locked, Answer)
    assert does_not_open(locked, offer) is None
    assert does_not_open(Answer(RESULT.id, ANN), offer) is None
    other = evolve(offer, payment_hash=PaymentHash("77" * 32))
    assert does_not_open(locked, other) == Unacceptable(
        "the answer is locked with another key than the one that was sold", True
    )
