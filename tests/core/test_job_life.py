"""A job in an honest wallet's world, where everything may happen late, twice, or not at all.

The world keeps its own books: what the wallet holds, what the relays have, what was paid back. The
machine sees none of that but by news, and its acts are carried out in any order, some of them twice.
"""

from collections.abc import Callable
from hashlib import sha256

from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from pylon.core.job_machine import (
    HELD_FIRST,
    SETTLE_SECONDS,
    Act,
    Answered,
    CancelAsked,
    CancelInvoice,
    Credit,
    Deliver,
    Held,
    InvoiceClosed,
    InvoiceImpossible,
    InvoiceMade,
    LookUpRefund,
    MakeHoldInvoice,
    MakeInvoice,
    News,
    Paid,
    PayRefund,
    Published,
    RefundAsked,
    RefundPaid,
    RefundRefused,
    RefundUncertain,
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
    hold_seconds,
    is_final,
    news_of,
    open_invoice,
)
from pylon.model.event import Event
from pylon.model.ids import EventId, JobId, PaymentHash, Preimage, PublicKey
from pylon.model.inference import Message, Prompt
from pylon.model.job import (
    Cancelled,
    Encryption,
    Expired,
    Failed,
    FeedbackStatus,
    Job,
    JobState,
    Refund,
    Refunded,
    Refunding,
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
OURS = PaymentHash(sha256(bytes.fromhex(SECRET)).hexdigest())
FOREIGN = PaymentHash("22" * 32)
REFUNDS = tuple(
    Refund(f"lnbcrt{n}", PaymentHash(f"{n:064x}"), Msat(5_000), expires_at=expires_at)
    for n, expires_at in ((7, START), (8, START + 86_400))
)
PROOF = Preimage("77" * 32)
UNSAID = (MakeInvoice, MakeHoldInvoice, SettleHold, CancelInvoice, Run, Deliver, Credit)
ONCE = (*UNSAID, StopWork)


def event(id_: str, kind: int) -> Event:
    return Event(EventId(id_), PublicKey("aa" * 32), START, kind, (), "", "")


RESULT, OTHER_RESULT = event("result", 6050), event("other", 6050)


def a_job(mode: PayMode) -> Job:
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


class JobLife(RuleBasedStateMachine):
    """Lead a job through its world."""

    @initialize(mode=st.sampled_from(PayMode), over_hold=st.booleans(), luck=st.booleans())
    def a_job_is_admitted(self, mode: PayMode, *, over_hold: bool, luck: bool) -> None:
        self.job, self.now = a_job(mode), START
        self.lucky = luck  # nothing goes wrong by itself
        self.holds = mode in HELD_FIRST or (mode is PayMode.LOCKED and over_hold)
        self.invoice: IssuedInvoice | None = None  # as the wallet has it
        self.wallet = InvoiceState.OPEN
        self.deadline = 0  # of what is held
        self.untold: list[InvoiceStatus] = []  # changes that the wallet has not told of yet
        self.relays: set[EventId] = set()  # events that customers can read
        self.heard_published = False
        self.was_told_paid = False
        self.refunded: list[PaymentHash] = []  # invoices of the customer's that were really paid
        self.credited = 0
        self.acts: list[Act] = []
        self.pending: list[Act] = []
        self.ends = 0
        step = begin(self.job, self.now)
        self.state: JobState = step.state
        self._post(step)

    def _post(self, step: Step) -> None:
        self.acts.extend(step.acts)
        self.pending.extend(act for act in step.acts if not isinstance(act, Say | StopWork))
        if any(isinstance(act, StopWork) for act in step.acts):
            self.pending = [act for act in self.pending if not isinstance(act, Run)]

    def tell(self, news: News) -> None:
        before = self.state
        self.was_told_paid |= isinstance(news, Paid) and news.payment_hash == OURS
        in_time = not is_final(before)  # a relay may take a result that was given up long ago
        self.heard_published |= in_time and news == Published(RESULT.id)
        step = advance(self.job, before, news, self.now)
        if isinstance(news, TimePassed) and self.now < (due(self.job, before) or self.now + 1):
            assert step == Step(before), "it was too early"
        again = advance(self.job, step.state, news, self.now)
        if isinstance(news, Held) and is_final(step.state):  # given back, however often it is told
            again = evolve(again, acts=tuple(a for a in again.acts if a != CancelInvoice(OURS)))
        assert again == Step(step.state), "twice is once"
        late = isinstance(news, Held) and is_final(before)
        if is_final(before):
            assert is_final(step.state), "what has ended has begun again"
        self.ends += is_final(step.state) and not is_final(before)
        self.state = step.state
        if late:
            assert step in (Step(before), Step(before, (CancelInvoice(OURS),)))
            self.pending.extend(step.acts)
        else:
            self._post(step)

    # What the world does with acts. Each is carried out as often as it is called.

    def perform(self, act: Act, *, well: bool) -> list[News]:
        """Carry an act out; return what there is to tell, which may be nothing yet."""
        does: dict[type, Callable[..., list[News]]] = {
            MakeInvoice: self._make,
            MakeHoldInvoice: self._make,
            SettleHold: self._settle,
            CancelInvoice: self._cancel,
            Run: self._run,
            Deliver: self._deliver,
            Credit: self._credit,
            PayRefund: self._pay_refund,
            LookUpRefund: self._look_up_refund,
        }
        return does[type(act)](act, well=well)

    def _make(self, act: MakeInvoice | MakeHoldInvoice, *, well: bool) -> list[News]:
        if not well and self.invoice is None:
            return [InvoiceImpossible("no inbound liquidity")]
        if self.invoice is None:
            expires_at = self.now + act.expiry_seconds
            self.invoice = IssuedInvoice("lnbcrt1", OURS, PRICE, self.now, expires_at)
        knows = isinstance(act, MakeHoldInvoice) or act.knows_preimage
        return [InvoiceMade(evolve(self.invoice, preimage=SECRET if knows else None))]

    def _settle(self, act: SettleHold, *, well: bool) -> list[News]:
        assert act.preimage == SECRET
        if self.wallet is InvoiceState.ACCEPTED and well:
            assert RESULT.id in self.relays, "settled before anybody could read the result"
            self._change(InvoiceState.SETTLED)
        return self._ending()

    def _cancel(self, act: CancelInvoice, *, well: bool) -> list[News]:
        assert act.payment_hash == OURS
        if self.wallet in (InvoiceState.OPEN, InvoiceState.ACCEPTED) and well:
            self._change(InvoiceState.CANCELLED)
        return self._ending()

    def _ending(self) -> list[News]:
        if self.wallet is InvoiceState.SETTLED:
            return [Paid(OURS)]
        return [InvoiceClosed(OURS)] if self.wallet is InvoiceState.CANCELLED else []

    def _run(self, _: Run, *, well: bool) -> list[News]:
        return [Answered(RESULT) if well else WorkFailed("out of memory")]

    def _deliver(self, act: Deliver, *, well: bool) -> list[News]:
        if not well:
            return [Undeliverable(act.result.id, "blocked")]
        self.relays.add(act.result.id)
        return [Published(act.result.id)]

    def _credit(self, act: Credit, *, well: bool) -> list[News]:
        assert self.wallet is InvoiceState.SETTLED
        assert (act.payment_hash, act.amount) == (OURS, PRICE)
        self.credited = 1
        del well
        return []

    def _pay_refund(self, act: PayRefund, *, well: bool) -> list[News]:
        assert act.amount == PRICE
        ours = act.refund.payment_hash
        if well and ours not in self.refunded:
            self.refunded.append(ours)
        return [RefundUncertain(ours)]

    def _look_up_refund(self, act: LookUpRefund, *, well: bool) -> list[News]:
        del well
        if act.payment_hash in self.refunded:
            return [RefundPaid(act.payment_hash, PROOF)]
        return [RefundRefused(act.payment_hash)]

    def _change(self, state: InvoiceState) -> None:
        self.wallet = state
        deadline = self.deadline if state is InvoiceState.ACCEPTED else None
        self.untold.append(InvoiceStatus(OURS, state, settle_deadline=deadline))

    def _tell_change(self, status: InvoiceStatus) -> None:
        news = news_of(status)
        assert news is not None
        self.tell(news)

    # What can happen at any time.

    @rule(steps=st.integers(1, 4))
    def things_go_on_as_hoped(self, steps: int) -> None:
        for _ in range(steps):
            if self.pending:
                act = self.pending.pop(0)
                told = self.perform(act, well=True)
                if not told and not isinstance(act, Credit):
                    self.pending.append(act)
                for news in told:
                    self.tell(news)
            elif self.untold:
                self._tell_change(self.untold.pop(0))
            elif self.wallet is InvoiceState.OPEN:
                self._pay(hold=3_600)

    @precondition(lambda self: self.pending)
    @rule(
        which=st.integers(0, 3),
        well=st.sampled_from([True, True, False]),
        is_done=st.sampled_from([True, True, False]),
    )
    def an_act_is_carried_out(self, which: int, *, well: bool, is_done: bool) -> None:
        """Where it is not done, the process died before anybody heard of it."""
        act = self.pending[which % len(self.pending)]
        told = self.perform(act, well=well or self.lucky)
        if is_done and (told or isinstance(act, Credit)):
            self.pending.remove(act)
            for news in told:
                self.tell(news)

    @precondition(lambda self: self.untold)
    @rule(again=st.booleans())
    def the_wallet_tells_what_has_changed(self, *, again: bool) -> None:
        self._tell_change(self.untold[0] if again else self.untold.pop(0))

    @precondition(lambda self: self.wallet is InvoiceState.OPEN)
    @rule(hold=st.sampled_from([3_600, 700, 359]))
    def the_customer_pays(self, hold: int) -> None:
        self._pay(hold)

    def _pay(self, hold: int) -> None:
        if not self._knows_invoice() or not self.invoice or self.now > self.invoice.expires_at:
            return
        self.deadline = self.now + hold
        self._change(InvoiceState.ACCEPTED if self.holds else InvoiceState.SETTLED)

    def _knows_invoice(self) -> bool:
        by_word = any(isinstance(act, Say) and act.invoice is not None for act in self.acts)
        return by_word or (self.job.mode is PayMode.LOCKED and RESULT.id in self.relays)

    @precondition(lambda self: self.wallet is InvoiceState.ACCEPTED and self.now >= self.deadline)
    @rule()
    def what_was_held_for_too_long_goes_back(self) -> None:
        self._change(InvoiceState.CANCELLED)

    @rule(seconds=st.sampled_from([0, 1, 5, 20, 60, 150, 700]))
    def time_passes(self, seconds: int) -> None:
        self.now += min(seconds, 1) if self.lucky else seconds
        self.tell(TimePassed())

    @rule(seconds=st.sampled_from([1, 20, 100, 700, 4_000, 90_000]))
    def nobody_looks_for_a_while(self, seconds: int) -> None:
        self.now += 1 if self.lucky else seconds

    @precondition(lambda self: due(self.job, self.state) is not None)
    @rule(luck=st.integers(0, 3))
    def what_is_due_comes(self, luck: int) -> None:
        when = due(self.job, self.state)
        if not luck and when is not None:
            self.now = max(self.now, when)
            self.tell(TimePassed())

    @rule(
        news=st.sampled_from(
            [
                *(Paid(FOREIGN), Held(FOREIGN), InvoiceClosed(FOREIGN)),
                *(Published(OTHER_RESULT.id), Undeliverable(OTHER_RESULT.id, "blocked")),
                *(RefundPaid(FOREIGN, PROOF), RefundRefused(FOREIGN), RefundUncertain(FOREIGN)),
            ]
        )
    )
    def something_is_heard_that_is_about_something_else(self, news: News) -> None:
        before = self.state
        self.tell(news)
        assert self.state == before

    @rule(refund=st.sampled_from(REFUNDS), amount=st.sampled_from([PRICE, PRICE, Msat(1)]))
    def the_customer_wants_its_money_back(self, refund: Refund, amount: Msat) -> None:
        self.tell(RefundAsked(refund, amount))

    @rule(luck=st.integers(0, 15))
    def the_customer_calls_it_off(self, luck: int) -> None:
        if not luck:
            self.tell(CancelAsked())

    def teardown(self) -> None:
        """Let everything come that is to come: no money is left anywhere but where it belongs."""
        if not hasattr(self, "state"):
            return
        for _ in range(40):
            for status in self.untold:
                self._tell_change(status)
            self.untold.clear()
            waiting, self.pending = self.pending, []
            for act in waiting:
                told = self.perform(act, well=True)
                if not told and not isinstance(act, Credit):
                    self.pending.append(act)
                for news in told:
                    self.tell(news)
            if not self.pending and (when := due(self.job, self.state)) is not None:
                self.now = max(self.now, when)
                self.tell(TimePassed())
        assert not self.pending, "an act is left that nobody can carry out"
        assert is_final(self.state)
        assert self.wallet is not InvoiceState.ACCEPTED, "money is held for ever"
        self._money_is_where_it_belongs()

    def _money_is_where_it_belongs(self) -> None:
        settled = self.wallet is InvoiceState.SETTLED
        match self.state:
            case Settled(paid=paid):
                assert RESULT.id in self.relays
                assert (paid is not None) == settled == bool(self.credited)
            case Failed(owed=owed) | Cancelled(owed=owed):
                assert owed == (PRICE if settled else ZERO)
            case Refunded():
                assert settled
                assert len(self.refunded) == 1
            case _:
                assert not settled

    # What is so at every moment.

    def count(self, kind: type[Act]) -> int:
        return sum(isinstance(act, kind) for act in self.acts)

    @invariant()
    def nothing_is_computed_that_should_be_paid_before_and_is_not(self) -> None:
        has_money = self.wallet in (InvoiceState.ACCEPTED, InvoiceState.SETTLED) or self.was_held()
        by_credit = self.job.mode in (PayMode.FREE, PayMode.LOCKED)
        assert by_credit or has_money or not self.count(Run)

    def was_held(self) -> bool:
        return self.deadline > 0

    @invariant()
    def work_for_held_money_ends_well_before_it_goes_back(self) -> None:
        if isinstance(self.state, Working) and self.state.settle_by is not None:
            assert self.state.deadline + SETTLE_SECONDS <= self.state.settle_by

    @invariant()
    def what_was_cancelled_is_never_settled_and_the_other_way_round(self) -> None:
        assert not (self.count(SettleHold) and self.count(CancelInvoice))

    @invariant()
    def a_held_payment_is_only_settled_for_a_result_that_can_be_read(self) -> None:
        if self.holds and self.wallet is InvoiceState.SETTLED:
            assert RESULT.id in self.relays
            assert self.count(SettleHold) == 1
        if isinstance(self.state, Settling):
            assert self.heard_published

    @invariant()
    def everything_happens_at_most_once(self) -> None:
        for kind in ONCE:
            assert self.count(kind) <= 1, kind
        for status in (s for s in FeedbackStatus if s is not FeedbackStatus.ERROR):
            assert sum(isinstance(act, Say) and act.status is status for act in self.acts) <= 1

    @invariant()
    def it_ends_at_most_once(self) -> None:
        assert self.ends == is_final(self.state)

    @invariant()
    def what_was_paid_and_not_delivered_is_owed(self) -> None:
        match self.state:
            case Failed(paid=paid, owed=owed) | Cancelled(paid=paid, owed=owed):
                assert (paid is not None) == self.was_told_paid
                assert owed == (PRICE if self.was_told_paid else ZERO)
                assert not (owed and self.heard_published)
            case Refunding(owed=owed) | Refunded(owed=owed):
                assert self.was_told_paid
                assert owed == PRICE
                assert not self.heard_published
            case Expired() | Unpaid():
                assert not self.was_told_paid
            case _:
                assert not self.refunded

    @invariant()
    def no_more_than_one_invoice_of_the_customers_is_paid(self) -> None:
        assert len(self.refunded) <= 1
        if isinstance(self.state, Refunded):
            assert self.refunded == [self.state.refund]

    @invariant()
    def a_refund_that_may_have_been_paid_is_the_only_one(self) -> None:
        asked = {act.refund.payment_hash for act in self.acts if isinstance(act, PayRefund)}
        if self.refunded and isinstance(self.state, Refunding):
            assert self.state.refund.payment_hash in self.refunded
        assert set(self.refunded) <= asked

    @invariant()
    def the_customer_is_told_how_it_ended(self) -> None:
        said = [act for act in self.acts if isinstance(act, Say)]
        match self.state:
            case Failed(owed=owed) | Cancelled(owed=owed) if owed:
                assert any(s.status is FeedbackStatus.ERROR and s.refund == owed for s in said)
            case Failed():
                assert any(s.status is FeedbackStatus.ERROR for s in said)
            case Settled():
                assert any(s.status is FeedbackStatus.SUCCESS for s in said)

    @invariant()
    def an_invoice_that_may_still_change_is_watched(self) -> None:
        match open_invoice(self.state):
            case IssuedInvoice(payment_hash=payment_hash):
                assert payment_hash == OURS
            case None if isinstance(self.state, Settling):
                raise AssertionError

    @invariant()
    def only_what_waits_for_others_waits_without_a_time(self) -> None:
        waits = is_final(self.state) or isinstance(self.state, Settling)
        closing = getattr(self.state, "closing", False)
        if due(self.job, self.state) is None:
            assert waits or closing


TestJobLife = JobLife.TestCase
TestJobLife.settings = settings(max_examples=400, stateful_step_count=40, deadline=None)


def test_a_payment_is_held_for_the_work_and_twice_the_time_to_settle() -> None:
    assert hold_seconds(a_job(PayMode.HOLD)) == 60 + 2 * SETTLE_SECONDS
