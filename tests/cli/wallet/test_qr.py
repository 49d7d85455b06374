"""QR codes of invoices."""

import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st

from pylon.cli.wallet.qr import QUIET, modules, render
from tests.cli.conftest import Pylon
from tests.cli.terminal import terminal

INVOICE = "lnbcrt1p" + "x0" * 130
_DARK = {" ": (1, 1), "▄": (1, 0), "▀": (0, 1), "█": (0, 0)}


def read_back(lines: list[str]) -> list[list[int]]:
    """Read drawn modules, two a character, and take the quiet zone away."""
    rows = [[_DARK[glyph][half] for glyph in line] for line in lines for half in (0, 1)]
    edges = (*rows[:QUIET], *rows[-QUIET - 1 : -1])
    assert all(not any(row) for row in edges)
    assert all(not any((*row[:QUIET], *row[-QUIET:])) for row in rows[:-1])
    return [row[QUIET:-QUIET] for row in rows[QUIET : -QUIET - 1]]


@given(st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=600))
def test_what_is_drawn_is_the_code_of_the_invoice_in_capitals(bolt11: str) -> None:
    wanted = segno.make_qr(bolt11.upper(), error="l", boost_error=False)

    assert wanted.mode in ("alphanumeric", "numeric")
    assert read_back(render(modules(bolt11))) == [list(row) for row in wanted.matrix]


def test_what_no_code_can_hold_is_not_drawn() -> None:
    assert modules("a" * 5000) == []
    assert render([]) == []


def shown_code(shown: str) -> list[str]:
    lines = [line.strip("\r") for line in shown.split("\n")]
    return [line for line in lines if line and set(line) <= set(_DARK)]


@pytest.fixture
def home(pylon: Pylon, buyer: str) -> str:
    return buyer


def test_a_terminal_shows_the_code_above_the_invoice(home: str) -> None:
    with terminal(
        *("--home", home, "wallet", "invoice", "12"), environ={"COLUMNS": "80", "NO_COLOR": "1"}
    ) as person:
        assert person.end() == 0

    bolt11 = person.shown.split()[-1]
    assert bolt11.startswith("lnbcrt120n1")
    assert read_back(shown_code(person.shown)) == modules(bolt11)
    assert "\x1b" not in person.shown


def test_a_terminal_with_colour_gets_light_on_dark(home: str) -> None:
    with terminal("--home", home, "wallet", "invoice", "12", environ={"COLUMNS": "80"}) as person:
        assert person.end() == 0

    assert "\x1b[97;40m████" in person.shown


@pytest.mark.parametrize(
    ("environ", "options"),
    [
        ({"COLUMNS": "40"}, ()),
        ({"COLUMNS": "80", "PYTHONIOENCODING": "ascii"}, ()),
        ({"COLUMNS": "80"}, ("--json",)),
    ],
)
def test_where_it_does_not_fit_there_is_the_invoice_alone(
    home: str, environ: dict[str, str], options: tuple[str, ...]
) -> None:
    with terminal("--home", home, "wallet", "invoice", "12", *options, environ=environ) as person:
        assert person.end() == 0

    assert shown_code(person.shown) == []
    assert "lnbcrt120n1" in person.shown


def test_a_program_gets_the_invoice_alone(pylon: Pylon, home: str) -> None:
    ran = pylon("--home", home, "wallet", "invoice", "12")

    assert ran.out.startswith("lnbcrt120n1")
    assert ran.out.count("\n") == 1
    assert ran.err == ""
