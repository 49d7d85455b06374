"""Every way to pay between real processes: what it costs, what it brings, and what comes back."""

import pytest

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

PRICE = 12_000  # msat: what the default prices make of a short question
FEE = 101  # msat: what the ledger takes for passing that on
QUESTION = "What is 2+2?"
MODES = ("prepay", "hold", "locked", "hold+locked")


async def left(market: Market) -> int:
    """Return how many msat the buyer has less than it began with."""
    balance: int = (await market.ok(BUYER, "wallet", "balance"))["balance_msat"]
    return FUNDS_SATS * 1_000 - balance


@pytest.mark.parametrize("mode", MODES)
async def test_a_job_is_paid_and_answered_once_in_each_mode(market: Market, mode: str) -> None:
    await market.serve()
    receipt = (await market.submit(QUESTION, "--pay", mode)).json
    assert (receipt["state"], receipt["mode"], receipt["answer"]) == ("done", mode, ANSWER)
    (earning,) = await market.earnings()
    assert earning["payment_hash"] == receipt["payment_hash"]
    assert await left(market) == PRICE + FEE
    (result,) = await published(market.relay_url, Filter(kinds=(6050,)))
    assert (ANSWER in result.content) == (mode in ("prepay", "hold"))
    again = await market.ok(BUYER, "job", "results", receipt["id"])
    assert again["answer"] == ANSWER
    assert await market.faults() == []


async def test_where_nobody_says_otherwise_both_sides_are_protected(market: Market) -> None:
    await market.serve()
    receipt = (await market.submit(QUESTION)).json
    assert (receipt["state"], receipt["mode"]) == ("done", "hold+locked")


@pytest.mark.parametrize("mode", ["hold", "locked", "hold+locked"])
async def test_work_that_fails_costs_nothing(market: Market, mode: str) -> None:
    _, node = await market.serve()
    ended = await market.submit(f"This is {REFUSED}.", "--pay", mode, "--provider", node["npub"])
    assert (ended.status, ended.json["state"]) == (8, "not-served")
    assert "the prompt is not welcome" in ended.json["reason"]
    assert await left(market) == 0
    assert await market.faults() == []


async def test_what_was_paid_for_work_that_fails_comes_back(market: Market) -> None:
    await market.ok(SELLER, "wallet", "fund", "1")  # for the fee of paying back
    await market.serve()
    ended = await market.submit(f"This is {REFUSED}.", "--pay", "prepay")
    owed = ended.json
    assert (ended.status, owed["state"], owed["refund_msat"]) == (8, "reclaiming", PRICE)
    (back,) = await market.ok(BUYER, "job", "refund", owed["id"], "--wait")
    assert (back["state"], back["refund_msat"]) == ("refunded", PRICE)
    assert await left(market) == FEE
    assert await market.ok(BUYER, "job", "refund") == []
    shown = await market.pylon(BUYER, "job", "status", owed["id"])
    assert "12 sat came back" in shown.out
    assert await market.faults() == []


async def test_a_held_job_is_called_off_beside_the_command_that_waits_for_it(
    market: Market,
) -> None:
    await market.serve()
    waiting = await market.start(
        BUYER, "job", "submit", f"Think. {HELD}", "--auto-pay", "--json", "--pay", "hold"
    )
    order = await market.ordered("paying")
    ended = await market.pylon(BUYER, "job", "cancel", order["id"], "--json")
    assert ended.json["state"] in ("withdrawn", "unknown", "paying")
    assert (await waiting.end()).json["state"] == "withdrawn"
    assert await left(market) == 0
    assert rows(market.ledger, "SELECT state FROM invoice") == [("cancelled",)]


async def test_a_person_is_told_what_is_held_and_that_the_answer_is_locked(
    market: Market,
) -> None:
    await market.serve()
    shown = await market.pylon(
        BUYER, "job", "submit", QUESTION, "--auto-pay", "--pay", "hold+locked"
    )
    assert shown.out == f"{ANSWER}\n"
    lines = [line.strip() for line in shown.err.splitlines()]
    assert "12 sat held until the answer is there" in lines
    assert "paid 12 sat and 0.101 sat in fees" in lines
    assert "answered; 12 sat paid, 0.101 sat in fees" in lines
