"""What was counted as earned is held against the wallet."""

import json
from pathlib import Path

import trio

from pylon.app.store import open_store
from pylon.cli.exit_codes import ExitCode
from pylon.cli.output import when
from pylon.model.money import show_sats
from tests.adapters.stores import samples
from tests.cli.conftest import Pylon


def receive(pylon: Pylon, seller: Path, buyer: Path) -> str:
    """Let one home pay another for nothing; return the payment hash."""
    for home in (seller, buyer):
        assert pylon("--home", str(home), "init").status == 0
    assert pylon("--home", str(buyer), "wallet", "fund").status == 0
    made = json.loads(pylon("--home", str(seller), "wallet", "invoice", "12", "--json").out)
    paid = pylon("--home", str(buyer), "wallet", "pay", made["bolt11"], "--yes")
    assert paid.status == 0
    return str(made["payment_hash"])


def test_a_payment_for_no_job_is_named_and_explained(pylon: Pylon, machine: Path) -> None:
    seller = machine / "seller"
    payment_hash = receive(pylon, seller, machine / "buyer")

    shown = pylon("--home", str(seller), "earnings", "--reconcile")
    told = json.loads(pylon("--home", str(seller), "earnings", "--reconcile", "--json").out)

    assert shown.status == ExitCode.OK
    assert "received, and for no job of this node" in shown.out
    assert "received 12 sat, earned 0 sat: every difference is explained" in shown.err
    assert (told["holds"], told["received_msat"], told["earned_msat"]) == (True, 12_000, 0)
    assert told["differences"][0]["payment_hash"] == payment_hash


def test_an_earning_that_never_came_in_is_an_alarm(pylon: Pylon, machine: Path) -> None:
    assert pylon("init").status == 0

    async def count() -> None:
        async with open_store(machine / ".pylon" / "pylon.db") as store:
            await store.earnings.credit(samples.earning(1))

    trio.run(count)
    shown = pylon("earnings", "--reconcile")

    assert shown.status == ExitCode.FAILURE
    assert "this wallet knows of no such payment" in shown.out
    assert "SOMETHING IS WRONG" in shown.err


def test_where_nothing_was_earned_and_nothing_came_in_they_agree(
    pylon: Pylon, machine: Path
) -> None:
    assert pylon("init").status == 0

    shown = pylon("earnings", "--reconcile")

    assert shown.status == ExitCode.OK
    assert "they agree" in shown.err


def test_the_latest_jobs_are_listed_in_the_columns_of_job_list(pylon: Pylon, machine: Path) -> None:
    assert pylon("init").status == 0
    earned = samples.earning(1)

    async def count() -> None:
        async with open_store(machine / ".pylon" / "pylon.db") as store:
            await store.earnings.credit(earned)

    trio.run(count)
    lines = [line.split("\t") for line in pylon("earnings").out.splitlines()]

    assert ["PERIOD", "EARNED", "JOBS"] in lines
    assert ["JOB", "WHEN", "EARNED", "KIND", "BACKEND"] in lines
    assert lines[-1][:3] == [earned.job[:8], when(earned.at), show_sats(earned.amount)]
