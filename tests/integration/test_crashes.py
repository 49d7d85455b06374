"""`kill -9` of either side before and after each of its durable steps: the job ends as it would have."""

import sys
from collections.abc import Sequence
from contextlib import closing

import apsw
import msgspec
import pytest
import trio
from attrs import frozen

from pylon.adapters.lightning.ledger.audit import audit
from pylon.model.filter import Filter
from tests.integration.market import (
    ANSWER,
    BUYER,
    HELD,
    OTHER,
    PYLON,
    SELLER,
    Market,
    Process,
    published,
    rows,
)

KILLED = -9
QUESTION = f"What is 2+2? But {HELD}."  # so that no answer overtakes the payment
KEY = ("--idempotency-key", "once")
PAID_FIRST = ("--pay", "prepay")  # the other ways to pay are cut off in tests/services
STORE, LEDGER = "pylon.db", "ledger.db"
EARNINGS = "SELECT payment_hash FROM earnings"


@frozen
class Step:
    """A commit, told by what a query finds with it and not before."""

    name: str
    file: str
    query: str


def phase(table: str, name: str) -> Step:
    return Step(name, STORE, f"SELECT 1 FROM {table} WHERE phase = '{name}'")  # noqa: S608 - ours


PROVIDER_STEPS = (
    phase("jobs", "Received"),
    Step("invoice made", LEDGER, "SELECT 1 FROM invoice"),
    phase("jobs", "Offered"),
    phase("jobs", "Working"),
    phase("jobs", "Finished"),
    phase("jobs", "Settled"),
    Step("earning counted", STORE, "SELECT 1 FROM earnings"),
)
BUYER_STEPS = (
    phase("orders", "Draft"),
    phase("orders", "Published"),
    Step("offer heard", STORE, "SELECT 1 FROM orders_evidence"),
    phase("orders", "Reserving"),
    Step("budget reserved", STORE, "SELECT 1 FROM budget WHERE standing = 'reserved'"),
    phase("orders", "Paying"),
    Step("money moved", LEDGER, "SELECT 1 FROM payment WHERE state = 'settled'"),
    phase("orders", "Paid"),
    Step("budget spent", STORE, "SELECT 1 FROM budget WHERE standing = 'spent'"),
    DONE := phase("orders", "Done"),
)

# Two tests below kill at every step of one job, and end with one look. Those that kill once look
# where the money is between two hands.
PROVIDER_HAS_MONEY = PROVIDER_STEPS[2:5]
BUYER_GIVES_MONEY = BUYER_STEPS[5:8]


def crashing(when: str, step: Step) -> tuple[str, ...]:
    """Return the program that dies around a step."""
    return (sys.executable, "-m", "tests.integration.crashing", when, step.file, step.query)


def named(step: Step) -> str:
    return step.name


async def check_one_of_everything(market: Market) -> None:
    """One job, one payment, one result, one earning; and the books agree."""
    buyer, seller = market.home(BUYER) / STORE, market.home(SELLER) / STORE
    # The buyer has its answer a moment before the seller has counted it.
    while not (earnings := rows(seller, EARNINGS)):  # noqa: ASYNC110 - another process counts
        await trio.sleep(0.02)
    ((phase, order),) = rows(buyer, "SELECT phase, state FROM orders")
    done = msgspec.json.decode(order)
    payment_hash = done["offer"]["payment_hash"]
    assert phase == "Done"
    assert earnings == [(payment_hash,)]
    assert rows(market.ledger, "SELECT payment_hash, state FROM payment") == [
        (payment_hash, "settled")
    ]
    assert rows(buyer, "SELECT payment_hash, standing FROM budget") == [(payment_hash, "spent")]
    (result,) = await published(market.relay_url, Filter(kinds=(6050,)))
    assert (result.id, result.content) == (done["answer"]["result"], ANSWER)
    with closing(apsw.Connection(str(market.ledger))) as ledger:
        assert audit(ledger) == []


async def start_buying(market: Market, program: Sequence[str] = PYLON) -> Process:
    tokens = ("job", "submit", QUESTION, "--auto-pay", "--json", *KEY, *PAID_FIRST)
    return await market.start(BUYER, *tokens, program=program)


@pytest.mark.parametrize("step", PROVIDER_HAS_MONEY, ids=named)
async def test_a_job_ends_as_it_would_have_when_its_provider_is_killed_after(
    market: Market, step: Step
) -> None:
    market.backend.let_go.set()
    await market.serve_relay()
    provider = await market.start(SELLER, "run", "--json", program=crashing("after", step))
    await provider.read()
    buying = await start_buying(market)
    assert (await provider.end()).status == KILLED
    await market.serve()
    ended = await buying.end()
    assert (ended.status, ended.json["answer"]) == (0, ANSWER)
    await check_one_of_everything(market)


@pytest.mark.parametrize("step", BUYER_GIVES_MONEY, ids=named)
async def test_an_order_ends_as_it_would_have_when_its_buyer_is_killed_after(
    market: Market, step: Step
) -> None:
    await market.serve()
    killed = await start_buying(market, program=crashing("after", step))
    assert (await killed.end()).status == KILLED
    market.backend.let_go.set()
    ended = await (await start_buying(market)).end()
    assert (ended.status, ended.json["answer"]) == (0, ANSWER)
    assert market.backend.prompts == [QUESTION]
    await check_one_of_everything(market)


async def test_a_provider_killed_before_and_after_every_step_of_one_job_still_sells_it_once(
    market: Market,
) -> None:
    market.backend.let_go.set()
    await market.serve_relay()
    buying = await start_buying(market)
    for step in PROVIDER_STEPS:
        for when in ("before", "after"):
            provider = await market.start(SELLER, "run", "--json", program=crashing(when, step))
            assert (await provider.end()).status == KILLED, (when, step)
    await market.serve()
    assert (await buying.end()).status == 0
    await check_one_of_everything(market)


async def test_a_buyer_killed_before_and_after_every_step_of_one_order_still_pays_it_once(
    market: Market,
) -> None:
    await market.serve()
    for step in BUYER_STEPS:
        if step is DONE:
            market.backend.let_go.set()
        for when in ("before", "after"):
            killed = await start_buying(market, program=crashing(when, step))
            assert (await killed.end()).status == KILLED, (when, step)
    assert (await (await start_buying(market)).end()).status == 0
    await check_one_of_everything(market)


async def test_killing_both_sides_at_any_time_again_and_again_changes_nothing(
    market: Market,
) -> None:
    market.backend.let_go.set()
    await market.serve_relay()
    for tenths in range(4, 13):
        provider, buying = await market.start(SELLER, "run"), await start_buying(market)
        await trio.sleep(tenths / 10)
        await provider.kill()
        await buying.kill()
    await market.serve()
    assert (await (await start_buying(market)).end()).status == 0
    await check_one_of_everything(market)


async def test_what_a_killed_buyer_had_reserved_is_given_back_by_the_next_one(
    market: Market,
) -> None:
    standings = "SELECT standing FROM budget"
    await market.serve()
    submit = ("job", "submit", "What is 2+2?", "--auto-pay")
    ended = crashing("after", phase("orders", "NotServed"))
    killed = await market.start(OTHER, *submit, program=ended)  # it has no money
    assert (await killed.end()).status == KILLED
    assert rows(market.home(OTHER) / STORE, standings) == [("reserved",)]
    await market.pylon(OTHER, *submit)
    assert rows(market.home(OTHER) / STORE, standings) == [("released",)] * 2
