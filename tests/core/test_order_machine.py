"""No order of events makes a buyer pay twice, pay for nothing, or lose a payment."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pylon.core.order_machine import (
    EXPIRY_MARGIN_SECONDS,
    LOOKUP_SECONDS,
    MAX_OFFERS,
    Act,
    Approved,
    BudgetExceeded,
    BudgetReserved,
    CancelAsked,
    Denied,
    ErrorHeard,
    LookUp,
    News,
    OfferHeard,
    Pay,
    PaymentRefused,
    PaymentSucceeded,
    PaymentUncertain,
    PublishCancel,
    PublishRequest,
    Release,
    RequestPublished,
    RequestRefused,
    Reserve,
    ResultHeard,
    Spend,
    Step,
    TimePassed,
    advance,
    begin,
    best,
    due,
    is_final,
)
from pylon.model.event import Event
from pylon.model.ids import EventId, JobId, NodeKey, PaymentHash, Preimage, PublicKey
from pylon.model.money import Msat, Network
from pylon.model.order import (
    Answer,
    Cause,
    Chosen,
    Declined,
    Disputed,
    Done,
    Draft,
    NotServed,
    Offer,
    Order,
    OrderState,
    Paid,
    Paying,
    Published,
    Reserving,
    Unknown,
    Withdrawn,
)

START = 1_000
DEADLINE = START + 300
FEE = Msat(5_000)
PREIMAGE = Preimage("ee" * 32)
ANN, BOB, CID = (PublicKey(name * 32) for name in ("aa", "bb", "cc"))


def an_order(*, provider: PublicKey | None = None, auto_pay: bool = True) -> Order:
    request = Event(EventId("request"), PublicKey("dd" * 32), START, 5050, (), "", "")
    return Order(
        id=JobId(request.id),
        request=request,
        provider=provider,
        max_price=Msat(50_000),
        max_fee=FEE,
        network=Network.REGTEST,
        auto_pay=auto_pay,
        opened_at=START,
        offer_seconds=2,
        deadline=DEADLINE,
    )


def an_offer(
    provider: PublicKey, sats: int = 10, *, copy_of: PublicKey | None = None, expires: int = 600
) -> Offer:
    return Offer(
        provider=provider,
        feedback=EventId(f"offer of {provider}"),
        amount=Msat(sats * 1000),
        bolt11=f"lnbcrt of {copy_of or provider}",
        payment_hash=PaymentHash(copy_of or provider),
        node_key=NodeKey("02" + provider),
        expires_at=START + expires,
    )


def answer_of(provider: PublicKey) -> Answer:
    return Answer(EventId(f"result of {provider}"), provider)


def live(order: Order, *news: News, state: OrderState | None = None, now: int = START) -> Step:
    """Tell an order the news, all at `now`; return the last step."""
    step = begin() if state is None else Step(state)
    for item in news:
        step = advance(order, step.state, item, now)
    return step


A, B, C = an_offer(ANN, 10), an_offer(BOB, 20), an_offer(CID, 30)
OFFERS = (
    A,
    B,
    C,
    an_offer(ANN, 1),  # a second thought
    an_offer(BOB, 60),  # above every limit
    an_offer(CID, 10, copy_of=ANN),  # another's invoice
    an_offer(CID, 10, expires=5),
)
HASHES = st.sampled_from([offer.payment_hash for offer in (A, B, C)])
PROVIDERS = st.sampled_from([ANN, BOB, CID])


class OrderLife(RuleBasedStateMachine):
    """Throw news at an order in any order, early, late, foreign, each twice.

    The wallet behind it is honest: it settles only what it was told to pay, and a payment it has
    called failed stays failed until it is told to pay again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.acts: list[Act] = []
        self.in_flight: set[PaymentHash] = set()
        self.settled: set[PaymentHash] = set()
        self.reserved: set[PaymentHash] = set()
        self.agreed: set[PaymentHash] = set()
        self.answered = False
        self.ends = 0

    @initialize(provider=st.sampled_from([None, ANN]), auto_pay=st.booleans())
    def an_order_is_opened(self, provider: PublicKey | None, auto_pay: bool) -> None:
        self.order = an_order(provider=provider, auto_pay=auto_pay)
        step = begin()
        self.state: OrderState = step.state
        self.acts.extend(step.acts)

    def tell(self, news: News) -> None:
        before = self.state
        step = advance(self.order, before, news, self.now)
        if isinstance(news, TimePassed) and self.now < (due(self.order, before) or self.now + 1):
            assert step == Step(before), "it was too early"
        if isinstance(news, ResultHeard) and isinstance(before, Paying | Unknown):
            self.answered |= news.answer.provider == before.offer.provider
        assert advance(self.order, step.state, news, self.now) == Step(step.state)
        if is_final(before):
            assert is_final(step.state), "what has ended has begun again"
            assert step.state == before or isinstance(before, Disputed)
            assert not step.acts
        self.ends += is_final(step.state) and not is_final(before)
        self.state = step.state
        for act in step.acts:
            self.acts.append(act)
            self.carry_out(act)

    def carry_out(self, act: Act) -> None:
        match act:
            case Reserve(payment_hash, amount, fee):
                assert not self.reserved, "two reservations for one order"
                assert not self.answered, "what is answered is bought again"
                assert self.order.auto_pay or payment_hash in self.agreed, "nobody said yes"
                assert amount <= self.order.max_price
                assert fee == self.order.max_fee
                self.reserved.add(payment_hash)
            case Release(payment_hash):
                assert payment_hash not in self.in_flight | self.settled, (
                    "released what may be paid"
                )
                self.reserved.remove(payment_hash)
            case Spend(payment_hash):
                self.reserved.remove(payment_hash)
            case Pay(payment_hash=payment_hash):
                assert payment_hash in self.reserved, "paid outside the budget"
                assert not self.in_flight, "two payments in flight"
                assert not self.settled, "paid again"
                assert self.now < self.order.deadline, "paid for an answer that is too late"
                self.in_flight.add(payment_hash)
            case _:
                pass

    def count(self, kind: type[Act]) -> int:
        return sum(isinstance(act, kind) for act in self.acts)

    def time_passes_to(self, now: int, failures: dict[PublicKey, int] | None = None) -> None:
        self.now = now
        self.tell(TimePassed())

    @precondition(lambda self: not is_final(self.state))
    @rule(offer=st.sampled_from([A, B, C]))
    def things_go_on_as_hoped(self, offer: Offer) -> None:
        match self.state:
            case Draft():
                self.tell(RequestPublished())
            case Published(window_ends=int(ends)):
                self.time_passes_to(max(self.now, ends))
            case Published():
                self.tell(OfferHeard(offer))
            case Chosen(offer=chosen):
                self.says_yes_to(chosen.payment_hash)
            case Reserving(offer=chosen):
                self.tell(BudgetReserved(chosen.payment_hash))
            case Paying() | Unknown():
                self.the_payment_settles()
            case Paid(offer=chosen):
                self.tell(ResultHeard(answer_of(chosen.provider)))

    @rule(
        seconds=st.sampled_from([0, 1, 2, 2, 3, 50]),
        failures=st.dictionaries(PROVIDERS, st.integers(0, 5), max_size=3),
    )
    def time_passes(self, seconds: int, failures: dict[PublicKey, int]) -> None:
        self.time_passes_to(self.now + seconds, failures)

    @rule(seconds=st.sampled_from([0, 1, 5, 30, 300]))
    def nobody_looks_for_a_while(self, seconds: int) -> None:
        self.now += seconds

    @rule(offer=st.sampled_from(OFFERS))
    def a_provider_makes_an_offer(self, offer: Offer) -> None:
        self.tell(OfferHeard(offer))

    @rule(provider=PROVIDERS)
    def a_provider_answers(self, provider: PublicKey) -> None:
        if not isinstance(self.state, Draft | Published):  # there a gift would end the story
            self.tell(ResultHeard(answer_of(provider)))

    @rule(payment_hash=HASHES)
    def says_yes_to(self, payment_hash: PaymentHash) -> None:
        self.agreed.add(payment_hash)
        self.tell(Approved(payment_hash))
        self.agreed.discard(payment_hash)  # a yes counts when it is said, and not later

    @rule(
        news=st.one_of(
            st.builds(RequestPublished),
            st.builds(Denied, HASHES),
            st.builds(ErrorHeard, PROVIDERS, st.just("busy")),
            st.builds(BudgetReserved, HASHES),
            st.builds(PaymentUncertain, HASHES),
        )
    )
    def something_is_heard_at_any_time(self, news: News) -> None:
        self.tell(news)

    @rule(
        news=st.one_of(
            st.builds(RequestRefused, st.just("blocked")),
            st.builds(CancelAsked),
            st.builds(ResultHeard, PROVIDERS.map(answer_of)),
        ),
        luck=st.integers(0, 5),
    )
    def something_ends_it_early(self, news: News, luck: int) -> None:
        if not luck:
            self.tell(news)

    @precondition(lambda self: isinstance(self.state, Reserving))
    @rule()
    def the_budget_forbids_it(self) -> None:
        assert isinstance(self.state, Reserving)
        payment_hash = self.state.offer.payment_hash
        self.reserved.discard(payment_hash)  # nothing was set aside
        self.tell(BudgetExceeded(payment_hash, "over the day's cap"))

    def the_payment_settles(self) -> None:
        payment_hash = self.in_flight.pop()
        self.settled.add(payment_hash)
        self.tell(PaymentSucceeded(payment_hash, PREIMAGE, Msat(7)))

    @precondition(lambda self: self.in_flight)
    @rule()
    def the_payment_fails(self) -> None:
        self.tell(PaymentRefused(self.in_flight.pop(), "no route"))

    @precondition(lambda self: self.in_flight)
    @rule()
    def the_wallet_does_not_know(self) -> None:
        self.tell(PaymentUncertain(next(iter(self.in_flight))))

    @precondition(lambda self: self.settled)
    @rule()
    def the_wallet_says_again_that_it_paid(self) -> None:
        self.tell(PaymentSucceeded(next(iter(self.settled)), PREIMAGE, Msat(7)))

    def teardown(self) -> None:
        """Where nobody out there says another word, the desks' own answers and time end it."""
        for _ in range(10):
            match self.state:
                case state if is_final(state):
                    return
                case Reserving(offer=offer):
                    self.tell(BudgetReserved(offer.payment_hash))
                case Paying() | Unknown():
                    self.the_payment_fails()
                case state:
                    when = due(self.order, state)
                    assert when is not None, "nothing would ever end this state"
                    self.time_passes_to(max(self.now, when))
        assert is_final(self.state)

    @invariant()
    def only_states_a_desk_will_answer_wait_without_a_time(self) -> None:
        waits_for_a_desk = isinstance(self.state, Reserving | Paying)
        waits_for_nothing = is_final(self.state)
        assert (due(self.order, self.state) is None) == (waits_for_a_desk or waits_for_nothing)

    @invariant()
    def a_payment_is_known_for_as_long_as_it_may_settle(self) -> None:
        assert bool(self.in_flight) == isinstance(self.state, Paying | Unknown)
        if isinstance(self.state, Paying | Unknown):
            assert self.state.offer.payment_hash in self.in_flight

    @invariant()
    def money_spent_is_never_forgotten(self) -> None:
        assert self.count(Spend) == len(self.settled)
        match self.state:
            case Paid(offer=offer) | Disputed(offer=offer):
                assert self.settled == {offer.payment_hash}
            case Done(offer=None):
                assert not self.settled
            case Done(offer=Offer(payment_hash=payment_hash)):
                assert self.settled == {payment_hash}
            case _:
                assert not self.settled

    @invariant()
    def what_is_set_aside_is_given_back_or_spent(self) -> None:
        waits = isinstance(self.state, Reserving | Paying | Unknown)
        assert bool(self.reserved) == waits

    @invariant()
    def only_the_provider_that_was_paid_answers(self) -> None:
        match self.state:
            case Done(answer, Offer(provider=provider)):
                assert answer.provider == provider
            case _:
                pass

    @invariant()
    def a_targeted_order_deals_with_nobody_else(self) -> None:
        if self.order.provider is not None:
            for act in self.acts:
                assert not isinstance(act, Pay) or act.payment_hash == A.payment_hash
            if isinstance(self.state, Done):
                assert self.state.answer.provider == self.order.provider

    @invariant()
    def it_is_published_once_and_ends_once(self) -> None:
        assert self.count(PublishRequest) == 1
        assert self.count(PublishCancel) <= 1
        assert self.ends == is_final(self.state)


