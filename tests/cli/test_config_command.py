"""`pylon config` shows what is in force."""

import json
from pathlib import Path

import pytest

from pylon.config import Config
from pylon.config.reading import parse
from tests.cli.conftest import Pylon


def test_the_configuration_in_force_is_shown_as_a_file(
    pylon: Pylon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLON_PORT", "7001")

    shown = pylon("config", "show").out

    assert "\nport = 7001\n" in shown
    assert parse(shown, source="shown").relay.port == 7001


def test_the_configuration_in_force_is_shown_as_json(pylon: Pylon) -> None:
    value = json.loads(pylon("config", "show", "--json").out)

    assert set(value) == {
        *("node", "relay", "backends", "provider", "pricing", "buyer", "wallet", "budget"),
    }
    assert value["relay"]["port"] == Config().relay.port


def test_the_path_says_whether_there_is_a_file(pylon: Pylon, machine: Path) -> None:
    assert json.loads(pylon("config", "path", "--json").out) == {
        "path": str(machine / ".pylon" / "config.toml"),
        "exists": False,
    }


def test_the_version_has_a_stable_shape(pylon: Pylon) -> None:
    assert set(json.loads(pylon("version", "--json").out)) == {"version", "python"}
