"""Two homes on one machine, and a wallet elsewhere that either may be told to use."""

from pathlib import Path

import pytest

from pylon.app import wallet as opening
from pylon.cli.exit_codes import ExitCode
from tests.cli.conftest import Pylon
from tests.cli.wallet.elsewhere import Elsewhere


@pytest.fixture
def buyer(pylon: Pylon, machine: Path) -> str:
    """A home with 10,000 sat of play money."""
    home = str(machine / "buyer")
    assert pylon("--home", home, "init").status == ExitCode.OK
    assert pylon("--home", home, "wallet", "fund").status == ExitCode.OK
    return home


@pytest.fixture
def seller(pylon: Pylon, machine: Path) -> str:
    """A home with nothing."""
    home = str(machine / "seller")
    assert pylon("--home", home, "init").status == ExitCode.OK
    return home


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    """A wallet that is not the ledger, which opens for whoever knows its connection string."""
    service = Elsewhere()
    monkeypatch.setitem(opening._OPENERS, "nwc", service.open)
    return service
