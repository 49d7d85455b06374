"""`pylon job explain` answers from a home's memory alone, for what was bought and what was sold."""

import json
from pathlib import Path

import pytest
import trio
from attrs import evolve

from pylon.app.store import open_store
from pylon.cli.exit_codes import ExitCode
from pylon.cli.output import to_the_second
from pylon.model import job as jobs
from pylon.model.budget import Purpose
from pylon.model.ids import EventId, JobId
from pylon.model.order import Paying
from pylon.ports.records import Change
from tests.adapters.stores import samples
from tests.cli.conftest import Pylon
from tests.cli.orders import NPUB, OFFER, ORDER, SELLER

NOW = samples.NOW


@pytest.fixture
def home(pylon: Pylon, machine: Path) -> Path:
    assert pylon("init").status == 0
    return machine / ".pylon"


def remember(home: Path, *, bought: bool = False, sold: bool = False, twin: bool = False) -> None:
    async def put() -> None:
        async with open_store(home / "pylon.db") as store:
            if bought:
                paying: samples.OrderChange = Change(
                    ORDER.id, Paying(OFFER), NOW, facts=ORDER, notes=("two offers",)
                )
                await store.orders.save([paying])
                await store.budget.reserve(
                    OFFER.payment_hash,
                    Purpose(ORDER.id, OFFER.provider),
                    amount=OFFER.amount,
                    fee=OFFER.amount,
                    limits={},
                    now=NOW,
                )
            if sold:
                failed = jobs.Failed("out of memory", OFFER.payment_hash, OFFER.amount)
                await store.jobs.save([Change(ORDER.id, failed, NOW, facts=samples.job(1))])
            if twin:
                near = JobId(EventId(f"{ORDER.id[:-1]}f"))
                order = evolve(ORDER, id=near)
                await store.orders.save([Change(near, Paying(OFFER), NOW, facts=order)])

    trio.run(put)


def test_a_payment_under_way_says_where_the_money_is(pylon: Pylon, home: Path) -> None:
    remember(home, bought=True)

    told = pylon("job", "explain", ORDER.id)

    assert told.status == ExitCode.OK
    assert "12 sat are being paid; they stay set aside until the wallet says more." in told.out
    assert "the wallet is told to pay: two offers" in told.out
    assert f"set aside for {OFFER.payment_hash[:8]}" in told.out
    assert "\nnext   The payment goes out" in told.out
    assert f"{to_the_second(NOW)}  the wallet is told to pay" in told.out
    assert NPUB in told.out
    assert "24 sat" in told.out


def test_both_sides_of_one_job_are_told_to_programs(pylon: Pylon, home: Path) -> None:
    remember(home, bought=True, sold=True)

    told = json.loads(pylon("job", "explain", ORDER.id, "--json").out)

    assert told["sold"]["money"] == "12 sat were paid and are owed back to the customer."
    assert told["sold"]["facts"]["why"] == "out of memory"
    assert told["bought"]["facts"]["provider"] == SELLER
    assert told["bought"]["state"] == "paying"
    assert told["bought"]["timeline"][0].keys() == {"at", "words", "author", "event"}


def test_an_id_that_names_no_single_job_is_one_line(pylon: Pylon, home: Path) -> None:
    remember(home, bought=True, twin=True)

    for text, words in [
        ("ffff", "was ordered from this home, or asked of it"),
        ("0", "give 4 characters"),
        (ORDER.id[:10], "begins the ids of 2 jobs"),
    ]:
        told = pylon("job", "explain", text)
        assert (told.status, told.out) == (ExitCode.USAGE, "")
        assert words in told.err
        assert told.err.count("\n") == 1
