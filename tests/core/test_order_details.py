"""Small things about orders that are easily got wrong, each found by a mistake made on purpose."""

import pytest
from attrs import evolve

from pylon.core.order_machine import (
    Approved,
    BudgetExceeded,
    BudgetReserved,
    CancelAsked,
    Denied,
    ErrorHeard,
    News,
    OfferHeard,
    PaymentUncertain,
    PublishCancel,
    Release,
    RequestPublished,
    RequestRefused,
    ResultHeard,
    Step,
    TimePassed,
    advance,
    is_owed,
)
from pylon.model.ids import PaymentHash
from pylon.model.money import Msat
from pylon.model.order import (
    Cause,
    Chosen,
    Declined,
    Disputed,
    Done,
    Draft,
    NotServed,
    OrderState,
    Paid,
    Paying,
    Published,
    Reclaiming,
    Reserving,
    Unknown,
    Withdrawn,
)
from tests.core.buying import (
    ANN,
    BOB,
    DEADLINE,
    PREIMAGE,
    START,
    A,
    B,
    an_order,
    answer_of,
)

FOREIGN = PaymentHash("f" * 64)


@pytest.mark.parametrize(("promised", "owed"), [(0, False), (1, True)])
def test_a_provider_owes_us_from_the_first_millisatoshi_it_promises(
    promised: int, owed: bool
) -> None:
    assert is_owed(Disputed(A, PREIMAGE, Msat(0), "no answer", Msat(promised))) is owed


@pytest.mark.parametrize(("amount", "taken"), [(0, False), (1, True)])
def test_an_offer_for_nothing_is_none_and_one_for_a_millisatoshi_is_one(
    amount: int, taken: bool
) -> None:
    step = advance(an_order(), Published(), OfferHeard(evolve(A, amount=Msat(amount))), START)
    assert isinstance(step.state, Published)
    assert bool(step.state.offers) is taken


def test_only_a_draft_hears_what_relays_say_of_its_request() -> None:
    assert advance(an_order(), Draft(), RequestPublished(), START) == Step(Published())
    refused = NotServed("no relay takes the request: blocked", Cause.RELAYS)
    assert advance(an_order(), Draft(), RequestRefused("blocked"), START).state == refused
    collecting = Published((A,), START + 2)
    for news in (RequestPublished(), RequestRefused("blocked")):
        assert advance(an_order(), collecting, news, START) == Step(collecting)


@pytest.mark.parametrize(("asked", "taken"), [(None, True), (BOB, True), (ANN, False)])
def test_a_gift_is_taken_from_whoever_was_asked(asked: object, taken: bool) -> None:
    order = an_order(provider=asked)  # type: ignore[arg-type]
    step = advance(order, Published(), ResultHeard(answer_of(BOB)), START)
    assert step.state == (Done(answer_of(BOB)) if taken else Published())


def test_the_first_offer_sets_the_window_and_the_next_leaves_it() -> None:
    order = an_order()
    first = advance(order, Published(), OfferHeard(A), START).state
    assert first == Published((A,), START + order.offer_seconds)
    second = advance(order, first, OfferHeard(B), START + 1).state
    assert second == Published((A, B), START + order.offer_seconds)


@pytest.mark.parametrize(
    ("state", "news", "now", "after"),
    [
        (Chosen(A), Denied(A.payment_hash), START, Declined("not approved", Cause.PERSON)),
        (Chosen(A), CancelAsked(), START, Withdrawn()),
        (
            Chosen(A),
            TimePassed(),
            DEADLINE,
            Declined("nobody approved the offer in time", Cause.PERSON),
        ),
        (
            Chosen(A),
            Approved(A.payment_hash),
            A.expires_at,
            NotServed("the offer expired before it was approved", Cause.TIME),
        ),
        (
            Reserving(A),
            BudgetExceeded(A.payment_hash, "too much"),
            START,
            Declined("too much", Cause.BUDGET),
        ),
    ],
)
def test_who_waits_for_our_payment_is_told_that_none_will_come(
    state: OrderState, news: News, now: int, after: OrderState
) -> None:
    assert advance(an_order(), state, news, now) == Step(after, (PublishCancel(),))


def test_an_order_called_off_while_its_money_is_set_aside_gives_it_back_and_says_so() -> None:
    step = advance(an_order(), Reserving(A), CancelAsked(), START)
    assert step == Step(Withdrawn(), (Release(A.payment_hash), PublishCancel()))


@pytest.mark.parametrize(
    "news", [BudgetReserved(FOREIGN), BudgetExceeded(FOREIGN, "too much"), Approved(FOREIGN)]
)
def test_a_budget_that_speaks_of_another_payment_is_not_heard(news: News) -> None:
    assert advance(an_order(), Reserving(A), news, START) == Step(Reserving(A))


def test_what_was_called_off_stays_so_when_its_payment_becomes_unknown() -> None:
    paying = Paying(A, cancelled=True)
    step = advance(an_order(), paying, PaymentUncertain(A.payment_hash), START)
    assert step == Step(Unknown(A, START, cancelled=True))


def test_even_the_smallest_refund_is_asked_back() -> None:
    paid = Paid(A, PREIMAGE, Msat(0))
    step = advance(an_order(), paid, ErrorHeard(ANN, "out of memory", Msat(1)), START)
    assert isinstance(step.state, Reclaiming)
    assert step.state.amount == 1


def test_a_dispute_keeps_its_first_reason() -> None:
    disputed = Disputed(A, PREIMAGE, Msat(0), "paid, and not answered in time")
    step = advance(an_order(), disputed, ErrorHeard(ANN, "out of memory"), START)
    assert step == Step(disputed)