TestOrderLife = OrderLife.TestCase
TestOrderLife.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)


def paying(*others: Offer, offer: Offer = A) -> Paying:
    return Paying(offer, others)


def test_a_targeted_order_is_paid_and_answered() -> None:
    order = an_order(provider=ANN)
    assert begin() == Step(Draft(), (PublishRequest(),))
    reserve = Reserve(A.payment_hash, A.amount, FEE)
    assert live(order, RequestPublished(), OfferHeard(A)) == Step(Reserving(A), (reserve,))
    step = live(order, BudgetReserved(A.payment_hash), state=Reserving(A))
    assert step == Step(Paying(A), (Pay(A.bolt11, A.payment_hash, FEE),))
    step = live(order, PaymentSucceeded(A.payment_hash, PREIMAGE, Msat(3)), state=step.state)
    assert step == Step(Paid(A, PREIMAGE, Msat(3)), (Spend(A.payment_hash, A.amount, Msat(3)),))
    step = live(order, ResultHeard(answer_of(ANN)), state=step.state)
    assert step == Step(Done(answer_of(ANN), A, PREIMAGE, Msat(3)))


def test_a_broadcast_waits_for_more_offers_and_takes_the_best() -> None:
    order = an_order()
    step = live(order, OfferHeard(B), OfferHeard(A))
    assert step.state == Published((B, A), window_ends=START + 2)
    assert live(order, TimePassed(), state=step.state, now=START + 1) == Step(step.state)
    step = live(order, TimePassed(), state=step.state, now=START + 2)
    assert step.state == Reserving(A, (B,))


