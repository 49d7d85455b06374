"""What each piece of news does to a sold job, one step at a time; whole lives are in test_job_life."""

from hashlib import sha256

import pytest
from attrs import evolve

from pylon.core.job_machine import (
    DELIVERY_SECONDS,
    PAYMENT_GRACE_SECONDS,
    SETTLE_SECONDS,
    Answered,
    CancelAsked,
    CancelInvoice,
    Credit,
    Deliver,
    Held,
    InvoiceClosed,
    InvoiceImpossible,
    InvoiceMade,
    MakeHoldInvoice,
    MakeInvoice,
    News,
    Paid,
    Published,
    RefundAsked,
    Run,
    Say,
    SettleHold,
    Step,
    StopWork,
    TimePassed,
    Undeliverable,
    WorkFailed,
    advance,
    begin,
    due,
    is_final,
    news_of,
    open_invoice,
    refuse,
)
from pylon.model.event import Event
from pylon.model.ids import EventId, JobId, PaymentHash, Preimage, PublicKey
from pylon.model.inference import Message, Prompt
from pylon.model.job import (
    Cancelled,
    Delivered,
    Encryption,
    Expired,
    Failed,
    FeedbackStatus,
    Finished,
    Job,
    JobState,
    Offered,
    Received,
    Refund,
    Refunded,
    Refused,
    Settled,
    Settling,
    Unpaid,
    Working,
)
from pylon.model.money import ZERO, Msat, PayMode
from pylon.model.wallet import InvoiceState, InvoiceStatus, IssuedInvoice

START = 1_000
PRICE = Msat(21_000)
SECRET = Preimage("5e" * 32)
OURS, FOREIGN = PaymentHash(sha256(bytes.fromhex(SECRET)).hexdigest()), PaymentHash("22" * 32)


def event(id_: str, kind: int) -> Event:
    return Event(EventId(id_), PublicKey("aa" * 32), START, kind, (), "", "")


RESULT = event("result", 6050)
INVOICE = IssuedInvoice("lnbcrt1", OURS, PRICE, START, START + 100)
KEYED = evolve(INVOICE, preimage=SECRET)


def a_job(mode: PayMode = PayMode.PREPAY) -> Job:
    return Job(
        JobId(EventId("request")),
        event("request", 5050),
        Prompt((Message("user", "2+2?"),)),
        backend="embedded",
        model="smol",
        mode=mode,
        price=ZERO if mode is PayMode.FREE else PRICE,
        encryption=Encryption.NONE,
        accepted_at=START,
        offer_seconds=100,
        work_seconds=60,
    )


def live(job: Job, *news: News, now: int = START) -> Step:
    """Tell a new job the news, all at `now`; return the last step."""
    step = begin(job, now)
    for item in news:
        step = advance(job, step.state, item, now)
    return step


def test_a_paid_job_is_worked_on_delivered_and_credited() -> None:
    job = a_job()
    assert begin(job, START) == Step(Received(), (MakeInvoice(PRICE, 100),))
    offer = Say(FeedbackStatus.PAYMENT_REQUIRED, invoice=INVOICE)
    assert live(job, InvoiceMade(INVOICE)) == Step(Offered(INVOICE), (offer,))
    work = (Say(FeedbackStatus.PROCESSING), Run(START + 60))
    assert live(job, InvoiceMade(INVOICE), Paid(OURS)) == Step(Working(START + 60, OURS), work)
    step = live(job, InvoiceMade(INVOICE), Paid(OURS), Answered(RESULT))
    assert step.state == Finished(RESULT.id, OURS, give_up_at=START + DELIVERY_SECONDS)
    assert step.acts == (Deliver(RESULT), Say(FeedbackStatus.SUCCESS))
    step = advance(job, step.state, Published(RESULT.id), START)
    assert step == Step(Settled(RESULT.id, OURS), (Credit(OURS, PRICE),))


def test_feedback_on_the_relays_is_not_yet_the_answer() -> None:
    news = (Answered(RESULT), Published(EventId("feedback")))
    assert isinstance(live(a_job(PayMode.FREE), *news).state, Finished)


