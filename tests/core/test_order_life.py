"""An order among providers that lie, in an honest wallet's world: nothing paid twice, or for nothing.

The world keeps its own books: what the wallet has in flight, what is set aside, who sends what. The
machine sees none of that but by news, and its acts are carried out in any order, some of them twice.
"""

from typing import TypeAlias

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pylon.core.order_machine import (
    Act,
    Approved,
    BudgetExceeded,
    BudgetReserved,
    CancelAsked,
    CheckRefund,
    Denied,
    ErrorHeard,
    LookUp,
    MakeRefundInvoice,
    News,
    NotOpened,
    OfferHeard,
    Open,
    Opened,
    Pay,
    PaymentRefused,
    PaymentSucceeded,
    PaymentUncertain,
    PublishCancel,
    PublishRequest,
    ReclaimAsked,
    RefundArrived,
    RefundInvoiceClosed,
    RefundInvoiceImpossible,
    RefundInvoiceMade,
    Release,
    RequestPublished,
    RequestRefused,
    Reserve,
    ResultHeard,
    SendRefundInvoice,
    Spend,
    Step,
    TimePassed,
    advance,
    begin,
    due,
    is_final,
)
from pylon.model.ids import EventId, PaymentHash, PublicKey
from pylon.model.money import ZERO, Msat, PayMode
from pylon.model.order import (
    Answer,
    Cheated,
    Chosen,
    Disputed,
    Done,
    Draft,
    Offer,
    OrderState,
    Paid,
    Paying,
    Published,
    Reclaiming,
    Refunded,
    Reserving,
    Unknown,
    offer_of,
)
from pylon.model.wallet import IssuedInvoice
from tests.core.buying import (
    ANN,
    BOB,
    CID,
    PAID_MODES,
    PREIMAGE,
    START,
    an_offer,
    an_order,
    answer_of,
    locked_by,
)

ROUTING = Msat(7)  # what a payment costs on top
EVERYBODY = (ANN, BOB, CID)
PROVIDERS = st.sampled_from(EVERYBODY)
HASHES = st.sampled_from([PaymentHash(provider) for provider in EVERYBODY])
MODES = st.sampled_from(PAID_MODES)
AMOUNTS = st.sampled_from([ZERO, Msat(5_000), Msat(10_000), Msat(10**9)])

_Treasury: TypeAlias = Reserve | Release | Spend