def test_a_provider_that_failed_before_must_be_cheaper_by_as_much() -> None:
    assert best((A, B), {}) == A
    assert best((A, B), {ANN: 1}) == A, "at the same price the first heard wins"
    assert best((A, B), {ANN: 2}) == B
    offers = Published((A, B), START)
    chosen = advance(an_order(), offers, TimePassed(), START, {ANN: 2}).state
    assert chosen == Reserving(B, (A,))


def test_invoice_amount_above_the_limit_is_no_offer() -> None:
    order = an_order(provider=BOB)
    assert live(order, OfferHeard(an_offer(BOB, 51))) == Step(Draft())
    assert isinstance(live(order, OfferHeard(an_offer(BOB, 50))).state, Reserving)
    assert live(order, OfferHeard(an_offer(BOB, 0))) == Step(Draft())


def test_an_offer_about_to_expire_is_no_offer() -> None:
    order = an_order(provider=BOB)
    soon = an_offer(BOB, expires=EXPIRY_MARGIN_SECONDS - 1)
    assert live(order, OfferHeard(soon)) == Step(Draft())
    assert isinstance(
        live(order, OfferHeard(an_offer(BOB, expires=EXPIRY_MARGIN_SECONDS))).state, Reserving
    )


def test_anothers_invoice_copied_is_no_offer_of_its_own() -> None:
    copied = an_offer(CID, 9, copy_of=ANN)
    state = live(an_order(), OfferHeard(A), OfferHeard(copied)).state
    assert state == Published((A,), START + 2)


