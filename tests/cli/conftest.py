"""Commands run against a home, a data directory and an environment of the test's own."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import frozen

from pylon.cli import run


@frozen
class Ran:
    """What one command did."""

    status: int
    out: str
    err: str


Pylon = Callable[..., Ran]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in os.environ:
        if name.startswith(("PYLON_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.fixture
def pylon(machine: Path, capsys: pytest.CaptureFixture[str]) -> Pylon:
    def call(*tokens: str) -> Ran:
        capsys.readouterr()
        status = run(tokens)
        shown = capsys.readouterr()
        return Ran(status, shown.out, shown.err)

    return call
