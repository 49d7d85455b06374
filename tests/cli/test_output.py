"""Data goes to stdout, talk to stderr, and nothing hostile to either."""

import io
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.cli import output
from pylon.cli.output import ReaderGone, clean, data, emit, say, stream, table
from pylon.errors import Misconfigured
from tests.cli.terminal import terminal


@given(st.text())
def test_no_control_character_is_shown(text: str) -> None:
    shown = clean(text)

    assert not [c for c in shown if unicodedata.category(c) == "Cc" and c not in "\n\t"]
    assert not [
        c for c in shown if unicodedata.bidirectional(c) in ("RLO", "LRO", "RLE", "LRE", "RLI")
    ]


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_ordinary_text_is_shown_as_it_is(text: str) -> None:
    assert clean(text) == text


def test_an_escape_sequence_becomes_visible() -> None:
    assert clean("\x1b]0;owned\x07\u202egpj") == "\\x1b]0;owned\\x07\\u202egpj"


def test_data_and_talk_do_not_mix(capsys: pytest.CaptureFixture[str]) -> None:
    say("wait\x1b", style="bold")
    data("42\x1b", style="bold")
    stream("43\x1b")

    assert capsys.readouterr() == ("42\\x1b\n43\\x1b", "wait\\x1b\n")


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_json_is_read_back_and_harmless(value: dict[str, object]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        file = io.StringIO()
        patch.setattr("sys.stdout", file)
        emit(value, as_json=True, text="")

    assert json.loads(file.getvalue()) == value
    assert file.getvalue().isascii()
    assert file.getvalue().count("\n") == 1


def test_rows_for_programs_are_lines_of_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    table(("A", "B"), [("1", "two\twords\nand\x1b")])

    assert capsys.readouterr().out == "A\tB\n1\ttwo words and\\x1b\n"


class Gone(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_has_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Gone())

    with pytest.raises(ReaderGone):
        data("42")


def test_a_terminal_that_knows_only_ascii_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))

    data("caf\u00e9")

    assert raw.getvalue() == b"caf\\xe9\n"


def test_an_answer_that_does_not_come_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    with pytest.raises(Misconfigured, match="the input had ended"):
        output.ask("Well?")


@pytest.mark.parametrize(
    ("answer", "meant"), [("y\n", True), ("YES\n", True), ("\n", False), ("yo\n", False)]
)
def test_only_a_yes_is_a_yes(answer: str, meant: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))

    assert output.confirm("Pay?") is meant


def test_a_terminal_shows_colour_unless_told_not_to(machine: Path) -> None:
    with terminal("versoin") as coloured:
        coloured.end()
    with terminal("versoin", environ={"NO_COLOR": "1"}) as plain:
        plain.end()

    assert "\x1b[31mpylon: Unknown command" in coloured.shown
    assert "\x1b[" not in plain.shown
    assert "pylon: Unknown command" in plain.shown


def test_a_terminal_shows_json_in_lines_for_people(machine: Path) -> None:
    with terminal("version", "--json") as person:
        person.end()

    assert '{\r\n  "version": ' in person.shown
