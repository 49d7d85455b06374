"""What an order does with each piece of news, and what it leaves alone."""

from typing import Any

import pytest
from attrs import evolve

from pylon.core.order_machine import (
    EXPIRY_MARGIN_SECONDS,
    LATE_LOOKUP_SECONDS,
    LOOKUP_SECONDS,
    MAX_OFFERS,
    MAX_REFUND_INVOICES,
    REFUND_EXPIRY_SECONDS,
    REFUND_LOOKUP_SECONDS,
    REFUND_PATIENCE_SECONDS,
    WORD_SECONDS,
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
    best,
    due,
    is_final,
    is_owed,
)
from pylon.model.ids import EventId, PaymentHash, PublicKey
from pylon.model.money import Msat, PayMode
from pylon.model.order import (
    Cause,
    Cheated,
    Chosen,
    Declined,
    Disputed,
    Done,
    Draft,
    Failure,
    NotServed,
    Offer,
    OrderState,
    Paid,
    Paying,
    Published,
    Reclaiming,
    Refunded,
    Reserving,
    Unknown,
    Withdrawn,
    offer_of,
)
from pylon.model.wallet import IssuedInvoice
from tests.core.buying import (
    ANN,
    BOB,
    CID,
    DEADLINE,
    FEE,
    PREIMAGE,
    START,
    A,
    B,
    an_offer,
    an_order,
    answer_of,
    live,
    locked_by,
)

REFUND = IssuedInvoice("lnbcrt100n1ours", PaymentHash("ours"), A.amount, START, START + 86_400)


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


# Modes of payment.


def test_a_locked_offer_brings_its_answer_and_is_done_only_once_it_is_opened() -> None:
    offer = an_offer(ANN, mode=PayMode.LOCKED)
    assert offer.answer is not None
    order, spend = an_order(provider=ANN), Spend(offer.payment_hash, offer.amount, Msat(3))
    step = live(order, OfferHeard(offer), BudgetReserved(offer.payment_hash))
    step = live(order, PaymentSucceeded(offer.payment_hash, PREIMAGE, Msat(3)), state=step.state)
    paid = Paid(offer, PREIMAGE, Msat(3), offer.answer)
    assert step == Step(paid, (spend, Open(offer.answer.result, PREIMAGE)))
    assert due(order, paid) is None, "the opener answers, whatever the time"
    assert live(order, TimePassed(), state=paid, now=DEADLINE) == Step(paid)
    assert live(order, Opened(answer_of(ANN).result), state=paid) == Step(paid)
    step = live(order, Opened(offer.answer.result), state=paid)
    assert step == Step(Done(offer.answer, offer, PREIMAGE, Msat(3)))


def test_paid_for_what_does_not_open_is_cheated_and_the_proof_is_kept() -> None:
    offer = an_offer(ANN, mode=PayMode.LOCKED)
    assert offer.answer is not None
    paid = Paid(offer, PREIMAGE, Msat(3), offer.answer)
    assert live(an_order(), NotOpened(answer_of(ANN).result, "no"), state=paid) == Step(paid)
    step = live(an_order(), NotOpened(offer.answer.result, "not what was promised"), state=paid)
    cheated = Cheated(offer, PREIMAGE, Msat(3), offer.answer, "not what was promised")
    assert step == Step(cheated)
    for news in (Opened(offer.answer.result), ResultHeard(answer_of(ANN)), ReclaimAsked()):
        assert live(an_order(), news, state=cheated) == Step(cheated)


@pytest.mark.parametrize(
    ("state", "news"),
    [
        (Draft(), OfferHeard(A)),
        (Published((A,), window_ends=START), TimePassed()),
        (Chosen(A), Approved(A.payment_hash)),
        (Reserving(A), BudgetReserved(A.payment_hash)),
        (Unknown(A, START), PaymentRefused(A.payment_hash, "no", never_begun=True)),
    ],
)
def test_whoever_has_cheated_is_not_paid_for_what_it_offered_before(
    state: OrderState, news: News
) -> None:
    order = an_order()
    good = advance(order, state, news, START)
    barred = advance(order, state, news, START, cheats={ANN})
    assert offer_of(good.state) == A or A in getattr(good.state, "offers", ())
    assert offer_of(barred.state) is None
    assert A not in getattr(barred.state, "offers", ())
    assert not any(isinstance(act, Reserve | Pay) for act in barred.acts)


def test_an_approval_that_comes_after_the_fraud_says_so() -> None:
    step = advance(an_order(), Chosen(A), Approved(A.payment_hash), START, cheats={ANN})
    assert step.state == NotServed("its provider cheated before it was approved", Cause.TIME)


