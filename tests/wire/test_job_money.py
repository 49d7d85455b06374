"""How locked results, promised refunds and requests for them travel."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import Malformed, PeerFault
from pylon.model.event import Draft, Event, Tag
from pylon.model.ids import EventId, JobId, PaymentHash
from pylon.model.job import FeedbackStatus
from pylon.model.money import Msat, PayMode
from pylon.model.reply import Locked
from pylon.model.wallet import IssuedInvoice
from pylon.wire import event as events
from pylon.wire import jobs, json
from tests.wire.strategies import ALICE, BOB, event

NOW = 1_700_000_900
REQUEST = event(5050, ("i", "2+2?", "text"))
JOB = JobId(REQUEST.id)
INVOICE = IssuedInvoice("lnbcrt1", PaymentHash("cd" * 32), Msat(21_000), NOW, NOW + 600)
LOCK = Locked(PaymentHash("cd" * 32), "ef" * 32)
HIDDEN = jobs.hide_refund(INVOICE)


def signed(draft: Draft) -> Event:
    return events.sign(draft, ALICE)


def a_result(*tags: Tag) -> Event:
    return event(6050, ("e", JOB), ("p", ALICE.public_key), *tags, keys=BOB)


def test_a_locked_result_says_what_opens_it_and_what_will_be_read() -> None:
    draft = jobs.write_result(
        REQUEST,
        "ciphertext",
        now=NOW,
        amount=INVOICE.amount,
        bolt11=INVOICE.bolt11,
        mode=PayMode.LOCKED,
        encrypted=True,
        locked=LOCK,
    )
    assert ("locked", "1", "cd" * 32, "ef" * 32) in draft.tags
    assert ("amount", "21000", "lnbcrt1") in draft.tags
    assert ("pay", "locked") in draft.tags
    found = jobs.read_result(signed(draft), "base64")
    assert (found.locked, found.content, found.mode) == (LOCK, "base64", PayMode.LOCKED)
    assert (found.amount, found.bolt11) == (21_000, "lnbcrt1")


def test_a_result_without_a_lock_is_not_locked() -> None:
    assert jobs.read_result(a_result()).locked is None


@pytest.mark.parametrize(
    ("tag", "complaint"),
    [
        (("locked",), "version ''"),
        (("locked", "2", "cd" * 32, "ef" * 32), "version '2'"),
        (("locked", "1"), "no payment hash"),
        (("locked", "1", "cd" * 32), "no hash of the text"),
        (("locked", "1", "cd" * 31, "ef" * 32), "no payment hash"),
        (("locked", "1", "CD" * 32, "ef" * 32), "no payment hash"),
        (("locked", "1", "cd" * 32, "x" * 64), "no hash of the text"),
    ],
)
def test_a_lock_that_cannot_be_read_is_refused(tag: Tag, complaint: str) -> None:
    with pytest.raises(Malformed, match=complaint):
        jobs.read_result(a_result(tag))


def test_a_failure_says_what_may_be_asked_back() -> None:
    draft = jobs.write_feedback(REQUEST, FeedbackStatus.ERROR, now=NOW, refund=Msat(21_000))
    assert ("refund", "21000") in draft.tags
    assert jobs.read_feedback(signed(draft)).refund == 21_000
    nothing = jobs.write_feedback(REQUEST, FeedbackStatus.ERROR, now=NOW)
    assert jobs.read_feedback(signed(nothing)).refund is None


def test_a_refund_that_is_no_amount_is_refused() -> None:
    said = event(7000, ("e", JOB), ("p", "aa" * 32), ("status", "error"), ("refund", "-1"))
    with pytest.raises(Malformed, match="decimal number"):
        jobs.read_feedback(said)


def test_a_request_for_a_refund_says_everything_but_the_invoice_in_clear() -> None:
    draft = jobs.write_refund(JOB, BOB.public_key, "x", now=NOW, expires_at=INVOICE.expires_at)
    assert draft.kind == 7000
    assert draft.tags == (
        ("status", "refund"),
        ("e", JOB),
        ("p", BOB.public_key),
        ("encrypted",),
        ("expiration", str(INVOICE.expires_at)),
    )
    assert jobs.asks_refund(signed(draft))
    found = jobs.read_refund(signed(draft), HIDDEN)
    assert found == jobs.RefundRequest(
        JOB, ALICE.public_key, BOB.public_key, INVOICE.amount, INVOICE.bolt11
    )


@pytest.mark.parametrize(
    "other",
    [
        event(7000, ("status", "error"), ("e", JOB), ("p", BOB.public_key)),
        event(7000, ("e", JOB), ("p", BOB.public_key)),
        event(6050, ("status", "refund"), ("e", JOB), ("p", BOB.public_key)),
    ],
    ids=["another status", "no status", "another kind"],
)
def test_what_is_no_request_for_a_refund_is_not_read_as_one(other: Event) -> None:
    assert not jobs.asks_refund(other)
    with pytest.raises(Malformed, match="no request for a refund"):
        jobs.read_refund(other, HIDDEN)


def refund_request(*without: str, hidden: tuple[Tag, ...] = (("encrypted",),)) -> Event:
    tags: tuple[Tag, ...] = (("status", "refund"), ("e", JOB), ("p", BOB.public_key), *hidden)
    return event(7000, *(tag for tag in tags if tag[0] not in without), content="x")


@pytest.mark.parametrize(
    "hidden", ["[]", '[["amount"]]', '[["amount","21000"]]', '[["amount","x","lnbcrt1"]]', "{", ""]
)
def test_a_request_for_a_refund_needs_an_invoice(hidden: str) -> None:
    with pytest.raises(Malformed):
        jobs.read_refund(refund_request(), hidden)


@pytest.mark.parametrize("missing", ["e", "p"])
def test_a_request_for_a_refund_names_the_job_and_who_owes_it(missing: str) -> None:
    with pytest.raises(Malformed, match=f"{missing} tag"):
        jobs.read_refund(refund_request(missing), HIDDEN)


def test_a_request_for_a_refund_is_not_read_before_it_is_decrypted() -> None:
    with pytest.raises(Malformed, match="nobody has decrypted it"):
        jobs.read_refund(refund_request(), None)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=4), max_leaves=9
)


@given(st.one_of(st.text(), json_values.map(json.encode)))
def test_any_hidden_text_is_read_or_refused(hidden: str) -> None:
    try:
        found = jobs.read_refund(refund_request(), hidden)
    except PeerFault:
        return
    assert found.bolt11


@given(st.integers(0, 10**15).map(Msat), st.text(min_size=1, max_size=99))
def test_an_invoice_for_a_refund_survives_the_trip(amount: Msat, bolt11: str) -> None:
    invoice = IssuedInvoice(bolt11, INVOICE.payment_hash, amount, NOW, NOW + 600)
    found = jobs.read_refund(refund_request(), jobs.hide_refund(invoice))
    assert (found.amount, found.bolt11, found.job) == (amount, bolt11, EventId(JOB))
