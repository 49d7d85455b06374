"""Whoever asks where the money is gets one answer, from every state a job can be in."""

from typing import get_args

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pylon.core import job_machine, order_machine
from pylon.core.explain.job import explain_job
from pylon.core.explain.order import explain_order
from pylon.core.explain.story import MAX_WORDS, Explanation, in_order, told_by
from pylon.model import job as jobs
from pylon.model import order as orders
from pylon.model.event import Event
from pylon.model.ids import EventId, NodeKey, PaymentHash, Preimage, PublicKey
from pylon.model.job import FeedbackStatus, JobInput
from pylon.model.money import ZERO, Msat, PayMode
from pylon.model.reply import Locked
from pylon.model.wallet import IssuedInvoice
from pylon.wire import event as events
from pylon.wire import jobs as wire
from pylon.wire.secp import KeyPair
from tests.adapters.stores import samples

NOW = samples.NOW
BUYER, SELLER = KeyPair(b"\1" * 32), KeyPair(b"\2" * 32)
HASH, PREIMAGE = PaymentHash("23" * 32), Preimage("cd" * 32)
PRICE = Msat(12_000)
RESULT = EventId("ef" * 32)
INVOICE = IssuedInvoice("lnbcrt1", HASH, PRICE, NOW, NOW + 600, PREIMAGE)
DRAFT = wire.write_request(5050, now=NOW, inputs=(JobInput("2+2?"),), pay=(PayMode.HOLD_LOCKED,))
REQUEST = events.sign(DRAFT, BUYER)
JOB = samples.job(1)
ORDER = evolve(samples.order(1), request=REQUEST)
OFFER = orders.Offer(
    provider=SELLER.public_key,
    feedback=EventId("01" * 32),
    amount=PRICE,
    bolt11="lnbcrt1",
    payment_hash=HASH,
    node_key=NodeKey("02" * 33),
    expires_at=NOW + 600,
)
HELD = evolve(OFFER, mode=PayMode.HOLD_LOCKED)
ANSWER = orders.Answer(RESULT, SELLER.public_key, Locked(HASH, "aa" * 32))
SPENT = (OFFER, PREIMAGE, Msat(7))
REASON = "the model is gone"

ORDER_STATES = [
    (orders.Draft(), "nothing is set aside"),
    (orders.Published((OFFER,)), "nothing is set aside"),
    (orders.Chosen(OFFER), "asked for; nothing"),
    (orders.Reserving(OFFER), "being set aside; nothing is paid"),
    (orders.Paying(OFFER), "being paid"),
    (orders.Paying(HELD), "held: they move when the answer is out"),
    (orders.Unknown(OFFER, NOW), "may or may not have been paid"),
    (orders.Unknown(HELD, NOW), "come back if it does not"),
    (orders.Paid(*SPENT), "with the provider"),
    (orders.Paid(*SPENT, answer=ANSWER), "with the provider"),
    (orders.Done(ANSWER, *SPENT), "12 sat were paid, and 0.007 sat in fees"),
    (orders.Done(ANSWER), "Nothing was paid"),
    (orders.Declined(REASON, orders.Cause.BUDGET), "Nothing was paid"),
    (orders.NotServed(REASON, orders.Cause.PROVIDER), "Nothing was paid"),
    (orders.Disputed(*SPENT, reason=REASON), "with the provider"),
    (orders.Disputed(*SPENT, reason=REASON, refund=PRICE), "with the provider"),
    (orders.Cheated(*SPENT, answer=ANSWER, reason=REASON), "with the provider"),
    (orders.Reclaiming(*SPENT, reason=REASON, amount=PRICE), "has promised 12 sat back"),
    (orders.Refunded(*SPENT, reason=REASON, amount=PRICE, invoice=HASH), "have come back"),
    (orders.Withdrawn(), "Nothing was paid"),
]
REFUND = jobs.Refund("lnbcrt1", HASH, Msat(5_000))
JOB_STATES = [
    (jobs.Received(), "will be asked for"),
    (jobs.Offered(INVOICE), "asked for, and not paid yet"),
    (jobs.Offered(INVOICE, closing=True), "for the last time"),
    (jobs.Working(NOW, paid=HASH), "paid before the work"),
    (jobs.Working(NOW, invoice=INVOICE, held=True), "held for us"),
    (jobs.Working(NOW, invoice=INVOICE), "will be asked for the key"),
    (jobs.Finished(RESULT, give_up_at=NOW, invoice=INVOICE), "will be asked for the key"),
    (jobs.Delivered(RESULT, INVOICE), "key to the answer, and not paid"),
    (jobs.Settling(RESULT, INVOICE), "held for us"),
    (jobs.Settled(RESULT, HASH), "are ours"),
    (jobs.Unpaid(RESULT, HASH, "not paid in time"), "never paid"),
    (jobs.Refused("too long"), "Nothing was paid"),
    (jobs.Failed(REASON), "Nothing was paid"),
    (jobs.Failed(REASON, HASH, PRICE), "owed back"),
    (jobs.Expired(HASH), "never paid"),
    (jobs.Cancelled(paid=HASH, owed=PRICE), "owed back"),
    (jobs.Refunding(REASON, HASH, PRICE, REFUND), "being paid back"),
    (jobs.Refunded(REASON, HASH, PRICE, HASH, PREIMAGE), "given back"),
]