def test_a_held_payment_opens_the_locked_answer_that_came_before_it_settled() -> None:
    offer, locked = an_offer(ANN, mode=PayMode.HOLD_LOCKED), locked_by(ANN)
    order = an_order(provider=ANN)
    state = live(order, ResultHeard(locked), state=paying(offer=offer)).state
    assert state == Paying(offer, answer=locked)
    step = live(order, PaymentSucceeded(offer.payment_hash, PREIMAGE, Msat(0)), state=state)
    assert step.state == Paid(offer, PREIMAGE, Msat(0), locked)
    assert step.acts[1:] == (Open(locked.result, PREIMAGE),)


def test_an_answer_locked_with_another_key_is_not_the_one_that_is_paid_for() -> None:
    offer = an_offer(ANN, mode=PayMode.HOLD_LOCKED)
    for state in (paying(offer=offer), Unknown(offer, START), Paid(offer, PREIMAGE, Msat(0))):
        step = live(an_order(), ResultHeard(locked_by(ANN, key_of=BOB)), state=state)
        assert step == Step(state)


def test_a_locked_answer_before_anything_is_bought_is_no_gift() -> None:
    for state in (Draft(), Published((A,), START + 2), Chosen(A), Reserving(A)):
        assert live(an_order(), ResultHeard(locked_by(ANN)), state=state) == Step(state)


def test_an_answer_that_needs_no_key_is_preferred_to_one_that_does() -> None:
    offer = an_offer(ANN, mode=PayMode.HOLD_LOCKED)
    news = (ResultHeard(locked_by(ANN)), ResultHeard(answer_of(ANN)), ResultHeard(locked_by(ANN)))
    state = live(an_order(), *news, state=paying(offer=offer)).state
    assert state == Paying(offer, answer=answer_of(ANN))
    sold = an_offer(ANN, mode=PayMode.LOCKED)
    given = Paying(sold, answer=answer_of(ANN))
    done = live(an_order(), PaymentSucceeded(A.payment_hash, PREIMAGE, Msat(0)), state=given)
    assert done.state == Done(answer_of(ANN), sold, PREIMAGE, Msat(0))


def test_of_two_locked_answers_the_first_is_opened() -> None:
    offer, first = an_offer(ANN, mode=PayMode.HOLD_LOCKED), locked_by(ANN)
    second = evolve(first, result=EventId("another"))
    paid = live(an_order(), ResultHeard(first), state=Paid(offer, PREIMAGE, Msat(0))).state
    assert live(an_order(), ResultHeard(second), state=paid) == Step(paid)
    state = live(an_order(), ResultHeard(first), ResultHeard(second), state=paying(offer=offer))
    assert state.state == Paying(offer, answer=first)


def test_an_offer_in_a_mode_that_is_not_accepted_is_no_offer() -> None:
    order = an_order(provider=ANN, accepts=(PayMode.LOCKED,))
    assert live(order, OfferHeard(A)) == Step(Draft())
    assert isinstance(live(order, OfferHeard(an_offer(ANN, mode=PayMode.LOCKED))).state, Reserving)


def test_a_hold_that_comes_back_after_bad_news_names_the_providers_reason() -> None:
    offer = an_offer(ANN, mode=PayMode.HOLD)
    failed = live(an_order(), ErrorHeard(ANN, "no memory"), state=paying(offer=offer)).state
    assert failed == Paying(offer, failure=Failure("no memory"))
    failed = live(an_order(), PaymentUncertain(offer.payment_hash), state=failed).state
    step = live(an_order(), PaymentRefused(offer.payment_hash, "cancelled"), state=failed)
    assert step.state == NotServed("no memory", Cause.PROVIDER)
    assert step.acts == (Release(offer.payment_hash), PublishCancel())