def test_a_flood_of_offers_is_cut_off() -> None:
    flood = [OfferHeard(an_offer(PublicKey(f"{n:064x}"))) for n in range(MAX_OFFERS + 1)]
    state = live(an_order(), *flood).state
    assert isinstance(state, Published)
    assert len(state.offers) == MAX_OFFERS


def test_a_person_agrees_to_one_offer_and_not_to_the_next() -> None:
    order = an_order(auto_pay=False)
    chosen = live(order, TimePassed(), state=Published((A, B), START)).state
    assert chosen == Chosen(A, (B,))
    step = live(order, ErrorHeard(ANN, "gone"), Approved(A.payment_hash), state=chosen)
    assert step == Step(Chosen(B)), "the yes was for another provider and price"
    step = live(order, Approved(B.payment_hash), state=step.state)
    assert step.state == Reserving(B)


def test_a_yes_that_comes_too_late_pays_nothing() -> None:
    order = an_order(auto_pay=False)
    for now in (DEADLINE, A.expires_at):
        step = live(order, Approved(A.payment_hash), state=Chosen(A), now=now)
        assert step.state == NotServed("the offer expired before it was approved", Cause.TIME)


def test_a_buyer_may_call_it_off_until_something_is_paid() -> None:
    order = an_order()
    withdrawn = Step(Withdrawn(), (PublishCancel(),))
    for state in (Draft(), Published((A,), START + 2), Chosen(A)):
        assert live(order, CancelAsked(), state=state) == withdrawn
    for paid in (paying(), Unknown(A, since=START), Paid(A, PREIMAGE, Msat(0))):
        assert live(order, CancelAsked(), state=paid) == Step(paid)


def test_an_answer_given_away_before_the_yes_costs_nothing() -> None:
    step = live(an_order(auto_pay=False), ResultHeard(answer_of(ANN)), state=Chosen(A))
    assert step == Step(Done(answer_of(ANN)))


def test_a_refusal_before_the_request_is_out_leaves_a_broadcast_open() -> None:
    assert live(an_order(), ErrorHeard(ANN, "busy")) == Step(Draft())


