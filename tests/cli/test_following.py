"""What a person is told while an order is under way."""

import pytest

from pylon.cli.following import Follower
from pylon.core.order_mail import OfferRefused, OrderChanged, PartialHeard, StatusHeard
from pylon.model import order as orders
from pylon.model.ids import JobId
from tests.cli.orders import FEE, NPUB, OFFER, ORDER, PREIMAGE, SELLER

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
