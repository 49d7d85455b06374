"""What a person is told while an order is under way."""

import pytest
from attrs import evolve

from pylon.cli.following import Follower
from pylon.core.order_mail import (
    OfferDoubted,
    OfferRefused,
    OrderChanged,
    PartialHeard,
    StatusHeard,
)
from pylon.model import order as orders
from pylon.model.ids import JobId
from pylon.model.money import PayMode
from tests.cli.orders import (
    FEE,
    HELD_OFFER,
    LOCKED_ANSWER,
    NPUB,
    OFFER,
    ORDER,
    PREIMAGE,
    SELLER,
)

WHO = f"({NPUB[:12]}...)"
ID = JobId(ORDER.id)

Shown = pytest.CaptureFixture[str]


def follower(*, pieces: bool = False, quiet: bool = False) -> Follower:
    return Follower(ORDER, show_pieces=pieces, quiet=quiet)


def changed(state: orders.OrderState) -> OrderChanged:
    return OrderChanged(ORDER, state)


def test_the_turns_of_an_order_are_told_once_each(capsys: Shown) -> None:
    told = follower()
    for state in (
        orders.Draft(),
        orders.Published(),
        orders.Published((OFFER,)),
        orders.Chosen(OFFER),
        orders.Reserving(OFFER),
        orders.Paying(OFFER),
        orders.Unknown(OFFER, 0),
        orders.Paid(OFFER, PREIMAGE, FEE),
    ):
        told.tell(changed(state))
    told.tell(StatusHeard(ID, SELLER, "processing", ""))
    told.tell(StatusHeard(ID, SELLER, "success", ""))
    told.tell(StatusHeard(ID, SELLER, "error", "too long"))
    told.tell(OfferRefused(ID, SELLER, "12 sat is above the limit"))

    assert capsys.readouterr().err.splitlines() == [
        "  request published; an answer may take 600 s at most",
        f"  offer: 12 sat {WHO}",
        "  the payment's outcome is not known; it is being looked up",
        "  paid 12 sat and 0.101 sat in fees",
        f"  processing {WHO}",
        f"  error: too long {WHO}",
        f"  offer not accepted: 12 sat is above the limit {WHO}",
    ]


def test_a_payment_that_is_held_is_told_as_what_it_is(capsys: Shown) -> None:
    told = follower()
    for state in (
        orders.Paying(HELD_OFFER),
        orders.Unknown(HELD_OFFER, 0),
        orders.Unknown(HELD_OFFER, 9, answer=LOCKED_ANSWER),
        orders.Paid(HELD_OFFER, PREIMAGE, FEE, LOCKED_ANSWER),
    ):
        told.tell(changed(state))

    assert capsys.readouterr().err.splitlines() == [
        "  12 sat held until the answer is there",
        "  the answer is there, locked until it is paid",
        "  paid 12 sat and 0.101 sat in fees",
        "  opening the answer with what was paid for",
    ]


def test_what_is_held_can_be_called_off_and_what_is_paid_cannot(capsys: Shown) -> None:
    told = follower()
    told.tell(changed(orders.Paying(HELD_OFFER)))
    assert not told.paying
    told.tell(changed(orders.Paying(HELD_OFFER, cancelled=True)))
    assert "called off; what is held comes back" in capsys.readouterr().err
    told.tell(changed(orders.Paying(OFFER)))
    assert told.paying


def test_an_offer_that_brings_its_answer_says_so(capsys: Shown) -> None:
    offer = evolve(OFFER, mode=PayMode.LOCKED, answer=LOCKED_ANSWER)
    follower().tell(changed(orders.Reserving(offer)))
    assert capsys.readouterr().err.splitlines() == [
        f"  offer: 12 sat {WHO}",
        "  the answer is there, locked until it is paid",
    ]


@pytest.mark.parametrize("quiet", [False, True])
def test_a_doubt_about_an_offer_is_told_once_also_to_programs(capsys: Shown, quiet: bool) -> None:
    told = follower(quiet=quiet)
    for _ in range(2):
        told.tell(OfferDoubted(ID, SELLER, "its Lightning node is another"))

    assert capsys.readouterr().err == f"pylon: warning: its Lightning node is another {WHO}\n"


def test_pieces_are_shown_in_the_order_they_were_made(capsys: Shown) -> None:
    told = follower(pieces=True)
    for seq, text in ((1, "and "), (2, "two"), (0, "two "), (1, "and ")):
        told.tell(PartialHeard(ID, SELLER, text, seq))

    assert capsys.readouterr().out == "two and two"
    assert told.pieces.text == "two and two"


def test_no_line_is_told_in_the_middle_of_an_answer(capsys: Shown) -> None:
    told = follower(pieces=True)
    told.tell(PartialHeard(ID, SELLER, "two ", 0))
    told.tell(StatusHeard(ID, SELLER, "processing", ""))

    assert capsys.readouterr().err == ""


def test_where_pieces_are_not_wanted_none_is_shown(capsys: Shown) -> None:
    told = follower()
    told.tell(PartialHeard(ID, SELLER, "two ", 0))

    assert capsys.readouterr().out == ""


def test_programs_are_told_nothing_on_the_way(capsys: Shown) -> None:
    told = follower(quiet=True)
    told.tell(changed(orders.Published()))
    told.tell(StatusHeard(ID, SELLER, "error", "no"))

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("state", "too_late"),
    [
        (orders.Chosen(OFFER), False),
        (orders.Paying(OFFER), True),
        (orders.Paid(OFFER, PREIMAGE, FEE), True),
    ],
)
def test_it_is_known_when_it_is_too_late_to_call_off(
    state: orders.OrderState, too_late: bool
) -> None:
    told = follower()
    told.tell(changed(state))

    assert told.paying is too_late