class OrderLife(RuleBasedStateMachine):
    """Every order of things, for every mode of payment."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.rows: list[Act] = []  # acts that are still to be carried out
        self.in_flight: set[PaymentHash] = set()
        self.settled: set[PaymentHash] = set()
        self.refused: set[PaymentHash] = set()
        self.reserved: dict[PaymentHash, int] = {}
        self.spent: dict[PaymentHash, int] = {}
        self.agreed: set[PaymentHash] = set()
        self.answered = False
        self.opened: set[EventId] = set()
        self.found_out: set[EventId] = set()
        self.published = self.cancelled = self.ends = 0
        self.invoices: dict[int, IssuedInvoice] = {}  # for refunds, by attempt
        self.sent: set[PaymentHash] = set()
        self.paid_back: set[PaymentHash] = set()
        self.expired: set[PaymentHash] = set()

    @initialize(
        provider=st.sampled_from([None, ANN]),
        auto_pay=st.booleans(),
        accepts=st.one_of(st.just(list(PAID_MODES)), st.lists(MODES, min_size=1, unique=True)),
        modes=st.tuples(MODES, MODES, MODES),
        honest=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    )
    def an_order_is_opened(
        self,
        provider: PublicKey | None,
        auto_pay: bool,
        accepts: list[PayMode],
        modes: tuple[PayMode, ...],
        honest: tuple[bool, ...],
    ) -> None:
        self.order = an_order(provider=provider, auto_pay=auto_pay, accepts=tuple(accepts))
        self.modes = dict(zip(EVERYBODY, modes, strict=True))
        self.honest = dict(zip(EVERYBODY, honest, strict=True))
        self.state: OrderState = Draft()
        self.take(begin())

    # What the machine is told.

    def tell(self, news: News) -> None:
        before = self.state
        step = advance(self.order, before, news, self.now, {BOB: 1})
        self.check_news(before, news, step)
        self.take(step)

    def check_news(self, before: OrderState, news: News, step: Step) -> None:
        if isinstance(news, TimePassed) and self.now < (due(self.order, before) or self.now + 1):
            assert step == Step(before), "it was too early"
        if not isinstance(news, ReclaimAsked):
            again = advance(self.order, step.state, news, self.now, {BOB: 1})
            assert again == Step(step.state), "told twice, it does something twice"
        if isinstance(news, ResultHeard) and isinstance(before, Paying | Unknown):
            ours = news.answer.provider == before.offer.provider
            self.answered |= ours and news.answer.locked is None
        if is_final(before):
            assert is_final(step.state), "what has ended has begun again"
            assert step == Step(before) or isinstance(before, Disputed | Reclaiming)

    def take(self, step: Step) -> None:
        self.ends += is_final(step.state) and not is_final(self.state)
        self.state = step.state
        for act in step.acts:
            self.check_act(act)
            self.rows.append(act)

    def check_act(self, act: Act) -> None:
        match act:
            case Reserve(payment_hash, amount, fee):
                assert not self.set_aside(), "two reservations for one order"
                assert not self.answered, "what is answered is bought again"
                assert not self.settled, "paid for, and bought again"
                assert self.order.auto_pay or payment_hash in self.agreed, "nobody said yes"
                assert amount <= self.order.max_price
                assert fee == self.order.max_fee
            case Release(payment_hash):
                assert payment_hash not in self.in_flight | self.settled, "released, and paid"
            case Pay(payment_hash=payment_hash):
                assert payment_hash in self.reserved, "paid outside the budget"
                assert not self.in_flight - {payment_hash}, "two payments in flight"
                assert not self.settled, "paid again"
                assert self.now < self.order.deadline, "paid for an answer that is too late"
                offer = offer_of(self.state)
                assert offer is not None
                assert offer.mode in self.order.accepts
            case LookUp():
                assert LookUp not in map(type, self.rows), "two questions about one payment"
            case MakeRefundInvoice(attempt=attempt):
                assert attempt not in self.invoices, "an invoice that has had its time"
            case PublishRequest():
                self.published += 1
            case PublishCancel():
                self.cancelled += 1

    def set_aside(self) -> set[PaymentHash]:
        """Return the hashes that something is, or is about to be, reserved for."""
        there = set(self.reserved)
        for row in self.rows:
            match row:
                case Reserve(payment_hash):
                    there.add(payment_hash)
                case Release(payment_hash) | Spend(payment_hash):
                    there.discard(payment_hash)
        return there

    # The desks, which may be interrupted after they have done what they should.

    def next_rows(self) -> list[Act]:
        """Return what may be carried out now: the treasurer keeps the order of its rows."""
        treasury = [row for row in self.rows if isinstance(row, _Treasury)]
        return [row for row in self.rows if row not in treasury[1:]]

    @precondition(lambda self: self.rows)
    @rule(
        which=st.integers(0, 9),
        luck=st.integers(0, 3),
        interrupted=st.booleans(),
    )
    def a_desk_does_its_work(self, which: int, luck: int, interrupted: bool) -> None:
        rows = self.next_rows()
        row = rows[which % len(rows)]
        news = self.carry_out(row, luck)
        if not interrupted:
            self.done(row, news)

    def done(self, row: Act, news: News | None) -> None:
        if row in self.rows:
            self.rows.remove(row)
        if news is not None:
            self.tell(news)

    def carry_out(self, row: Act, luck: int) -> News | None:
        match row:
            case Reserve() | Release() | Spend():
                return self.keep_books(row, luck)
            case Pay(payment_hash=payment_hash):
                return self.pay(payment_hash, luck)
            case LookUp(payment_hash):
                return self.look_up(payment_hash)
            case Open(result):
                return self.open(result)
            case MakeRefundInvoice() | CheckRefund():
                return self.collect(row, luck)
            case SendRefundInvoice(invoice=invoice):
                self.sent.add(invoice.payment_hash)
            case PublishRequest():
                return RequestPublished()
        return None

    def keep_books(self, row: _Treasury, luck: int) -> News | None:
        match row:
            case Reserve(payment_hash, amount, fee):
                if not luck and payment_hash not in self.reserved:
                    return BudgetExceeded(payment_hash, "over the day's cap")
                self.reserved[payment_hash] = amount + fee
                return BudgetReserved(payment_hash)
            case Release(payment_hash):
                self.reserved.pop(payment_hash, None)
                self.rows = [r for r in self.rows if not _asks_for(r, payment_hash)]
            case Spend(payment_hash, amount, fee):
                assert payment_hash in self.settled, "spent what was never paid"
                self.reserved.pop(payment_hash, None)
                self.spent[payment_hash] = amount + fee
        return None

    def pay(self, payment_hash: PaymentHash, luck: int) -> News:
        if payment_hash not in self.settled | self.in_flight:
            if luck == 1:  # the wallet is away, and has not heard of it
                return PaymentUncertain(payment_hash)
            self.refused.discard(payment_hash)
            self.in_flight.add(payment_hash)
            if luck == 0:
                self.settle(payment_hash)
        return self.outcome(payment_hash)

    def outcome(self, payment_hash: PaymentHash) -> News:
        if payment_hash in self.settled:
            return PaymentSucceeded(payment_hash, PREIMAGE, ROUTING)
        if payment_hash in self.refused:
            return PaymentRefused(payment_hash, "no route")
        return PaymentUncertain(payment_hash)

    def look_up(self, payment_hash: PaymentHash) -> News:
        if payment_hash in self.in_flight | self.settled | self.refused:
            return self.outcome(payment_hash)
        return PaymentRefused(payment_hash, "never begun", never_begun=True)

    def settle(self, payment_hash: PaymentHash) -> None:
        self.in_flight.remove(payment_hash)
        self.settled.add(payment_hash)

    def open(self, result: EventId) -> News:
        offer = offer_of(self.state)
        assert offer is not None
        if self.honest[offer.provider]:
            self.opened.add(result)
            return Opened(result)
        self.found_out.add(result)
        return NotOpened(result, "the preimage does not open it")

    def collect(self, row: MakeRefundInvoice | CheckRefund, luck: int) -> News | None:
        match row:
            case MakeRefundInvoice(amount, attempt):
                if not luck and attempt not in self.invoices:
                    return RefundInvoiceImpossible("the wallet receives nothing")
                hash_ = PaymentHash(f"refund {attempt}")
                invoice = IssuedInvoice("lnbcrt", hash_, amount, START, START + 9)
                return RefundInvoiceMade(self.invoices.setdefault(attempt, invoice))
            case CheckRefund(payment_hash):
                if payment_hash in self.paid_back:
                    return RefundArrived(payment_hash)
                if payment_hash in self.expired:
                    return RefundInvoiceClosed(payment_hash)
        return None

    # The world outside.

    @rule(provider=PROVIDERS, expires=st.sampled_from([5, 60, 600, 600]))
    def a_provider_makes_an_offer(self, provider: PublicKey, expires: int) -> None:
        sats = {ANN: 10, BOB: 20, CID: 30}[provider]
        self.tell(OfferHeard(an_offer(provider, sats, mode=self.modes[provider], expires=expires)))

    @rule(
        offer=st.sampled_from(
            [an_offer(BOB, 60), an_offer(CID, 10, copy_of=ANN), an_offer(CID, 10, expires=5)]
        )
    )
    def a_provider_makes_a_bad_offer(self, offer: Offer) -> None:
        self.tell(OfferHeard(offer))

    @rule(provider=PROVIDERS, key_of=st.sampled_from([None, None, None, ANN]))
    def a_provider_delivers_a_locked_answer(
        self, provider: PublicKey, key_of: PublicKey | None
    ) -> None:
        self.tell(ResultHeard(locked_by(provider, key_of=key_of)))

    @precondition(lambda self: not isinstance(self.state, Draft | Published))
    @rule(provider=PROVIDERS)
    def a_provider_answers(self, provider: PublicKey) -> None:
        self.tell(ResultHeard(answer_of(provider)))

    @rule(provider=PROVIDERS, refund=AMOUNTS)
    def a_provider_fails(self, provider: PublicKey, refund: Msat) -> None:
        self.tell(ErrorHeard(provider, "no memory", refund))

    @precondition(lambda self: self.in_flight)
    @rule()
    def what_is_in_flight_arrives(self) -> None:
        self.settle(next(iter(self.in_flight)))

    @precondition(lambda self: self.in_flight)
    @rule()
    def what_is_in_flight_comes_back(self) -> None:
        self.refused.add(self.in_flight.pop())

    @precondition(lambda self: self.sent - self.paid_back - self.expired)
    @rule(pays=st.booleans())
    def a_provider_pays_back_or_does_not(self, pays: bool) -> None:
        invoice = min(self.sent - self.paid_back - self.expired)
        (self.paid_back if pays else self.expired).add(invoice)

    @rule(seconds=st.sampled_from([0, 1, 2, 2, 3, 5, 50]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        self.tell(TimePassed())

    @rule(seconds=st.sampled_from([1, 5, 30, 300]))
    def nobody_looks_for_a_while(self, seconds: int) -> None:
        self.now += seconds

    @rule(payment_hash=HASHES)
    def somebody_says_yes(self, payment_hash: PaymentHash) -> None:
        self.agreed.add(payment_hash)
        self.tell(Approved(payment_hash))
        self.agreed.discard(payment_hash)  # a yes counts when it is said, and not later

    @rule(news=st.one_of(st.builds(Denied, HASHES), st.builds(ReclaimAsked)))
    def somebody_says_something(self, news: News) -> None:
        self.tell(news)

    @rule(
        news=st.one_of(
            st.builds(RequestRefused, st.just("blocked")),
            st.builds(CancelAsked),
            st.builds(ResultHeard, PROVIDERS.map(answer_of)),
        ),
        luck=st.integers(0, 5),
    )
    def something_may_end_it_early(self, news: News, luck: int) -> None:
        if not luck:
            self.tell(news)

    @precondition(lambda self: not is_final(self.state))
    @rule(times=st.integers(1, 6))
    def things_go_on_as_hoped(self, times: int) -> None:
        for _ in range(times):
            self.one_thing_goes_on()

    def one_thing_goes_on(self) -> None:
        match self.state:
            case Draft() | Published(offers=()):
                self.a_provider_makes_an_offer(ANN, 600)
            case Published(window_ends=int(ends)):
                self.now = max(self.now, ends)
                self.tell(TimePassed())
            case Chosen(offer=offer):
                self.somebody_says_yes(offer.payment_hash)
            case Paid(offer=offer, answer=None):
                self.a_provider_delivers_a_locked_answer(offer.provider, None)
            case _:
                self.all_desks_work()

    @precondition(lambda self: isinstance(self.state, Paying | Unknown | Paid))
    @rule(what=st.sampled_from(["locked", "locked", "readable", "refund", "error"]))
    def the_provider_chosen_says_something(self, what: str) -> None:
        offer = offer_of(self.state)
        assert offer is not None
        match what:
            case "locked":
                self.a_provider_delivers_a_locked_answer(offer.provider, None)
            case "readable":
                self.a_provider_answers(offer.provider)
            case _:
                refund = offer.amount if what == "refund" else ZERO
                self.a_provider_fails(offer.provider, refund)

    @precondition(lambda self: isinstance(self.state, Reclaiming))
    @rule(pays=st.booleans())
    def a_refund_goes_its_way(self, pays: bool) -> None:
        self.all_desks_work()
        self.all_desks_work()
        if self.sent - self.paid_back - self.expired:
            self.a_provider_pays_back_or_does_not(pays)
        self.time_passes(5)

    def all_desks_work(self) -> None:
        for row in self.next_rows():
            self.done(row, self.carry_out(row, 3))

    # What must hold.

    @invariant()
    def time_is_news_wherever_no_desk_is_at_work(self) -> None:
        match self.state:
            case Reserving() | Paying() | Unknown(asking=True) | Paid(answer=Answer()):
                waits = True
            case Reclaiming(invoice=invoice):
                waits = invoice is None
            case state:
                waits = is_final(state)
        assert (due(self.order, self.state) is None) == waits

    @invariant()
    def what_may_settle_is_known(self) -> None:
        if self.in_flight:
            assert isinstance(self.state, Paying | Unknown)
            assert self.in_flight == {self.state.offer.payment_hash}

    @invariant()
    def at_most_one_payment_is_made_and_it_is_never_forgotten(self) -> None:
        assert len(self.settled) <= 1
        match self.state:
            case Paid() | Disputed() | Cheated() | Reclaiming() | Refunded():
                assert self.settled == {self.state.offer.payment_hash}
            case Done(offer=Offer(payment_hash=payment_hash)):
                assert self.settled == {payment_hash}
            case Paying() | Unknown():
                pass
            case _:
                assert not self.settled

    @invariant()
    def what_is_set_aside_is_given_back_or_spent(self) -> None:
        assert bool(self.set_aside()) == isinstance(self.state, Reserving | Paying | Unknown)

    @invariant()
    def only_the_provider_that_was_paid_answers_and_readably(self) -> None:
        match self.state:
            case Done(answer, offer):
                assert answer.locked is None or answer.result in self.opened
                assert offer is None or answer.provider == offer.provider
                assert self.order.provider in (None, answer.provider)
            case Cheated(answer=answer):
                assert answer.result in self.found_out
            case _:
                pass

    @invariant()
    def money_comes_back_only_by_the_wallets_word(self) -> None:
        match self.state:
            case Refunded(invoice=invoice):
                assert invoice in self.paid_back
            case Reclaiming(offer=offer, amount=amount):
                assert 0 < amount <= offer.amount
            case _:
                pass

    @invariant()
    def it_is_published_once_called_off_once_and_ends_once(self) -> None:
        assert self.published == 1
        assert self.cancelled <= 1
        assert self.ends == is_final(self.state)

    def teardown(self) -> None:
        """Where nobody says another word, the desks and time end it, and the books are even."""
        for _ in range(40):
            self.all_desks_work()
            self.refused |= self.in_flight
            self.in_flight.clear()
            self.paid_back |= self.sent - self.expired
            when = due(self.order, self.state)
            if when is not None:
                self.now = max(self.now, when)
                self.tell(TimePassed())
            elif is_final(self.state) and not self.rows:
                break
        assert is_final(self.state)
        assert not isinstance(self.state, Reclaiming)
        assert not self.rows
        assert not self.reserved
        prices = {ANN: 10_000, BOB: 20_000, CID: 30_000}
        assert self.spent == {hash_: prices[hash_] + ROUTING for hash_ in self.settled}  # type: ignore[index]  # a hash is named after who is paid


def _asks_for(row: Act, payment_hash: PaymentHash) -> bool:
    return isinstance(row, Reserve) and row.payment_hash == payment_hash


TestOrderLife = OrderLife.TestCase
TestOrderLife.settings = settings(max_examples=400, stateful_step_count=40, deadline=None)
