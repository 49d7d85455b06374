"""What a program and a person are told of an order, in each of its states."""

from typing import get_args

import pytest
from attrs import evolve

from pylon.cli import order_view
from pylon.cli.exit_codes import ExitCode
from pylon.model import order as orders
from pylon.model.ids import JobId
from pylon.model.job import JobInput
from pylon.model.order import Cause, OrderState
from pylon.wire import jobs
from tests.adapters.stores import samples
from tests.cli.orders import (
    ANSWER,
    CHEATED,
    DISPUTED,
    DONE,
    FEE,
    HELD_OFFER,
    JOB,
    LOCKED_ANSWER,
    NPUB,
    OFFER,
    ORDER,
    PREIMAGE,
    RECLAIMING,
    REFUND,
    REFUNDED,
    RESULT,
    SELLER,
    STATES,
)

AFTER = ORDER.deadline + 60
PICK_UP = "pylon --home ~/b job results 00000000 --wait"
GET_BACK = "pylon --home ~/b job refund 00000000 --wait"
KEYS = [
    *("id", "state", "reason", "kind", "opened_at", "deadline", "network", "max_price_msat"),
    *("provider", "price_msat", "fee_msat", "payment_hash", "preimage", "invoice", "mode"),
    *("refund_msat", "refund_payment_hash", "result", "answer"),
]


def words(state: OrderState, *, now: float | None = None) -> str:
    return order_view.in_words(ORDER, state, pylon="pylon --home ~/b", now=now)


def test_these_are_all_the_states_there_are() -> None:
    assert {type(state) for state in STATES} == set(get_args(OrderState))


@pytest.mark.parametrize("state", STATES, ids=order_view.name)
def test_programs_find_the_same_keys_in_every_state(state: OrderState) -> None:
    told = order_view.as_json(ORDER, state)

    assert list(told) == KEYS
    assert told["state"] == order_view.name(state)
    assert told["id"] == JOB


def test_a_program_is_told_what_was_paid_to_whom_for_what() -> None:
    told = order_view.as_json(ORDER, DONE, "four")

    assert (told["provider"], told["price_msat"], told["fee_msat"]) == (SELLER, 12_000, 101)
    assert (told["payment_hash"], told["preimage"]) == ("23" * 32, "cd" * 32)
    assert (told["result"], told["answer"]) == (RESULT, "four")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (orders.Draft(), f"not yet on a relay: {PICK_UP}"),
        (orders.Published((OFFER,)), f"waiting for offers (1 so far): {PICK_UP}"),
        (orders.Chosen(OFFER), f"12 sat asked; waiting for a yes: {PICK_UP}"),
        (orders.Reserving(OFFER), f"paying 12 sat: {PICK_UP}"),
        (orders.Paying(OFFER), f"paying 12 sat: {PICK_UP}"),
        (
            orders.Unknown(OFFER, samples.NOW),
            (
                "12 sat may or may not be paid, and will not be paid twice; asking the wallet: "
                f"{PICK_UP}"
            ),
        ),
        (STATES[6], f"12 sat paid; waiting for the answer: {PICK_UP}"),
        (DONE, "answered; 12 sat paid, 0.101 sat in fees"),
        (orders.Done(ANSWER), "answered, for nothing"),
        (orders.Declined("not approved", Cause.PERSON), "not approved; nothing was paid"),
        (orders.NotServed("too late", Cause.TIME), "too late; nothing was paid"),
        (
            DISPUTED,
            (
                "paid, and not answered in time; 12 sat are with the provider, "
                f"and a late answer still counts: {PICK_UP}"
            ),
        ),
        (orders.Withdrawn(), "called off; nothing was paid"),
        (
            orders.Paying(HELD_OFFER),
            f"12 sat are held until the answer is there, and come back if it never is: {PICK_UP}",
        ),
        (
            orders.Unknown(HELD_OFFER, samples.NOW),
            f"12 sat may be held until the answer is there, and come back if it never is: {PICK_UP}",
        ),
        (
            orders.Unknown(HELD_OFFER, samples.NOW, cancelled=True),
            f"called off; 12 sat may be held until the provider lets go of them: {PICK_UP}",
        ),
        (
            orders.Unknown(HELD_OFFER, samples.NOW, returned="cancelled"),
            f"12 sat came back; the provider may say why: {PICK_UP}",
        ),
        (
            orders.Paid(OFFER, PREIMAGE, FEE, LOCKED_ANSWER),
            f"12 sat paid; opening the answer: {PICK_UP}",
        ),
        (
            CHEATED,
            (
                "12 sat paid for an answer that is not what was sold: the preimage does not open "
                "the locked result; the proof is kept, and this provider is not paid any more"
            ),
        ),
        (
            RECLAIMING,
            f"paid, then refused: no memory; 12 sat are asked back: {GET_BACK}",
        ),
        (REFUNDED, "paid, then refused: no memory; 12 sat came back"),
        (
            evolve(DISPUTED, refund=OFFER.amount),
            (
                "paid, and not answered in time; 12 sat were promised back and have not come: "
                f"{GET_BACK}"
            ),
        ),
    ],
)
def test_a_person_is_told_what_a_state_means_for_the_money_and_what_to_do(
    state: OrderState, said: str
) -> None:
    assert words(state) == said
    assert words(state, now=ORDER.opened_at) == said


