"""Every command explains itself, with an example that is itself a command."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from cyclopts import App, CycloptsError

from pylon.cli import app
from pylon.cli.commands import COMMANDS
from pylon.cli.help_page import paragraphs
from tests.cli.conftest import Pylon


def paths(above: App, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name in above:
        if not name.startswith("-"):
            yield from paths(above[name], (*path, name))


ALL = list(paths(app))
QUIETLY: Any = {"print_error": False, "exit_on_error": False}


def examples(shown: str) -> list[str]:
    return re.findall(r"^\s*\$ (.*)$", shown, re.MULTILINE)


def test_the_walk_finds_commands_and_their_subcommands() -> None:
    assert {(), ("init",), ("wallet", "pay"), ("config", "show")} <= set(ALL)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_a_command_has_help_with_an_example(pylon: Pylon, path: tuple[str, ...]) -> None:
    ran = pylon(*path, "--help")

    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith(f"Usage: {' '.join(('pylon', *path))}")
    assert examples(ran.out)


@pytest.mark.parametrize("path", ALL[1:], ids=" ".join)
def test_an_example_uses_options_that_exist(pylon: Pylon, path: tuple[str, ...]) -> None:
    for example in examples(pylon(*path, "--help").out):
        words = shlex.split(example.partition("#")[0])
        called = words[words.index("pylon") + 1 :]
        ends = [called.index(word) for word in (">", "<", "|") if word in called]
        try:
            _, launched, _ = app.meta.parse_args(called[: min(ends, default=None)], **QUIETLY)
            app.parse_args(launched.args, **QUIETLY)
        except CycloptsError as exc:
            pytest.fail(f"{example}: {exc}")


def test_the_overview_lists_every_command_that_is_shown(pylon: Pylon) -> None:
    shown = pylon("--help").out

    for command in COMMANDS:
        line = re.search(rf"^  {command.name} +\w", shown, re.MULTILINE)
        assert bool(line) is command.show
    assert "0 done, 1 failed, 2 usage" in shown


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_fits_a_narrow_terminal_but_for_examples(
    pylon: Pylon, path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")

    lines = pylon(*path, "--help").out.splitlines()

    assert [line for line in lines if len(line) > 60 and not line.startswith("$ ")] == []
    assert "None" not in lines


def test_help_tells_a_default_that_is_worth_telling(pylon: Pylon) -> None:
    shown = pylon("relay", "--help").out

    assert "(default: 7777)" in shown
    assert "default: None" not in shown
    assert "default: False" not in shown


def test_paragraphs_are_joined_and_examples_are_not() -> None:
    text = "One line\ngoes on.\n\n$ pylon run\n$ pylon demo\nand more\n"

    assert paragraphs(text) == ["One line goes on.", "", "$ pylon run", "$ pylon demo", "and more"]


def test_completion_is_written_for_each_shell(pylon: Pylon) -> None:
    for shell, marker in (
        ("bash", "complete -F"),
        ("zsh", "#compdef pylon"),
        ("fish", "complete -c pylon"),
    ):
        ran = pylon("completion", shell)

        assert ran.status == 0
        assert marker in ran.out
        assert "whoami" in ran.out