def test_free_work_starts_at_once_and_earns_nothing() -> None:
    step = live(a_job(PayMode.FREE), Answered(RESULT), Published(RESULT.id))
    assert step == Step(Settled(RESULT.id))


def test_a_refused_job_says_why_and_is_over() -> None:
    step = refuse("no such model")
    assert step == Step(Refused("no such model"), (Say(FeedbackStatus.ERROR, "no such model"),))
    assert is_final(step.state)
    assert advance(a_job(), step.state, Paid(OURS), START) == Step(step.state)


def test_a_late_payment_after_expiry_is_owed_back() -> None:
    job, late = a_job(), INVOICE.expires_at + PAYMENT_GRACE_SECONDS
    offered = live(job, InvoiceMade(INVOICE)).state
    step = advance(job, offered, TimePassed(), late)
    assert step == Step(Offered(INVOICE, closing=True), (CancelInvoice(OURS),))
    assert advance(job, step.state, InvoiceClosed(FOREIGN), late) == Step(step.state)
    step = advance(job, step.state, InvoiceClosed(OURS), late)
    assert step == Step(Expired(OURS))
    step = advance(job, step.state, Paid(OURS), late + 1)
    assert isinstance(step.state, Failed)
    assert (step.state.paid, step.state.owed) == (OURS, PRICE)
    assert isinstance(step.acts[0], Say)


def test_an_offer_that_was_paid_while_nobody_looked_is_worked_on() -> None:
    job, late = a_job(), INVOICE.expires_at + PAYMENT_GRACE_SECONDS
    closing = advance(job, live(job, InvoiceMade(INVOICE)).state, TimePassed(), late).state
    assert advance(job, closing, TimePassed(), late + 1) == Step(closing)
    assert advance(job, closing, Paid(OURS), late + 1).state == Working(late + 61, OURS)


def test_a_cancel_while_an_invoice_is_withdrawn_does_not_withdraw_it_again() -> None:
    job, late = a_job(), INVOICE.expires_at + PAYMENT_GRACE_SECONDS
    closing = advance(job, live(job, InvoiceMade(INVOICE)).state, TimePassed(), late).state
    assert advance(job, closing, CancelAsked(), late + 1) == Step(Cancelled(invoice=OURS))


def test_a_payment_in_the_last_second_still_starts_the_work() -> None:
    job = a_job()
    offered = live(job, InvoiceMade(INVOICE)).state
    just_before = INVOICE.expires_at + PAYMENT_GRACE_SECONDS - 1
    assert advance(job, offered, TimePassed(), just_before) == Step(offered)
    assert isinstance(advance(job, offered, Paid(OURS), just_before).state, Working)


def test_a_second_invoice_for_the_same_job_changes_nothing() -> None:
    again = IssuedInvoice("lnbcrt2", FOREIGN, PRICE, START, START + 200)
    step = live(a_job(), InvoiceMade(INVOICE), InvoiceMade(again))
    assert step == Step(Offered(INVOICE))


@pytest.mark.parametrize("news", [Paid(FOREIGN), Published(RESULT.id), Answered(RESULT)])
def test_only_our_own_invoice_starts_the_work(news: News) -> None:
    assert live(a_job(), InvoiceMade(INVOICE), news) == Step(Offered(INVOICE))


def test_a_wallet_without_invoices_fails_the_job_and_owes_nothing() -> None:
    step = live(a_job(), InvoiceImpossible("no inbound liquidity"))
    assert step.state == Failed("no inbound liquidity")


def test_a_wallet_that_never_answers_fails_the_job_when_the_offer_would_end() -> None:
    job = a_job()
    assert advance(job, Received(), TimePassed(), START + 99) == Step(Received())
    assert isinstance(advance(job, Received(), TimePassed(), START + 100).state, Failed)


def test_work_that_fails_after_payment_is_owed_back() -> None:
    step = live(a_job(), InvoiceMade(INVOICE), Paid(OURS), WorkFailed("model unloaded"))
    assert step.state == Failed("model unloaded", OURS, PRICE)