def test_a_hold_that_comes_back_without_a_word_is_given_a_moment_to_be_explained() -> None:
    offer, order = an_offer(ANN, mode=PayMode.HOLD), an_order()
    refused = PaymentRefused(offer.payment_hash, "cancelled")
    back = Unknown(offer, START, returned="cancelled")
    for state in (paying(offer=offer), Unknown(offer, START - 2, asking=True)):
        step = live(order, refused, state=state)
        assert step.state == back
        assert step.acts == ()
    release, off = Release(offer.payment_hash), PublishCancel()
    assert due(order, back) == START + WORD_SECONDS
    for other in (refused, ErrorHeard(BOB, "busy"), TimePassed(), ResultHeard(locked_by(ANN))):
        assert live(order, other, state=back) == Step(back)
    told = live(order, ErrorHeard(ANN, "no memory"), state=back)
    assert told == Step(NotServed("no memory", Cause.PROVIDER), (release, off))
    silent = live(order, TimePassed(), state=back, now=START + WORD_SECONDS)
    assert silent == Step(NotServed("payment failed: cancelled", Cause.PAYMENT), (release, off))
    assert live(order, CancelAsked(), state=back) == Step(Withdrawn(), (release, off))
    given = live(order, ResultHeard(answer_of(ANN)), state=back)
    assert given == Step(Done(answer_of(ANN)), (release,))
    paid = live(order, PaymentSucceeded(offer.payment_hash, PREIMAGE, Msat(0)), state=back)
    assert paid.state == Paid(offer, PREIMAGE, Msat(0)), "a wallet that was wrong is believed"


def test_whoever_has_cheated_since_its_offer_was_heard_is_not_paid() -> None:
    order = an_order(auto_pay=False)
    offers, cheats = Published((A, B), START), {ANN}
    assert advance(order, offers, TimePassed(), START, cheats=cheats).state == Chosen(B)
    step = advance(order, Chosen(A), Approved(A.payment_hash), START, cheats=cheats)
    assert step.state == NotServed("its provider cheated before it was approved", Cause.TIME)
    step = advance(order, Reserving(A, (B,)), BudgetReserved(A.payment_hash), START, cheats=cheats)
    assert step.state == Chosen(B)


def test_after_a_hold_that_came_back_the_next_offer_is_chosen_by_history() -> None:
    offer = an_offer(ANN, mode=PayMode.HOLD)
    cheap, dear = an_offer(BOB, 10), an_offer(CID, 12)
    news = ErrorHeard(ANN, "no memory")
    state = Unknown(offer, START, others=(cheap, dear), returned="cancelled")
    assert advance(an_order(), state, news, START).state == Reserving(cheap, (dear,))
    assert advance(an_order(), state, news, START, {BOB: 1}).state == Reserving(dear, (cheap,))


def test_a_hold_that_comes_back_after_the_answer_was_given_costs_nothing() -> None:
    offer = an_offer(ANN, mode=PayMode.HOLD)
    news = (ResultHeard(answer_of(ANN)), PaymentRefused(offer.payment_hash, "cancelled"))
    step = live(an_order(), *news, state=paying(B, offer=offer))
    assert step == Step(Done(answer_of(ANN)), (Release(offer.payment_hash),))


def test_a_locked_answer_whose_payment_failed_is_no_answer() -> None:
    offer = an_offer(ANN, mode=PayMode.LOCKED)
    step = live(
        an_order(), PaymentRefused(offer.payment_hash, "no route"), state=paying(offer=offer)
    )
    assert step.state == NotServed("payment failed: no route", Cause.PAYMENT)


def test_what_is_held_can_be_called_off_and_what_is_paid_cannot() -> None:
    held = an_offer(ANN, mode=PayMode.HOLD)
    for state in (paying(B, offer=held), Unknown(held, START, others=(B,))):
        step = live(an_order(), CancelAsked(), state=state)
        assert step == Step(evolve(state, cancelled=True), (PublishCancel(),))
        assert live(an_order(), CancelAsked(), state=step.state) == Step(step.state)
        back = live(an_order(), PaymentRefused(held.payment_hash, "gone"), state=step.state)
        assert back == Step(Withdrawn(), (Release(held.payment_hash),))
    sold = an_offer(ANN, mode=PayMode.LOCKED)
    assert live(an_order(), CancelAsked(), state=paying(offer=sold)) == Step(paying(offer=sold))


def test_a_cancel_that_comes_too_late_is_paid_and_answered() -> None:
    held = an_offer(ANN, mode=PayMode.HOLD)
    state = live(an_order(), CancelAsked(), state=paying(offer=held)).state
    step = live(an_order(), PaymentSucceeded(held.payment_hash, PREIMAGE, Msat(0)), state=state)
    assert step.state == Paid(held, PREIMAGE, Msat(0))


def test_what_is_still_held_at_the_deadline_is_asked_back_once() -> None:
    held, order = an_offer(ANN, mode=PayMode.HOLD_LOCKED), an_order()
    state = Unknown(held, DEADLINE - LOOKUP_SECONDS)
    step = live(order, TimePassed(), state=state, now=DEADLINE)
    asked = Unknown(held, DEADLINE, cancelled=True, asking=True)
    assert step == Step(asked, (PublishCancel(), LookUp(held.payment_hash)))
    again = evolve(asked, asking=False)
    assert due(order, again) == DEADLINE + LATE_LOOKUP_SECONDS
    step = live(order, TimePassed(), state=again, now=DEADLINE + LATE_LOOKUP_SECONDS)
    assert step.acts == (LookUp(held.payment_hash),)
    back = live(order, PaymentRefused(held.payment_hash, "gone"), state=asked, now=DEADLINE + 3)
    assert back.state == NotServed("no answer in time", Cause.TIME)
    assert back.acts == (Release(held.payment_hash),)