def test_a_no_ends_the_order() -> None:
    order = an_order(auto_pay=False)
    assert live(order, Denied(B.payment_hash), state=Chosen(A)) == Step(Chosen(A))
    step = live(order, Denied(A.payment_hash), state=Chosen(A))
    assert step == Step(Declined("not approved", Cause.PERSON), (PublishCancel(),))


def test_an_offer_nobody_approves_is_declined_at_the_deadline() -> None:
    order = an_order(auto_pay=False)
    assert live(order, TimePassed(), state=Chosen(A), now=DEADLINE - 1) == Step(Chosen(A))
    state = live(order, TimePassed(), state=Chosen(A), now=DEADLINE).state
    assert state == Declined("nobody approved the offer in time", Cause.PERSON)


def test_an_order_over_budget_is_declined_and_nothing_is_paid() -> None:
    step = live(
        an_order(), BudgetExceeded(A.payment_hash, "over the day's cap"), state=Reserving(A, (B,))
    )
    assert step == Step(Declined("over the day's cap", Cause.BUDGET), (PublishCancel(),))


def test_an_offer_that_expires_while_the_budget_is_asked_makes_way_for_the_next() -> None:
    late = an_offer(BOB, expires=EXPIRY_MARGIN_SECONDS)
    step = live(
        an_order(), BudgetReserved(late.payment_hash), state=Reserving(late, (A,)), now=START + 1
    )
    assert step.state == Reserving(A)
    assert step.acts == (Release(late.payment_hash), Reserve(A.payment_hash, A.amount, FEE))


def test_a_refusal_or_a_cancel_before_the_payment_gives_the_reservation_back() -> None:
    order, reserving = an_order(), Reserving(A)
    release, off = Release(A.payment_hash), PublishCancel()
    step = live(order, ErrorHeard(ANN, "busy"), state=reserving)
    assert step == Step(NotServed("busy", Cause.PROVIDER), (release, off))
    assert live(order, ErrorHeard(BOB, "busy"), state=reserving) == Step(reserving)
    assert live(order, CancelAsked(), state=reserving) == Step(Withdrawn(), (release, off))
    step = live(order, ResultHeard(answer_of(ANN)), state=reserving)
    assert step == Step(Done(answer_of(ANN)), (release,))


def test_a_payment_call_that_times_out_is_looked_up_and_settles_later() -> None:
    order = an_order()
    state = live(order, PaymentUncertain(A.payment_hash), state=paying(B)).state
    assert state == Unknown(A, since=START, others=(B,))
    soon = START + LOOKUP_SECONDS
    assert due(order, state) == soon
    assert live(order, TimePassed(), state=state, now=soon - 1) == Step(state)
    step = live(order, TimePassed(), state=state, now=soon)
    asking = Unknown(A, since=soon, others=(B,), asking=True)
    assert step == Step(asking, (LookUp(A.payment_hash),))
    assert due(order, asking) is None
    assert live(order, TimePassed(), state=asking, now=soon + 99) == Step(asking), "asked twice"
    step = live(order, PaymentSucceeded(A.payment_hash, PREIMAGE, Msat(0)), state=step.state)
    assert isinstance(step.state, Paid)


def test_news_of_another_payment_changes_nothing() -> None:
    for news in (
        PaymentUncertain(B.payment_hash),
        PaymentRefused(B.payment_hash, "no route"),
        PaymentSucceeded(B.payment_hash, PREIMAGE, Msat(0)),
    ):
        assert live(an_order(), news, state=paying(B)) == Step(paying(B))


def test_a_fresh_invoice_while_the_old_hash_is_in_flight_is_not_paid() -> None:
    order = an_order(provider=ANN)
    fresh = an_offer(ANN, 10, copy_of=CID)
    for state in (paying(), Unknown(A, since=START)):
        assert live(order, OfferHeard(fresh), state=state) == Step(state)


def test_an_unknown_payment_outlives_every_deadline() -> None:
    state = Unknown(A, since=START)
    late = live(an_order(), TimePassed(), CancelAsked(), state=state, now=DEADLINE * 2).state
    assert isinstance(late, Unknown)


def test_after_a_definite_failure_the_next_offer_is_paid() -> None:
    step = live(an_order(), PaymentRefused(A.payment_hash, "no route"), state=paying(B))
    assert step.state == Reserving(B)
    assert step.acts == (Release(A.payment_hash), Reserve(B.payment_hash, B.amount, FEE))
    step = live(an_order(), PaymentRefused(B.payment_hash, "no route"), state=paying(offer=B))
    assert step.state == NotServed("payment failed: no route", Cause.PAYMENT)


