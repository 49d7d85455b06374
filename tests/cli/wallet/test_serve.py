"""`pylon wallet serve`: what it refuses; that it serves is tested with its processes."""

from pathlib import Path

from pylon.cli.exit_codes import ExitCode
from tests.cli.conftest import Pylon


def test_the_way_to_serve_must_be_said(pylon: Pylon, seller: str) -> None:
    ended = pylon("--home", seller, "wallet", "serve")
    assert ended.status == ExitCode.USAGE
    assert "--nwc" in ended.err


def test_a_relay_that_is_none_is_refused(pylon: Pylon, seller: str) -> None:
    ended = pylon("--home", seller, "wallet", "serve", "--nwc", "--relay", "https://example.com")
    assert ended.status != ExitCode.OK
    assert "--relay: " in ended.err


def test_a_key_file_that_holds_no_key_is_named(pylon: Pylon, seller: str) -> None:
    folder = Path(seller) / "secrets"
    folder.mkdir(mode=0o700)
    file = folder / "nwc-service.key"
    file.write_text("rubbish\n")
    file.chmod(0o600)
    ended = pylon("--home", seller, "wallet", "serve", "--nwc", "--relay", "ws://127.0.0.1:1")
    assert ended.status != ExitCode.OK
    assert f"{file} holds no key" in ended.err
    assert "rubbish" not in ended.err


def test_a_budget_below_nothing_is_refused(pylon: Pylon, seller: str) -> None:
    ended = pylon("--home", seller, "wallet", "serve", "--nwc", "--budget", "-1")
    assert ended.status == ExitCode.USAGE