def test_work_past_its_deadline_is_stopped_and_owed_back() -> None:
    job = a_job()
    working = live(job, InvoiceMade(INVOICE), Paid(OURS)).state
    assert advance(job, working, TimePassed(), START + 59) == Step(working)
    step = advance(job, working, TimePassed(), START + 60)
    assert step.state == Failed("the work took too long", OURS, PRICE)
    assert step.acts[0] == StopWork()


def test_a_cancel_in_mid_run_stops_the_work_and_owes_what_was_paid() -> None:
    step = live(a_job(), InvoiceMade(INVOICE), Paid(OURS), CancelAsked())
    said = Say(FeedbackStatus.ERROR, "called off by its author", refund=PRICE)
    assert step == Step(Cancelled(paid=OURS, owed=PRICE), (StopWork(), said))
    step = live(a_job(PayMode.FREE), CancelAsked())
    assert step == Step(Cancelled(), (StopWork(),))


def test_what_is_told_piece_by_piece_and_paid_for_is_not_called_off_any_more() -> None:
    """Or else a customer would read all of an answer but its end, and have the money back."""
    paid = live(evolve(a_job(), streaming=True), InvoiceMade(INVOICE), Paid(OURS))
    told = evolve(a_job(PayMode.HOLD), streaming=True)
    held = live(told, InvoiceMade(KEYED), Held(OURS, START + 10_000))
    given = live(evolve(a_job(PayMode.FREE), streaming=True))
    for step in (paid, held):
        assert isinstance(step.state, Working)
        assert advance(told, step.state, CancelAsked(), START) == Step(step.state)
    assert advance(told, given.state, CancelAsked(), START) == Step(Cancelled(), (StopWork(),))


def test_a_payment_that_crosses_a_cancel_is_owed_back_once() -> None:
    step = live(a_job(), InvoiceMade(INVOICE), CancelAsked())
    assert step == Step(Cancelled(invoice=OURS), (CancelInvoice(OURS),))
    step = live(a_job(), InvoiceMade(INVOICE), CancelAsked(), Paid(OURS), Paid(OURS))
    assert step == Step(Cancelled(paid=OURS, owed=PRICE))


def test_a_cancel_after_the_answer_is_too_late() -> None:
    step = live(a_job(PayMode.FREE), Answered(RESULT), CancelAsked())
    assert isinstance(step.state, Finished)


def test_delivered_and_unpaid_is_told_apart_from_failed() -> None:
    delivered = live(a_job(PayMode.FREE), Answered(RESULT), Published(RESULT.id)).state
    failed = live(a_job(PayMode.FREE), WorkFailed("empty answer")).state
    assert delivered == Settled(RESULT.id, paid=None)
    assert failed == Failed("empty answer", paid=None, owed=ZERO)


def test_a_result_every_relay_refuses_is_owed_back() -> None:
    news = (InvoiceMade(INVOICE), Paid(OURS), Answered(RESULT))
    step = live(a_job(), *news, Undeliverable(RESULT.id, "too large"))
    assert step.state == Failed("no relay takes the result: too large", OURS, PRICE)
    kept = live(a_job(), *news, Undeliverable(EventId("feedback"), "too large"))
    assert isinstance(kept.state, Finished)


def test_a_result_no_relay_answers_for_is_owed_back_after_a_day() -> None:
    job = a_job()
    finished = live(job, InvoiceMade(INVOICE), Paid(OURS), Answered(RESULT)).state
    assert due(job, finished) == START + DELIVERY_SECONDS
    assert advance(job, finished, TimePassed(), START + DELIVERY_SECONDS - 1) == Step(finished)
    step = advance(job, finished, TimePassed(), START + DELIVERY_SECONDS)
    assert step.state == Failed("no relay took the result in time", OURS, PRICE)


# Held payments


def held(*news: News, mode: PayMode = PayMode.HOLD) -> Step:
    """Tell a job whose payment is held the news."""
    return live(a_job(mode), InvoiceMade(KEYED), Held(OURS, START + 3_600), *news)