def of_order(state: orders.OrderState, *evidence: Event, now: int = NOW) -> Explanation:
    history = [(NOW, "Draft", ""), (NOW + 5, type(state).__name__, "because")]
    return explain_order(ORDER, state, history=history, events=evidence, now=now)


def of_job(state: jobs.JobState, job: jobs.Job = JOB) -> Explanation:
    history = [(NOW, "Received", ""), (NOW + 5, type(state).__name__, "because")]
    return explain_job(job, state, history=history, events=())


def test_no_state_of_either_machine_is_left_out() -> None:
    assert {type(state) for state, _ in ORDER_STATES} == set(get_args(orders.OrderState))
    assert {type(state) for state, _ in JOB_STATES} == set(get_args(jobs.JobState))


@pytest.mark.parametrize(("state", "money"), ORDER_STATES)
def test_a_bought_job_says_where_the_money_is(state: orders.OrderState, money: str) -> None:
    told = of_order(state)

    assert money in told.money
    assert told.state == type(state).__name__
    assert [line.words for line in told.timeline if line.words.endswith(": because")]
    assert ("ended" in told.next) <= order_machine.is_final(state)


@pytest.mark.parametrize(("state", "money"), JOB_STATES)
def test_a_sold_job_says_where_the_money_is(state: jobs.JobState, money: str) -> None:
    told = of_job(state)

    assert money in told.money
    assert ("ended" in told.next) <= job_machine.is_final(state)
    assert PREIMAGE not in str(told)  # whoever has it could take what is held


def test_a_free_job_asks_for_nothing() -> None:
    free = evolve(samples.job(1), mode=PayMode.FREE, price=ZERO, backend="")

    assert of_job(jobs.Settled(RESULT), free).money == "Nothing is asked for this job."


def test_the_facts_are_what_proves_it() -> None:
    facts = dict(of_order(orders.Disputed(*SPENT, reason=REASON)).facts)
    assert facts["payment hash"] == HASH
    assert facts["preimage"] == PREIMAGE
    assert facts["why"] == REASON
    assert facts["provider"] == SELLER.public_key

    locked = dict(of_order(orders.Done(ANSWER, HELD, PREIMAGE, ZERO)).facts)
    assert (locked["result"], locked["mode"]) == (RESULT, "hold+locked")
    assert "opens" in locked["lock"]
    assert dict(of_order(orders.Done(ANSWER)).facts)["provider"] == SELLER.public_key
    assert dict(of_job(jobs.Unpaid(RESULT, HASH, "why")).facts)["payment hash"] == HASH
    assert dict(of_job(jobs.Refunded(REASON, HASH, PRICE, HASH, PREIMAGE)).facts)["refund"] == HASH


def test_an_answer_that_is_late_is_said_to_be() -> None:
    paid = orders.Paid(*SPENT)

    assert "has time" in of_order(paid).next
    assert "its time is over" in of_order(paid, now=ORDER.deadline + 1).next


def test_money_that_is_held_is_not_said_to_go_out_yet() -> None:
    for held in (orders.Paying(HELD), orders.Unknown(HELD, NOW)):
        told = of_order(held).next
        assert "takes what is held, or lets go of it" in told
        assert f"`pylon job results {ORDER.id[:8]} --wait`" in told
    assert "goes out" in of_order(orders.Paying(OFFER)).next