def test_what_is_held_for_an_answer_that_is_there_is_not_asked_back() -> None:
    held = an_offer(ANN, mode=PayMode.HOLD_LOCKED)
    state = Unknown(held, START, answer=locked_by(ANN))
    step = live(an_order(), TimePassed(), state=state, now=DEADLINE)
    assert step.acts == (LookUp(held.payment_hash),)


def test_a_payment_the_wallet_never_began_is_begun_again_while_the_offer_stands() -> None:
    never = PaymentRefused(A.payment_hash, "the wallet never began the payment", never_begun=True)
    state = Unknown(A, START, others=(B,), asking=True)
    step = live(an_order(), never, state=state)
    assert step == Step(Paying(A, (B,)), (Pay(A.bolt11, A.payment_hash, FEE),))
    assert live(an_order(), never, state=step.state) == Step(step.state), "told twice"
    late = live(an_order(), never, state=state, now=DEADLINE)
    assert isinstance(late.state, NotServed)
    assert Release(A.payment_hash) in late.acts


def test_a_payment_the_wallet_never_began_is_not_begun_again_for_nothing() -> None:
    never = PaymentRefused(A.payment_hash, "the wallet never began the payment", never_begun=True)
    held = an_offer(ANN, mode=PayMode.HOLD)
    for state in (
        Unknown(A, START, failure=Failure("no memory")),
        Unknown(A, START, answer=answer_of(ANN)),
        Unknown(held, START, cancelled=True),
    ):
        step = live(an_order(), never, state=state)
        assert Release(A.payment_hash) in step.acts
        assert not any(isinstance(act, Pay) for act in step.acts)


# Money that is owed back.


def reclaiming(**changes: Any) -> Reclaiming:
    claim = Reclaiming(A, PREIMAGE, Msat(0), "paid, then refused: no memory", A.amount)
    return evolve(claim, **changes)


def test_bad_news_after_the_payment_with_a_refund_makes_an_invoice_for_it() -> None:
    news = ErrorHeard(ANN, "no memory", A.amount)
    make = MakeRefundInvoice(A.amount, 1, REFUND_EXPIRY_SECONDS)
    for state in (
        Paid(A, PREIMAGE, Msat(0)),
        Disputed(A, PREIMAGE, Msat(0), "paid, and not answered in time"),
    ):
        assert live(an_order(), news, state=state) == Step(reclaiming(), (make,))
    overtaken = live(an_order(), news, state=paying()).state
    step = live(an_order(), PaymentSucceeded(A.payment_hash, PREIMAGE, Msat(0)), state=overtaken)
    assert step == Step(reclaiming(), (Spend(A.payment_hash, A.amount, Msat(0)), make))


def test_more_than_was_paid_is_not_believed_to_come_back() -> None:
    news = ErrorHeard(ANN, "no memory", Msat(A.amount + 1))
    state = live(an_order(), news, state=Paid(A, PREIMAGE, Msat(0))).state
    assert state == Disputed(A, PREIMAGE, Msat(0), "paid, then refused: no memory")
    assert live(an_order(), news, state=state) == Step(state)


def test_bad_news_about_an_answer_that_is_there_changes_nothing() -> None:
    paid = Paid(A, PREIMAGE, Msat(0), locked_by(ANN))
    assert live(an_order(), ErrorHeard(ANN, "sorry", A.amount), state=paid) == Step(paid)


def test_the_invoice_for_a_refund_is_sent_and_looked_up_until_it_is_paid() -> None:
    order = an_order()
    assert due(order, reclaiming()) is None, "the wallet is asked for an invoice first"
    step = live(order, RefundInvoiceMade(REFUND), state=reclaiming())
    asked = reclaiming(invoice=REFUND, asked_at=START)
    assert step == Step(asked, (SendRefundInvoice(ANN, REFUND),))
    assert live(order, RefundInvoiceMade(REFUND), state=asked, now=START + 1) == Step(asked)
    later = START + REFUND_LOOKUP_SECONDS
    assert due(order, asked) == later
    assert live(order, TimePassed(), state=asked, now=later - 1) == Step(asked)
    step = live(order, TimePassed(), state=asked, now=later)
    assert step == Step(evolve(asked, asked_at=later), (CheckRefund(REFUND.payment_hash),))
    assert due(order, evolve(asked, asked_at=START + 100)) == START + 125
    assert due(order, evolve(asked, asked_at=START + 80_000)) == (
        START + 80_000 + REFUND_PATIENCE_SECONDS
    )
    assert live(order, RefundArrived(B.payment_hash), state=asked) == Step(asked)
    step = live(order, RefundArrived(REFUND.payment_hash), state=asked)
    assert step == Step(Refunded(A, PREIMAGE, Msat(0), asked.reason, A.amount, REFUND.payment_hash))