def test_a_held_job_is_worked_on_delivered_and_then_settled() -> None:
    job = a_job(PayMode.HOLD)
    make = MakeHoldInvoice(PRICE, 100, 60 + 2 * SETTLE_SECONDS)
    assert begin(job, START) == Step(Received(), (make,))
    working = Working(START + 60, None, KEYED, held=True, settle_by=START + 3_600)
    assert held() == Step(working, (Say(FeedbackStatus.PROCESSING), Run(START + 60)))
    step = held(Answered(RESULT))
    assert step.acts == (Deliver(RESULT), Say(FeedbackStatus.SUCCESS))
    step = held(Answered(RESULT), Published(RESULT.id))
    assert step == Step(Settling(RESULT.id, KEYED), (SettleHold(SECRET),))
    step = held(Answered(RESULT), Published(RESULT.id), Paid(OURS))
    assert step == Step(Settled(RESULT.id, OURS), (Credit(OURS, PRICE),))


@pytest.mark.parametrize(
    "news",
    [
        (WorkFailed("out of memory"),),
        (Answered(RESULT), Undeliverable(RESULT.id, "too large")),
        (CancelAsked(),),
    ],
    ids=["the work fails", "no relay takes the result", "cancel mid-run"],
)
def test_whatever_fails_gives_back_what_is_held(news: tuple[News, ...]) -> None:
    step = held(*news)
    assert CancelInvoice(OURS) in step.acts
    assert isinstance(step.state, Failed | Cancelled)
    assert (step.state.invoice, step.state.owed) == (OURS, ZERO)
    late = advance(a_job(PayMode.HOLD), step.state, Published(RESULT.id), START)
    assert late == Step(step.state), "settled after it was cancelled"


@pytest.mark.parametrize(
    "state",
    [
        Expired(OURS),
        Cancelled(invoice=OURS),
        Failed("no", invoice=OURS),
        Unpaid(RESULT.id, OURS, "not paid in time"),
    ],
    ids=lambda state: type(state).__name__,
)
def test_money_that_is_held_after_the_end_is_given_back(state: JobState) -> None:
    """A wallet whose clock is behind ours holds what came for an invoice that we took as expired."""
    job = a_job(PayMode.HOLD)
    assert advance(job, state, Held(OURS), START) == Step(state, (CancelInvoice(OURS),))
    assert advance(job, state, Held(FOREIGN), START) == Step(state)


def test_held_money_whose_wallet_says_no_deadline_is_held_for_as_long_as_was_asked() -> None:
    step = live(a_job(PayMode.HOLD), InvoiceMade(KEYED), Held(OURS))
    assert isinstance(step.state, Working)
    assert step.state.settle_by == START + 60 + 2 * SETTLE_SECONDS


@pytest.mark.parametrize(("room", "starts"), [(60 + SETTLE_SECONDS, True), (359, False)])
def test_work_starts_only_when_the_deadline_of_the_hold_leaves_room(
    room: int, *, starts: bool
) -> None:
    step = live(a_job(PayMode.HOLD), InvoiceMade(KEYED), Held(OURS, START + room))
    assert isinstance(step.state, Working) == starts
    assert (CancelInvoice(OURS) in step.acts) == (not starts)


def test_the_deadline_of_a_hold_that_passes_while_working_stops_the_work() -> None:
    step = held(InvoiceClosed(OURS))
    assert isinstance(step.state, Failed)
    assert step.state.owed == ZERO
    assert step.acts[0] == StopWork()


def test_a_result_that_is_not_published_well_before_the_hold_ends_is_given_up() -> None:
    finished = held(Answered(RESULT)).state
    give_up = START + 3_600 - SETTLE_SECONDS
    job = a_job(PayMode.HOLD)
    assert due(job, finished) == give_up
    assert advance(job, finished, TimePassed(), give_up - 1) == Step(finished)
    assert CancelInvoice(OURS) in advance(job, finished, TimePassed(), give_up).acts


