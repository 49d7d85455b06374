"""What a provider owes is paid back for the customer's invoice, however often that takes."""

import pytest

from pylon.core.job_machine import (
    LOOKUP_SECONDS,
    RETRY_SECONDS,
    LookUpRefund,
    PayRefund,
    RefundAsked,
    RefundPaid,
    RefundRefused,
    RefundUncertain,
    Step,
    TimePassed,
    advance,
    due,
)
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.job import Cancelled, Failed, JobState, Refund, Refunded, Refunding
from pylon.model.money import Msat
from tests.market.actors import a_paid_job

NOW = 1_700_000_000
JOB = a_paid_job()
PAID, BACK = PaymentHash("11" * 32), PaymentHash("22" * 32)
PROOF = Preimage("33" * 32)
REFUND = Refund("lnbcrt1", BACK, Msat(5_000), expires_at=NOW + 86_400)
OWING = Failed("the model was unloaded", PAID, JOB.price)
ASKED = Refunding("the model was unloaded", PAID, JOB.price, REFUND)


def hear(state: JobState, *news: object, at: int = NOW) -> Step:
    step = Step(state)
    for item in news:
        step = advance(JOB, step.state, item, at)  # type: ignore[arg-type]
    return step


@pytest.mark.parametrize(
    ("owing", "reason"),
    [
        (OWING, "the model was unloaded"),
        (Cancelled(paid=PAID, owed=JOB.price), "called off by its author"),
    ],
)
def test_what_is_owed_is_paid_for_the_invoice_of_the_customer(owing: JobState, reason: str) -> None:
    step = hear(owing, RefundAsked(REFUND, JOB.price))
    assert step == Step(Refunding(reason, PAID, JOB.price, REFUND), (PayRefund(REFUND, JOB.price),))
    paid = hear(step.state, RefundPaid(BACK, PROOF))
    assert paid == Step(Refunded(reason, PAID, JOB.price, BACK, PROOF))


@pytest.mark.parametrize("amount", [JOB.price - 1, JOB.price + 1])
def test_no_other_amount_than_what_is_owed_is_paid_back(amount: int) -> None:
    assert hear(OWING, RefundAsked(REFUND, Msat(amount))) == Step(OWING)


def test_nothing_is_paid_back_where_nothing_is_owed() -> None:
    unpaid = Failed("out of memory", invoice=PAID)
    assert hear(unpaid, RefundAsked(REFUND, Msat(0))) == Step(unpaid)


def test_a_refund_of_unknown_outcome_is_asked_about_and_never_paid_anew() -> None:
    unknown = hear(ASKED, RefundUncertain(BACK)).state
    assert due(JOB, unknown) == NOW + LOOKUP_SECONDS
    assert hear(unknown, TimePassed(), at=NOW + LOOKUP_SECONDS - 1) == Step(unknown)
    step = hear(unknown, TimePassed(), at=NOW + LOOKUP_SECONDS)
    assert step.acts == (LookUpRefund(BACK),)
    assert due(JOB, step.state) == NOW + 2 * LOOKUP_SECONDS


def test_a_refund_that_failed_is_tried_again_while_its_invoice_is_good() -> None:
    """The customer has one invoice a day: a wallet that was empty for a moment must not cost it that."""
    failed = hear(ASKED, RefundUncertain(BACK), RefundRefused(BACK)).state
    assert isinstance(failed, Refunding)
    assert due(JOB, failed) == NOW + RETRY_SECONDS
    assert hear(failed, TimePassed(), at=NOW + RETRY_SECONDS - 1) == Step(failed)
    step = hear(failed, TimePassed(), at=NOW + RETRY_SECONDS)
    assert step == Step(ASKED, (PayRefund(REFUND, JOB.price),))
    assert due(JOB, step.state) is None


def test_a_refund_that_failed_is_owed_again_once_its_invoice_is_about_to_expire() -> None:
    last = REFUND.expires_at - RETRY_SECONDS
    assert isinstance(hear(ASKED, RefundRefused(BACK), at=last - 1).state, Refunding)
    assert hear(ASKED, RefundRefused(BACK), at=last) == Step(OWING)


def test_while_one_invoice_is_being_paid_no_other_is() -> None:
    other = Refund("lnbcrt2", PaymentHash("44" * 32), Msat(5_000), expires_at=NOW + 86_400)
    assert hear(ASKED, RefundAsked(other, JOB.price)) == Step(ASKED)


@pytest.mark.parametrize(
    "news", [RefundPaid(PAID, PROOF), RefundRefused(PAID), RefundUncertain(PAID)]
)
def test_what_is_told_of_another_payment_is_not_about_the_refund(news: object) -> None:
    assert hear(ASKED, news) == Step(ASKED)