def test_a_refund_invoice_that_closes_unpaid_is_followed_by_another_up_to_a_limit() -> None:
    closed = RefundInvoiceClosed(REFUND.payment_hash)
    assert live(an_order(), closed, state=reclaiming()) == Step(reclaiming())
    step = live(an_order(), closed, state=reclaiming(invoice=REFUND, asked_at=START))
    make = MakeRefundInvoice(A.amount, 2, REFUND_EXPIRY_SECONDS)
    assert step == Step(reclaiming(attempt=2), (make,))
    last = reclaiming(attempt=MAX_REFUND_INVOICES, invoice=REFUND, asked_at=START)
    step = live(an_order(), closed, state=last)
    owed = Disputed(A, PREIMAGE, Msat(0), last.reason, A.amount, attempt=MAX_REFUND_INVOICES)
    assert step == Step(owed)
    make = MakeRefundInvoice(A.amount, MAX_REFUND_INVOICES + 1, REFUND_EXPIRY_SECONDS)
    step = live(an_order(), ReclaimAsked(), state=owed)
    assert step == Step(reclaiming(attempt=MAX_REFUND_INVOICES + 1), (make,))


def test_a_wallet_that_cannot_make_the_invoice_leaves_the_refund_owed() -> None:
    step = live(an_order(), RefundInvoiceImpossible("no"), state=reclaiming())
    assert step == Step(Disputed(A, PREIMAGE, Msat(0), reclaiming().reason, A.amount, attempt=1))
    asked = reclaiming(invoice=REFUND, asked_at=START)
    assert live(an_order(), RefundInvoiceImpossible("no"), state=asked) == Step(asked)


def test_asking_again_sends_the_same_invoice_again() -> None:
    asked = reclaiming(invoice=REFUND, asked_at=START)
    step = live(an_order(), ReclaimAsked(), state=asked)
    assert step == Step(asked, (SendRefundInvoice(ANN, REFUND),))
    assert live(an_order(), ReclaimAsked(), state=reclaiming()) == Step(reclaiming())
    nothing_promised = Disputed(A, PREIMAGE, Msat(0), "paid, and not answered in time")
    assert live(an_order(), ReclaimAsked(), state=nothing_promised) == Step(nothing_promised)


def test_what_is_owed_is_what_was_promised_and_has_not_come() -> None:
    disputed = Disputed(A, PREIMAGE, Msat(0), "")
    assert is_owed(reclaiming())
    assert is_owed(evolve(disputed, refund=A.amount))
    assert not is_owed(disputed)
    assert not is_owed(Paid(A, PREIMAGE, Msat(0)))


def test_time_is_news_when_something_must_have_happened_by_then() -> None:
    order, paid = an_order(), Paid(A, PREIMAGE, Msat(0))
    assert due(order, Published((A,), START + 2)) == START + 2
    assert due(order, Published((A,), DEADLINE + 9)) == DEADLINE
    waiting: tuple[OrderState, ...] = (Draft(), Published(), Chosen(A), paid)
    for state in waiting:
        assert due(order, state) == DEADLINE
    opening = evolve(paid, answer=locked_by(ANN))
    at_work: tuple[OrderState, ...] = (Reserving(A), paying(), opening, Withdrawn())
    for state in at_work:
        assert due(order, state) is None


def test_an_order_has_ended_where_nothing_is_open_between_it_and_its_payment() -> None:
    paid, disputed = Paid(A, PREIMAGE, Msat(0)), Disputed(A, PREIMAGE, Msat(0), "")
    live_states: tuple[OrderState, ...] = (Draft(), Published(), Chosen(A), Reserving(A), paid)
    for state in (*live_states, paying(), Unknown(A, START)):
        assert not is_final(state)
    ended: tuple[OrderState, ...] = (Withdrawn(), Done(answer_of(ANN)), disputed, reclaiming())
    for state in ended:
        assert is_final(state)
