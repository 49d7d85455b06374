"""Data goes to stdout, talk to stderr, and nothing hostile to either."""

import io
import json
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.cli import output
from pylon.cli.exit_codes import ExitCode
from pylon.cli.output import OutputLost, ReaderGone, clean, data, emit, say, stream, table
from pylon.errors import Misconfigured
from tests.cli.conftest import Pylon
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


class Full(io.StringIO):
    def write(self, _: str) -> int:
        raise OSError(28, "No space left on device")


def test_output_that_cannot_be_written_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Full())

    with pytest.raises(OutputLost, match="cannot be written: No space left on device"):
        data("42")


def test_a_full_disk_behind_the_output_ends_a_command_with_one_line(machine: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "pylon", "version", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert ended.returncode == ExitCode.FAILURE
    assert ended.stderr == "pylon: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("columns", [60, 100])
def test_on_a_terminal_a_long_line_goes_on_below_itself(
    machine: Path, columns: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with terminal("job", "list", environ={"COLUMNS": str(columns), "NO_COLOR": "1"}) as person:
        person.end()

    first, *rest = person.shown.replace("\r\n", "\n").removesuffix("\n").split("\n")
    assert len(first) <= columns
    assert first.startswith("pylon: no identity in")
    assert all(line.startswith("  ") for line in rest)
    assert "`pylon init`" in " ".join(person.shown.split())


def test_elsewhere_lines_are_left_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    output.say("word " * 60)

    assert capsys.readouterr().err == "word " * 60 + "\n"


def test_labels_and_values_are_aligned() -> None:
    assert output.fields([("a", "1"), ("long label", "2\n3")]) == ("a           1\nlong label  2 3")


def test_a_table_on_a_narrow_terminal_loses_nothing_of_its_last_column(machine: Path) -> None:
    folder = machine / ".local" / "share" / "pylon" / "models"
    folder.mkdir(parents=True)
    (folder / "tiny-model-for-a-test-with-a-long-name.gguf").write_bytes(
        b"GGUF\3\0\0\0" + b"\0" * 64
    )

    with terminal("model", "list", environ={"COLUMNS": "60"}) as person:
        assert person.end() == 0

    assert "NAME" in person.shown
    assert "longname" in re.sub(r"[\s-]", "", person.shown.split("MB")[1])


def test_a_table_that_is_too_wide_for_a_terminal_cuts_no_amount_off(
    pylon: Pylon, machine: Path
) -> None:
    assert pylon("init").status == 0

    with terminal("budget", "show", environ={"COLUMNS": "30", "NO_COLOR": "1"}) as person:
        assert person.end() == 0

    assert "SET ASIDE" in person.shown
    assert re.search(r"per provider +-", person.shown)
    assert person.shown.count("10,000 sat") == 2  # the cap for a day, and what is left of it
