"""The README's first command ends with a real model's answer, paid for and checked."""

import json
import os
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from pylon.wire import bolt11
from tests.cli.terminal import terminal
from tests.demo_model import demo_model

pytestmark = pytest.mark.model

SECONDS = 120


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Give the program a data directory of its own, with nothing in it but the model."""
    models = tmp_path / "pylon" / "models"
    models.mkdir(parents=True, mode=0o700)
    model = demo_model().path
    (models / model.name).symlink_to(model)
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYLON")}
    return {**ours, "XDG_DATA_HOME": str(tmp_path), "HOME": str(tmp_path)}


def test_the_demonstration_is_one_paid_job_with_its_proof(
    environ: dict[str, str], tmp_path: Path
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pylon", "demo", "Name the capital of France.", "--json"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    invoice = bolt11.decode(told["invoice"])
    assert told["state"] == "done"
    assert told["answer"].strip()
    assert sha256(bytes.fromhex(told["preimage"])).hexdigest() == invoice.payment_hash
    assert invoice.amount == told["price_msat"] == 12_000
    assert "the answer is the one that was sold" in told["checked"]
    assert all(told["checked"].values())
    assert not (tmp_path / ".pylon").exists()
    assert not (tmp_path / "pylon" / "regtest-ledger.db").exists()


def test_on_a_terminal_the_demonstration_tells_the_job_s_life(environ: dict[str, str]) -> None:
    with terminal("demo", environ=environ) as person:
        for step in ("request", "offer", "12 sat", "paid", "answer", "receipt", "Next"):
            person.expect(step)
        assert person.end() == 0
    assert "this does not hold" not in person.shown
    assert "Traceback" not in person.shown


def test_the_demonstration_called_off_leaves_quietly(environ: dict[str, str]) -> None:
    with terminal("demo", environ=environ) as person:
        person.expect("One paid job")
        person.expect("relay")
        os.killpg(person.process_id, signal.SIGINT)
        assert person.end() == 130
    assert "Traceback" not in person.shown
