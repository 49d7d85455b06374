"""No order of events can cheat a customer, or the node."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pylon.core.job_machine import (
    DELIVERY_SECONDS,
    PAYMENT_GRACE_SECONDS,
    Act,
    Answered,
    CancelAsked,
    CancelInvoice,
    Credit,
    Deliver,
    InvoiceClosed,
    InvoiceImpossible,
    InvoiceMade,
    MakeInvoice,
    News,
    Paid,
    Published,
    Run,
    Say,
    Step,
    StopWork,
    TimePassed,
    Undeliverable,
    WorkFailed,
    advance,
    begin,
    due,
    is_final,
    refuse,
)
from pylon.model.event import Event
from pylon.model.ids import EventId, JobId, PaymentHash, PublicKey
from pylon.model.inference import Message, Prompt
from pylon.model.job import (
    Cancelled,
    Encryption,
    Expired,
    Failed,
    FeedbackStatus,
    Finished,
    Job,
    JobState,
    Offered,
    Received,
    Refused,
    Settled,
    Working,
)
from pylon.model.money import ZERO, Msat, PayMode
from pylon.model.wallet import IssuedInvoice

START = 1_000
PRICE = Msat(21_000)
OURS, FOREIGN = PaymentHash("11" * 32), PaymentHash("22" * 32)
HASHES = st.sampled_from([OURS, FOREIGN])


def event(id_: str, kind: int) -> Event:
    return Event(EventId(id_), PublicKey("aa" * 32), START, kind, (), "", "")


RESULT, OTHER_RESULT = event("result", 6050), event("other", 6050)
RESULTS = st.sampled_from([RESULT, OTHER_RESULT])
IDS = st.sampled_from([RESULT.id, OTHER_RESULT.id, EventId("feedback")])
INVOICE = IssuedInvoice("lnbcrt1", OURS, PRICE, START, START + 100)
INVOICES = st.sampled_from([INVOICE, IssuedInvoice("lnbcrt2", FOREIGN, PRICE, START, START + 200)])


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


class JobLife(RuleBasedStateMachine):
    """Throw news at a job in any order, early, late, foreign, each twice."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.acts: list[Act] = []
        self.was_paid = False
        self.published: set[EventId] = set()
        self.ends = 0

    @initialize(mode=st.sampled_from([PayMode.FREE, PayMode.PREPAY]))
    def a_job_is_admitted(self, mode: PayMode) -> None:
        self.job = a_job(mode)
        step = begin(self.job, self.now)
        self.state: JobState = step.state
        self.acts.extend(step.acts)

    def tell(self, news: News) -> None:
        before = self.state
        self.was_paid |= isinstance(news, Paid) and news.payment_hash in self.offered()
        step = advance(self.job, before, news, self.now)
        if isinstance(news, TimePassed) and self.now < (due(self.job, before) or self.now + 1):
            assert step == Step(before), "it was too early"
        if isinstance(news, Published):
            self.published.add(news.event_id)
        assert advance(self.job, step.state, news, self.now) == Step(step.state)
        if is_final(before):
            assert is_final(step.state), "what has ended has begun again"
            assert step.state == before or isinstance(news, Paid), "only late money still counts"
        self.ends += is_final(step.state) and not is_final(before)
        self.state = step.state
        self.acts.extend(step.acts)

    def offered(self) -> list[PaymentHash]:
        said = (act for act in self.acts if isinstance(act, Say))
        return [act.invoice.payment_hash for act in said if act.invoice]

    def count(self, kind: type[Act]) -> int:
        return sum(isinstance(act, kind) for act in self.acts)

    def said(self, status: FeedbackStatus) -> int:
        return sum(isinstance(act, Say) and act.status is status for act in self.acts)

    @precondition(lambda self: not is_final(self.state))
    @rule()
    def things_go_on_as_hoped(self) -> None:
        match self.state:
            case Received():
                self.tell(InvoiceMade(INVOICE))
            case Offered(invoice, closing=True):
                self.tell(InvoiceClosed(invoice.payment_hash))
            case Offered(invoice):
                self.tell(Paid(invoice.payment_hash))
            case Working():
                self.tell(Answered(RESULT))
            case Finished(result):
                self.tell(Published(result))

    @rule(seconds=st.sampled_from([0, 1, 20, 60, 150]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        self.tell(TimePassed())

    @rule(seconds=st.sampled_from([0, 1, 20, 100, 90_000]))
    def nobody_looks_for_a_while(self, seconds: int) -> None:
        self.now += seconds

    @rule(
        news=st.one_of(
            st.builds(InvoiceMade, INVOICES),
            st.builds(Paid, HASHES),
            st.builds(InvoiceClosed, HASHES),
            st.builds(Answered, RESULTS),
            st.builds(Published, IDS),
            st.builds(Undeliverable, IDS, st.just("blocked")),
        )
    )
    def something_is_heard_at_any_time(self, news: News) -> None:
        self.tell(news)

    @rule(
        news=st.sampled_from(
            [InvoiceImpossible("no route in"), WorkFailed("out of memory"), CancelAsked()]
        ),
        luck=st.integers(0, 5),
    )
    def something_ends_it_early(self, news: News, luck: int) -> None:
        if not luck:
            self.tell(news)

    def teardown(self) -> None:
        """Time alone ends what has not ended, but for what only the wallet knows."""
        if when := due(self.job, self.state):
            self.now = max(self.now, when)
            self.tell(TimePassed())
        if isinstance(self.state, Offered):
            assert self.count(CancelInvoice) == 1, "nothing would ever end this state"
            self.tell(InvoiceClosed(self.state.invoice.payment_hash))
        assert is_final(self.state)

    @invariant()
    def nothing_is_computed_before_payment(self) -> None:
        assert self.was_paid or self.job.mode is PayMode.FREE or not self.count(Run)

    @invariant()
    def nothing_is_delivered_that_was_not_computed(self) -> None:
        assert self.count(Deliver) <= self.count(Run)

    @invariant()
    def everything_happens_at_most_once(self) -> None:
        for kind in (MakeInvoice, CancelInvoice, Run, StopWork, Deliver, Credit):
            assert self.count(kind) <= 1
        for status in FeedbackStatus:
            assert self.said(status) <= 1

    @invariant()
    def it_ends_at_most_once(self) -> None:
        assert self.ends == is_final(self.state)

    @invariant()
    def a_payment_is_used_or_owed_and_never_dropped(self) -> None:
        match self.state:
            case Working(paid=paid) | Finished(paid=paid) | Settled(paid=paid):
                assert (paid is not None) == self.was_paid
            case Failed(paid=paid, owed=owed) | Cancelled(paid=paid, owed=owed):
                assert (paid is not None) == self.was_paid
                assert owed == (PRICE if self.was_paid else ZERO)
            case _:
                assert not self.was_paid

    @invariant()
    def an_earning_is_counted_when_the_customer_has_the_answer(self) -> None:
        assert self.count(Credit) == (self.was_paid and isinstance(self.state, Settled))

    @invariant()
    def the_customer_is_told_how_it_ended(self) -> None:
        if isinstance(self.state, Failed):
            assert self.said(FeedbackStatus.ERROR)
        if isinstance(self.state, Settled):
            assert self.said(FeedbackStatus.SUCCESS) == 1
            assert self.state.result in self.published

    @invariant()
    def only_what_has_ended_waits_for_nothing(self) -> None:
        asks_wallet = isinstance(self.state, Offered) and self.state.closing
        assert (due(self.job, self.state) is None) == (is_final(self.state) or asks_wallet)


TestJobLife = JobLife.TestCase
TestJobLife.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)


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
