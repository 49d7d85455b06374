"""Small things about sold jobs that are easily got wrong, each found by a mistake made on purpose."""

import pytest

from pylon.core.job_machine import (
    CancelAsked,
    CancelInvoice,
    Credit,
    Held,
    InvoiceClosed,
    InvoiceMade,
    MakeInvoice,
    News,
    Paid,
    Published,
    SettleHold,
    Step,
    TimePassed,
    Undeliverable,
    WorkFailed,
    advance,
    begin,
    due,
)
from pylon.model.ids import EventId, PaymentHash, Preimage
from pylon.model.job import (
    Cancelled,
    Delivered,
    Expired,
    Failed,
    Finished,
    JobState,
    Offered,
    Received,
    Settled,
    Settling,
    Unpaid,
    Working,
)
from pylon.model.money import Msat, PayMode
from pylon.model.wallet import IssuedInvoice
from tests.market.actors import a_job, a_paid_job
from tests.nostr import NOW

OURS, FOREIGN = PaymentHash("11" * 32), PaymentHash("22" * 32)
SECRET = Preimage("5e" * 32)
RESULT, OTHER = EventId("a" * 64), EventId("b" * 64)
INVOICE = IssuedInvoice("lnbcrt1", OURS, Msat(12_000), NOW, NOW + 600, SECRET)
JOB = a_paid_job()

OFFERED = Offered(INVOICE)
WORKING = Working(NOW + 300, invoice=INVOICE, held=True, settle_by=NOW + 900)
FINISHED = Finished(RESULT, give_up_at=NOW + 600, invoice=INVOICE, held=True)
DELIVERED, SETTLING = Delivered(RESULT, INVOICE), Settling(RESULT, INVOICE)
EXPIRED, UNPAID = Expired(OURS), Unpaid(RESULT, OURS, "not paid in time")
FAILED, CANCELLED = Failed("out of memory", invoice=OURS), Cancelled(invoice=OURS)


def test_an_act_does_not_show_the_preimage_it_settles_with() -> None:
    assert SECRET not in repr(SettleHold(SECRET))


def test_only_a_locked_job_needs_to_know_the_preimage_of_an_ordinary_invoice() -> None:
    def asked(mode: PayMode) -> MakeInvoice:
        (act,) = begin(a_job(mode=mode, price=Msat(12_000)), NOW).acts
        assert isinstance(act, MakeInvoice)
        return act

    assert asked(PayMode.LOCKED).knows_preimage is True
    assert asked(PayMode.PREPAY).knows_preimage is False


def test_the_wallet_has_as_long_to_make_an_invoice_as_the_offer_would_stand() -> None:
    assert due(JOB, Received()) == JOB.accepted_at + JOB.offer_seconds


def test_a_job_called_off_before_it_has_an_invoice_leaves_nothing_to_do() -> None:
    assert advance(JOB, Received(), CancelAsked(), NOW) == Step(Cancelled())


@pytest.mark.parametrize("mode", [PayMode.HOLD, PayMode.LOCKED, PayMode.HOLD_LOCKED])
def test_an_invoice_whose_preimage_is_kept_from_us_is_withdrawn(mode: PayMode) -> None:
    kept = IssuedInvoice("lnbcrt1", OURS, Msat(12_000), NOW, NOW + 600)
    step = advance(a_job(mode=mode, price=Msat(12_000)), Received(), InvoiceMade(kept), NOW)
    assert isinstance(step.state, Failed)
    assert step.state.invoice == OURS
    assert CancelInvoice(OURS) in step.acts


@pytest.mark.parametrize(
    ("state", "news"),
    [
        (OFFERED, Paid(FOREIGN)),
        (OFFERED, Held(FOREIGN, NOW + 9_000)),
        (OFFERED, InvoiceClosed(FOREIGN)),
        (WORKING, Paid(FOREIGN)),
        (WORKING, Held(FOREIGN)),
        (WORKING, InvoiceClosed(FOREIGN)),
        (FINISHED, Paid(FOREIGN)),
        (FINISHED, Held(FOREIGN)),
        (FINISHED, InvoiceClosed(FOREIGN)),
        (FINISHED, Published(OTHER)),
        (FINISHED, Undeliverable(OTHER, "blocked")),
        (DELIVERED, Paid(FOREIGN)),
        (DELIVERED, Held(FOREIGN)),
        (DELIVERED, InvoiceClosed(FOREIGN)),
        (SETTLING, Paid(FOREIGN)),
        (SETTLING, InvoiceClosed(FOREIGN)),
        (EXPIRED, Paid(FOREIGN)),
        (UNPAID, Paid(FOREIGN)),
        (FAILED, Paid(FOREIGN)),
        (CANCELLED, Paid(FOREIGN)),
    ],
)
def test_news_of_somebody_elses_payment_or_event_changes_nothing(
    state: JobState, news: News
) -> None:
    assert advance(JOB, state, news, NOW) == Step(state)


@pytest.mark.parametrize(
    ("state", "news", "after"),
    [
        (OFFERED, InvoiceClosed(OURS), Expired(OURS)),
        (FINISHED, InvoiceClosed(OURS), Unpaid(RESULT, OURS, "the payment went back")),
        (FINISHED, Published(RESULT), SETTLING),
        (DELIVERED, InvoiceClosed(OURS), UNPAID),
        (SETTLING, Paid(OURS), Settled(RESULT, OURS)),
        (UNPAID, Paid(OURS), Settled(RESULT, OURS)),
    ],
)
def test_news_of_our_own_does(state: JobState, news: News, after: JobState) -> None:
    assert advance(JOB, state, news, NOW).state == after


@pytest.mark.parametrize("state", [DELIVERED, SETTLING, UNPAID])
def test_what_is_paid_for_a_result_is_credited_once(state: JobState) -> None:
    step = advance(JOB, state, Paid(OURS), NOW)
    assert step.acts == (Credit(OURS, JOB.price),)
    assert advance(JOB, step.state, Paid(OURS), NOW) == Step(step.state)


def test_work_that_fails_gives_back_what_is_held_and_owes_nothing() -> None:
    step = advance(JOB, WORKING, WorkFailed("out of memory"), NOW)
    assert step.state == Failed("out of memory", invoice=OURS)
    assert step.acts[0] == CancelInvoice(OURS)


def test_work_that_takes_too_long_gives_back_what_is_held() -> None:
    step = advance(JOB, WORKING, TimePassed(), WORKING.deadline)
    assert step.state == Failed("the work took too long", invoice=OURS)
    assert CancelInvoice(OURS) in step.acts