def test_an_answer_that_came_before_the_payment_failed_is_kept_and_nobody_else_is_paid() -> None:
    news = (ResultHeard(answer_of(ANN)), PaymentRefused(A.payment_hash, "no route"))
    step = live(an_order(), *news, state=paying(B))
    assert step == Step(Done(answer_of(ANN)), (Release(A.payment_hash),))


def test_a_result_before_the_wallets_word_waits_for_it() -> None:
    order = an_order()
    state = live(order, ResultHeard(answer_of(ANN)), state=paying()).state
    assert state == Paying(A, answer=answer_of(ANN))
    state = live(order, PaymentUncertain(A.payment_hash), state=state).state
    step = live(order, PaymentSucceeded(A.payment_hash, PREIMAGE, Msat(1)), state=state)
    assert step.state == Done(answer_of(ANN), A, PREIMAGE, Msat(1))


def test_invoice_from_a_and_result_from_b_is_not_an_answer() -> None:
    paid = Paid(A, PREIMAGE, Msat(0))
    for state in (paying(), paid, Chosen(A), Reserving(A)):
        assert live(an_order(), ResultHeard(answer_of(BOB)), state=state) == Step(state)


def test_an_error_from_c_does_not_end_a_job_of_a() -> None:
    paid = Paid(A, PREIMAGE, Msat(0))
    for state in (paying(), paid, Chosen(A), Reserving(A)):
        assert live(an_order(), ErrorHeard(CID, "busy"), state=state) == Step(state)
    targeted = an_order(provider=ANN)
    assert live(targeted, ErrorHeard(CID, "busy")) == Step(Draft())


def test_of_two_providers_that_both_deliver_the_first_counts() -> None:
    state = live(an_order(), ResultHeard(answer_of(ANN)), ResultHeard(answer_of(BOB))).state
    assert state == Done(answer_of(ANN))


def test_a_provider_that_refuses_withdraws_its_offer() -> None:
    order = an_order()
    state = live(order, OfferHeard(A), OfferHeard(B), ErrorHeard(ANN, "busy")).state
    assert state == Published((B,), START + 2)
    assert live(order, ErrorHeard(BOB, "busy"), state=state).state == Published()
    assert live(an_order(provider=ANN), ErrorHeard(ANN, "busy")).state == NotServed(
        "the provider refused: busy", Cause.PROVIDER
    )


def test_offers_that_expired_in_the_window_are_forgotten() -> None:
    soon = an_offer(ANN, expires=EXPIRY_MARGIN_SECONDS)
    state = live(an_order(), TimePassed(), state=Published((soon,), START), now=START + 1).state
    assert state == Published()


def test_paid_and_not_answered_by_the_deadline_is_disputed_until_the_answer_comes() -> None:
    order, paid = an_order(), Paid(A, PREIMAGE, Msat(0))
    assert live(order, TimePassed(), state=paid, now=DEADLINE - 1) == Step(paid)
    state = live(order, TimePassed(), state=paid, now=DEADLINE).state
    assert state == Disputed(A, PREIMAGE, Msat(0), "paid, and not answered in time")
    late = live(order, ResultHeard(answer_of(ANN)), state=state, now=DEADLINE + 9)
    assert late.state == Done(answer_of(ANN), A, PREIMAGE, Msat(0))


def test_paid_and_then_refused_is_disputed_at_once() -> None:
    state = live(an_order(), ErrorHeard(ANN, "oops"), state=Paid(A, PREIMAGE, Msat(0))).state
    assert isinstance(state, Disputed)
    assert state.reason == "paid, then refused: oops"


def test_an_order_found_after_its_deadline_pays_for_nothing() -> None:
    step = live(an_order(), TimePassed(), state=Published((A,), START), now=DEADLINE)
    assert step == Step(NotServed("no provider answered in time", Cause.TIME), (PublishCancel(),))
    assert live(an_order(), TimePassed(), now=DEADLINE).state == NotServed(
        "no relay took the request in time", Cause.RELAYS
    )
    step = live(an_order(), BudgetReserved(A.payment_hash), state=Reserving(A), now=DEADLINE)
    assert not any(isinstance(act, Pay) for act in step.acts)
    assert isinstance(step.state, NotServed)


def test_a_request_every_relay_refuses_is_not_served() -> None:
    state = live(an_order(), RequestRefused("blocked: no")).state
    assert state == NotServed("no relay takes the request: blocked: no", Cause.RELAYS)