def test_a_program_is_told_how_it_was_paid_and_what_comes_back() -> None:
    told = order_view.as_json(ORDER, RECLAIMING)
    assert (told["mode"], told["refund_msat"]) == ("prepay", 12_000)
    assert told["refund_payment_hash"] == REFUND.payment_hash
    asked = order_view.as_json(ORDER, evolve(RECLAIMING, invoice=None))
    assert (asked["refund_msat"], asked["refund_payment_hash"]) == (12_000, None)
    back = order_view.as_json(ORDER, REFUNDED)
    assert (back["refund_msat"], back["refund_payment_hash"]) == (12_000, REFUND.payment_hash)
    assert order_view.as_json(ORDER, DISPUTED)["refund_msat"] is None
    assert order_view.as_json(ORDER, evolve(DISPUTED, refund=FEE))["refund_msat"] == FEE
    assert order_view.as_json(ORDER, CHEATED)["result"] == RESULT


def test_a_refund_is_on_the_receipt_until_and_after_it_has_come() -> None:
    for state in (RECLAIMING, REFUNDED, evolve(DISPUTED, refund=OFFER.amount)):
        assert ("refund", "12 sat") in order_view.receipt(ORDER, state, "")


def test_an_order_that_was_left_is_told_from_one_under_way() -> None:
    left = words(orders.Published(), now=AFTER)

    assert "its time is over, and this settles it: pylon" in left
    assert "its time is over" not in words(DONE, now=AFTER)
    assert "its time is over" not in words(DISPUTED, now=AFTER)


def test_the_receipt_of_a_done_job_names_all_that_proves_it() -> None:
    assert order_view.receipt(ORDER, DONE, words(DONE)) == [
        ("job", JOB),
        ("asked", "What is 2+2?"),
        ("when", "2023-11-14 22:13Z"),
        ("state", "done: answered; 12 sat paid, 0.101 sat in fees"),
        ("provider", NPUB),
        ("price", "12 sat"),
        ("fee", "0.101 sat"),
        ("paid by", "prepay"),
        ("payment hash", "23" * 32),
        ("preimage", "cd" * 32),
        ("result", RESULT),
    ]


def test_a_receipt_says_nothing_of_what_is_not_known() -> None:
    labels = [label for label, _ in order_view.receipt(ORDER, orders.Draft(), "not yet")]

    assert labels == ["job", "asked", "when", "state"]


def test_an_answer_for_nothing_has_no_price_on_its_receipt() -> None:
    labels = [label for label, _ in order_view.receipt(ORDER, orders.Done(ANSWER), "free")]

    assert labels == ["job", "asked", "when", "state", "provider", "result"]


def test_the_provider_asked_is_named_before_anybody_was_chosen() -> None:
    order = evolve(ORDER, provider=SELLER)

    assert order_view.provider(order, orders.Published()) == SELLER
    assert order_view.provider(ORDER, orders.Published()) is None


def test_a_question_is_shown_unless_it_is_hidden_or_not_to_be_read() -> None:
    chat = '{"messages": [{"role": "user", "content": "And 3+3?"}]}'
    chatting = evolve(ORDER.request, kind=5935, tags=(), content=chat)
    broken = evolve(chatting, content="{")

    assert order_view.question(ORDER) == "What is 2+2?"
    assert order_view.question(evolve(ORDER, request=chatting)) == "And 3+3?"
    assert order_view.question(evolve(ORDER, request=broken)) == "(not readable)"
    assert order_view.question(evolve(ORDER, encrypted=True)) == "(encrypted)"


def test_a_question_is_read_back_as_it_is_written() -> None:
    draft = jobs.write_request(5050, now=samples.NOW, inputs=(JobInput("How?"),))
    asked = evolve(ORDER.request, tags=draft.tags, content=draft.content)

    assert order_view.question(evolve(ORDER, request=asked)) == "How?"


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (DONE, ExitCode.OK),
        (orders.NotServed("", Cause.RELAYS), ExitCode.NETWORK),
        (orders.NotServed("", Cause.TIME), ExitCode.TIMEOUT),
        (orders.NotServed("", Cause.PROVIDER), ExitCode.PROVIDER_FAILURE),
        (orders.NotServed("", Cause.PAYMENT), ExitCode.FUNDS),
        (orders.Declined("", Cause.BUDGET), ExitCode.OVER_BUDGET),
        (orders.Declined("", Cause.PERSON), ExitCode.FAILURE),
        (DISPUTED, ExitCode.PROVIDER_FAILURE),
        (CHEATED, ExitCode.PROVIDER_FAILURE),
        (RECLAIMING, ExitCode.PROVIDER_FAILURE),
        (REFUNDED, ExitCode.PROVIDER_FAILURE),
        (orders.Paying(OFFER), ExitCode.PAYMENT_UNKNOWN),
        (orders.Unknown(OFFER, 0), ExitCode.PAYMENT_UNKNOWN),
        (orders.Withdrawn(), ExitCode.FAILURE),
        (orders.Published(), ExitCode.TIMEOUT),
    ],
)
def test_the_exit_status_says_how_an_order_ended(state: OrderState, code: ExitCode) -> None:
    assert order_view.exit_code(state) == code


def test_advice_is_for_this_home_and_only_where_it_may_help() -> None:
    broke = orders.NotServed("insufficient funds", Cause.PAYMENT)

    assert "pylon --home ~/b wallet fund" in (
        order_view.advice(broke, pylon="pylon --home ~/b") or ""
    )
    assert order_view.advice(orders.Declined("no", Cause.PERSON)) is None
    assert order_view.advice(DONE) is None


def test_a_shortened_id_is_one_that_commands_take() -> None:
    assert len(JobId(ORDER.id)[: order_view.SHORT]) >= 4
