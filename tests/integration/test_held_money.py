"""A hold is accepted, and the daemon that has it is killed: back again, it must finish or cancel."""

import sys
from contextlib import closing

import apsw
import pytest

from pylon.adapters.lightning.ledger.audit import audit
from pylon.model.filter import Filter
from tests.integration.market import (
    ANSWER,
    BUYER,
    FUNDS_SATS,
    HELD,
    REFUSED,
    SELLER,
    Market,
    published,
    rows,
)

KILLED = -9
WORKING = ("pylon.db", "SELECT 1 FROM jobs WHERE phase = 'Working'")
SETTLING = ("pylon.db", "SELECT 1 FROM jobs WHERE phase = 'Settling'")
SETTLED = ("ledger.db", "SELECT 1 FROM invoice WHERE state = 'settled'")
MOMENTS = {
    "with the money held": ("hold", "after", *WORKING),
    "before it is told to settle": ("hold+locked", "before", *SETTLING),
    "before it settles": ("hold", "before", *SETTLED),
    "after it has settled": ("hold+locked", "after", *SETTLED),
}


def dying(when: str, file: str, query: str) -> tuple[str, ...]:
    """Return the program that kills itself around a commit."""
    return (sys.executable, "-m", "tests.integration.crashing", when, file, query)


def ordering(mode: str, prompt: str) -> tuple[str, ...]:
    return ("job", "submit", prompt, "--auto-pay", "--json", "--pay", mode)


async def spent_by_buyer(market: Market) -> int:
    """Return how many msat the buyer has spent; the whole ledger must be in order."""
    with closing(apsw.Connection(str(market.ledger))) as ledger:
        assert audit(ledger) == []
    balance: int = (await market.ok(BUYER, "wallet", "balance"))["balance_msat"]
    return FUNDS_SATS * 1_000 - balance


@pytest.mark.parametrize(("mode", "when", "file", "query"), MOMENTS.values(), ids=map(str, MOMENTS))
async def test_a_daemon_killed_with_a_hold_accepted_finishes_the_job_when_it_is_back(
    market: Market, mode: str, when: str, file: str, query: str
) -> None:
    await market.serve_relay()
    market.backend.let_go.set()
    provider = await market.start(SELLER, "run", "--json", program=dying(when, file, query))
    await provider.read()
    buying = await market.start(BUYER, *ordering(mode, f"What is 2+2? But {HELD}."))
    assert (await provider.end()).status == KILLED
    await market.serve()

    ended = await buying.end()
    assert (ended.status, ended.json["state"], ended.json["answer"]) == (0, "done", ANSWER)
    (earning,) = await market.earnings()
    assert earning["payment_hash"] == ended.json["payment_hash"]
    invoices = rows(market.ledger, "SELECT payment_hash, state FROM invoice")
    assert invoices == [(earning["payment_hash"], "settled")]
    assert len(await published(market.relay_url, Filter(kinds=(6050,)))) == 1
    assert await spent_by_buyer(market) == earning["amount_msat"] + ended.json["fee_msat"]


async def test_a_daemon_killed_with_a_hold_accepted_cancels_it_when_the_work_then_fails(
    market: Market,
) -> None:
    await market.serve_relay()
    provider = await market.start(SELLER, "run", "--json", program=dying("after", *WORKING))
    await provider.read()
    buying = await market.start(BUYER, *ordering("hold", f"What is 2+2? But {REFUSED}."))
    assert (await provider.end()).status == KILLED
    assert rows(market.ledger, "SELECT state FROM invoice") == [("accepted",)]
    await market.serve()

    ended = await buying.end()
    assert (ended.status, ended.json["state"]) == (8, "not-served")
    assert rows(market.ledger, "SELECT state FROM invoice") == [("cancelled",)]
    assert await spent_by_buyer(market) == 0
    assert await published(market.relay_url, Filter(kinds=(6050,))) == []