def test_a_hold_that_goes_back_before_it_is_settled_was_delivered_and_not_paid() -> None:
    step = held(Answered(RESULT), Published(RESULT.id), InvoiceClosed(OURS))
    assert step.state == Unpaid(RESULT.id, OURS, "the payment went back before it was settled")
    step = held(Answered(RESULT), InvoiceClosed(OURS))
    assert step.state == Unpaid(RESULT.id, OURS, "the payment went back")


def test_settle_is_asked_for_once_and_never_with_a_cancel() -> None:
    delivered = (Answered(RESULT), Published(RESULT.id))
    again = held(*delivered, Published(RESULT.id))
    assert again == Step(Settling(RESULT.id, KEYED))
    assert held(*delivered, CancelAsked()) == again
    assert held(*delivered, WorkFailed("late")) == again
    assert due(a_job(PayMode.HOLD), again.state) is None


def test_money_that_comes_while_an_offer_is_withdrawn_is_not_worked_for() -> None:
    job, late = a_job(PayMode.HOLD), KEYED.expires_at + PAYMENT_GRACE_SECONDS
    closing = advance(job, live(job, InvoiceMade(KEYED)).state, TimePassed(), late).state
    assert advance(job, closing, Held(OURS, late + 3_600), late) == Step(closing)


def test_a_held_payment_that_was_settled_by_hand_is_paid() -> None:
    assert held(Paid(OURS)).state == Working(START + 60, OURS)
    step = held(Answered(RESULT), Paid(OURS), Published(RESULT.id))
    assert step == Step(Settled(RESULT.id, OURS), (Credit(OURS, PRICE),))
    step = held(Paid(OURS), WorkFailed("late"))
    assert step.state == Failed("late", OURS, PRICE)


def test_a_payment_that_settles_after_the_work_has_failed_is_owed() -> None:
    failed = held(WorkFailed("out of memory"))
    step = advance(a_job(PayMode.HOLD), failed.state, Paid(OURS), START)
    assert step == Step(OWED, (Say(FeedbackStatus.ERROR, "out of memory", refund=PRICE),))
    assert advance(a_job(PayMode.HOLD), failed.state, Paid(FOREIGN), START) == Step(failed.state)


# Locked results


def locked(*news: News) -> Step:
    """Tell a job whose result is for sale the news."""
    return live(a_job(PayMode.LOCKED), InvoiceMade(KEYED), *news)


DELIVERED = (Answered(RESULT), Published(RESULT.id))


def test_a_locked_job_is_worked_on_first_and_paid_when_it_is_delivered() -> None:
    job = a_job(PayMode.LOCKED)
    assert begin(job, START) == Step(Received(), (MakeInvoice(PRICE, 160, knows_preimage=True),))
    work = (Say(FeedbackStatus.PROCESSING), Run(START + 60))
    assert locked() == Step(Working(START + 60, None, KEYED), work)
    assert locked(*DELIVERED) == Step(Delivered(RESULT.id, KEYED))
    step = locked(*DELIVERED, Paid(OURS))
    assert step == Step(Settled(RESULT.id, OURS), (Credit(OURS, PRICE),))


@pytest.mark.parametrize("mode", [PayMode.LOCKED, PayMode.HOLD, PayMode.HOLD_LOCKED])
def test_nothing_is_begun_with_an_invoice_whose_preimage_is_not_known(mode: PayMode) -> None:
    step = live(a_job(mode), InvoiceMade(INVOICE))
    assert isinstance(step.state, Failed)
    assert step.acts[0] == CancelInvoice(OURS)


def test_delivered_and_never_paid_is_told_apart_from_failed() -> None:
    job, delivered = a_job(PayMode.LOCKED), locked(*DELIVERED).state
    late = KEYED.expires_at + PAYMENT_GRACE_SECONDS
    assert due(job, delivered) == late
    closing = advance(job, delivered, TimePassed(), late)
    assert closing == Step(Delivered(RESULT.id, KEYED, closing=True), (CancelInvoice(OURS),))
    assert advance(job, closing.state, TimePassed(), late) == Step(closing.state)
    step = advance(job, closing.state, InvoiceClosed(OURS), late)
    assert step == Step(Unpaid(RESULT.id, OURS, "not paid in time"))
    assert is_final(step.state)


