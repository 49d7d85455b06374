"""config.toml is found in its home, and a broken one is one line."""

from pathlib import Path

import pytest
from attrs import evolve

from pylon.adapters.config_file import change_config, load_config, save_config
from pylon.adapters.home import Home
from pylon.config import Config, NodeConfig
from pylon.errors import Misconfigured


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, tmp_path, tmp_path)


def test_a_home_without_a_file_has_the_defaults(home: Home) -> None:
    assert load_config(home, {}) == Config()


def test_what_is_saved_is_loaded_and_the_environment_comes_first(home: Home) -> None:
    saved = evolve(Config(), node=NodeConfig(network="signet", name="a"))

    save_config(home, saved)

    assert load_config(home, {}) == saved
    assert load_config(home, {"PYLON_NETWORK": "testnet"}).node.network == "testnet"
    assert home.config_file.stat().st_mode & 0o777 == 0o600


def test_a_mistake_names_the_file(home: Home) -> None:
    home.config_file.write_text("[node]\nnmae = 'x'\n")

    with pytest.raises(Misconfigured, match=f"^{home.config_file}:2: unknown key node.nmae; "):
        load_config(home, {})


def test_a_file_that_is_no_text_is_refused(home: Home) -> None:
    home.config_file.write_bytes(b"\xff\xfe")

    with pytest.raises(Misconfigured, match=f"^{home.config_file} cannot be read: "):
        load_config(home, {})


def test_a_file_that_may_not_be_read_is_refused(home: Home) -> None:
    home.config_file.mkdir()

    with pytest.raises(Misconfigured, match=f"^{home.config_file} cannot be read: Is a directory"):
        load_config(home, {})


def test_a_change_begins_with_the_defaults_where_there_is_no_file(home: Home) -> None:
    change_config(home, "wallet", {"backend": "lnd"})

    assert load_config(home, {}).wallet.backend == "lnd"
    assert "# Where lnd's REST interface answers." in home.config_file.read_text()
    assert home.config_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text",
    [
        '[node]\nabout = """\n[wallet]\n"""\n',  # no section, but looks like one
        '[wallet]\n"backend" = "ledger"\n',
        '"wallet".backend = "ledger"\n',
    ],
)
def test_a_file_that_is_written_in_another_way_is_left_to_its_author(home: Home, text: str) -> None:
    home.config_file.write_text(text)

    by_hand = rf"^{home.config_file}: set backend under \[wallet\] by hand"
    with pytest.raises(Misconfigured, match=by_hand):
        change_config(home, "wallet", {"backend": "nwc"})

    assert home.config_file.read_text() == text


def test_a_value_that_cannot_work_is_not_written(home: Home) -> None:
    with pytest.raises(Misconfigured, match="must be one of ledger"):
        change_config(home, "wallet", {"backend": "gold"})

    assert not home.config_file.exists()