def test_a_state_of_a_later_version_is_named_as_it_is() -> None:
    strange = [(NOW, "Frozen", "")]

    order = explain_order(ORDER, orders.Draft(), history=strange, events=(), now=NOW)
    job = explain_job(samples.job(1), jobs.Received(), history=strange, events=())

    assert "Frozen" in [line.words for line in order.timeline]
    assert "Frozen" in [line.words for line in job.timeline]


def feedback(status: FeedbackStatus, *, text: str = "", refund: Msat = ZERO) -> Event:
    invoice = INVOICE if status is FeedbackStatus.PAYMENT_REQUIRED else None
    mode = PayMode.PREPAY if invoice else None
    draft = wire.write_feedback(
        REQUEST, status, now=NOW, text=text, invoice=invoice, mode=mode, refund=refund
    )
    return events.sign(draft, SELLER)


def result(locked: Locked | None = None, bolt11: str | None = None) -> Event:
    amount = PRICE if bolt11 else None
    draft = wire.write_result(REQUEST, "4", now=NOW, locked=locked, amount=amount, bolt11=bolt11)
    return events.sign(draft, SELLER)


def test_every_event_of_a_job_is_a_line_with_its_author() -> None:
    offer = feedback(FeedbackStatus.PAYMENT_REQUIRED)
    lock = Locked(HASH, "aa" * 32)
    sale = result(lock, "lnbcrt1")
    refund = wire.write_refund(samples.job_id(1), SELLER.public_key, "?", now=NOW, expires_at=NOW)
    told = {
        "asks, and would pay by hold+locked": told_by(REQUEST),
        "offers for 12 sat, prepay": told_by(offer),
        "offers for 12 sat, prepay; this offer is taken": told_by(offer, chosen=offer.id),
        "offers for 12 sat, prepay; not taken": told_by(offer, chosen="another"),
        "says error: out of memory": told_by(feedback(FeedbackStatus.ERROR, text="out of memory")),
        "says error, and promises 12 sat back": told_by(
            feedback(FeedbackStatus.ERROR, refund=PRICE)
        ),
        "says processing": told_by(feedback(FeedbackStatus.PROCESSING)),
        "answers": told_by(result()),
        "answers, locked until the payment is settled": told_by(result(lock)),
        "answers, and offers the key for 12 sat": told_by(sale, chosen=sale.id),
        "answers, and offers the key for 12 sat; not taken": told_by(sale, chosen="another"),
        "sends an invoice for what is owed": told_by(events.sign(refund, BUYER)),
        "calls the job off": told_by(
            events.sign(wire.write_cancel(samples.job_id(1), 5050, now=NOW), BUYER)
        ),
        "publishes an event of kind 1": told_by(samples_note()),
        "asks": told_by(events.sign(wire.write_request(5050, now=NOW), BUYER)),
    }
    assert {words: line.words for words, line in told.items()} == {words: words for words in told}
    assert told_by(offer).author == SELLER.public_key
    assert told_by(offer).event == offer.id


def samples_note() -> Event:
    return evolve(REQUEST, kind=1)


def test_an_event_that_cannot_be_read_is_still_a_line() -> None:
    broken = evolve(result(), tags=(("locked", "9"),))

    assert "cannot be read" in told_by(broken).words


@given(
    st.builds(
        Event,
        id=st.just(EventId("0")),
        pubkey=st.just(PublicKey("0")),
        created_at=st.integers(),
        kind=st.sampled_from([5, 5050, 6050, 7000, 1]),
        tags=st.lists(
            st.lists(
                st.sampled_from(["status", "amount", "locked", "pay", "refund", "error", "1"])
                | st.text(),
                max_size=4,
            ).map(tuple),
            max_size=4,
        ).map(tuple),
        content=st.text(),
        sig=st.just(""),
    )
)
def test_what_strangers_say_is_one_short_line(event: Event) -> None:
    line = told_by(event)

    assert len(line.words) <= MAX_WORDS + 1
    assert "\n" not in line.words


def test_lines_are_told_in_order_of_time() -> None:
    first, second = told_by(REQUEST), told_by(evolve(REQUEST, created_at=NOW - 1))

    assert in_order([first, second, first]) == (second, first, first)