def test_a_late_payment_for_a_locked_result_is_earned() -> None:
    job, unpaid = a_job(PayMode.LOCKED), Unpaid(RESULT.id, OURS, "not paid in time")
    step = advance(job, unpaid, Paid(OURS), START)
    assert step == Step(Settled(RESULT.id, OURS), (Credit(OURS, PRICE),))
    assert advance(job, unpaid, Paid(FOREIGN), START) == Step(unpaid)


def test_a_locked_result_sold_over_a_hold_is_settled_at_once() -> None:
    settling = Step(Settling(RESULT.id, KEYED), (SettleHold(SECRET),))
    assert locked(*DELIVERED, Held(OURS)) == settling
    assert locked(Answered(RESULT), Held(OURS), Published(RESULT.id)) == settling
    assert locked(Held(OURS), *DELIVERED) == settling


def test_a_hold_that_comes_while_the_sale_ends_is_given_back() -> None:
    job, late = a_job(PayMode.LOCKED), KEYED.expires_at + PAYMENT_GRACE_SECONDS
    closing = advance(job, locked(*DELIVERED).state, TimePassed(), late).state
    assert advance(job, closing, Held(OURS), late) == Step(closing)


def test_locked_work_that_fails_costs_nothing_and_cannot_be_paid() -> None:
    step = locked(WorkFailed("out of memory"))
    assert step.state == Failed("out of memory", None, ZERO, OURS)
    assert step.acts == (CancelInvoice(OURS), Say(FeedbackStatus.ERROR, "out of memory"))


# What is owed; how it is paid back is in test_job_refunds

OWED = Failed("out of memory", OURS, PRICE)
REFUND = Refund("lnbcrt9", PaymentHash("99" * 32), Msat(5_000))


@pytest.mark.parametrize(
    "state",
    [
        Failed("never paid"),
        Failed("held", invoice=OURS),
        Cancelled(invoice=OURS),
        Settled(RESULT.id, OURS),
        Expired(OURS),
        Unpaid(RESULT.id, OURS, "not paid in time"),
        Refunded("out of memory", OURS, PRICE, FOREIGN, SECRET),
    ],
)
def test_nothing_is_paid_back_that_is_not_owed(state: JobState) -> None:
    assert advance(a_job(), state, RefundAsked(REFUND, PRICE), START) == Step(state)
    assert is_final(state)


def test_a_failure_that_owes_money_says_so() -> None:
    step = live(a_job(), InvoiceMade(INVOICE), Paid(OURS), WorkFailed("out of memory"))
    assert step == Step(OWED, (Say(FeedbackStatus.ERROR, "out of memory", refund=PRICE),))


# What the wallet says


@pytest.mark.parametrize(
    ("state", "news"),
    [
        (InvoiceState.ACCEPTED, Held(OURS, START + 9)),
        (InvoiceState.SETTLED, Paid(OURS)),
        (InvoiceState.CANCELLED, InvoiceClosed(OURS)),
        (InvoiceState.OPEN, None),
        (InvoiceState.EXPIRED, None),
    ],
)
def test_an_expired_invoice_is_no_news_until_its_last_second_has_passed(
    state: InvoiceState, news: News | None
) -> None:
    assert news_of(InvoiceStatus(OURS, state, settle_deadline=START + 9)) == news


@pytest.mark.parametrize(
    ("state", "invoice"),
    [
        (Offered(KEYED), KEYED),
        (Working(START, None, KEYED), KEYED),
        (Finished(RESULT.id, give_up_at=START, invoice=KEYED), KEYED),
        (Delivered(RESULT.id, KEYED), KEYED),
        (Settling(RESULT.id, KEYED), KEYED),
        (Received(), None),
        (Working(START, OURS), None),
        (Settled(RESULT.id, OURS), None),
    ],
)
def test_an_invoice_is_watched_for_as_long_as_it_may_change(
    state: JobState, invoice: IssuedInvoice | None
) -> None:
    assert open_invoice(state) == invoice
