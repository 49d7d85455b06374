"""Every way an order ends without an answer: the exit status, and that the money is where it was."""

from functools import partial

from pylon.model.filter import Filter
from tests.integration.market import (
    ANSWER,
    BUYER,
    OTHER,
    REFUSED,
    Market,
    published,
    rows,
    together,
)

QUESTION = "What is 2+2?"


async def test_without_a_relay_the_status_is_4(market: Market) -> None:
    ended = await market.submit(QUESTION, "--timeout", "2")
    assert (ended.status, ended.json["state"]) == (4, "not-served")
    assert await market.paid() == []


async def test_without_funds_the_status_is_5(market: Market) -> None:
    await market.serve()
    ended = await market.pylon(OTHER, "job", "submit", QUESTION, "--auto-pay", "--json")
    assert (ended.status, ended.json["state"]) == (5, "not-served")
    assert rows(market.home(OTHER) / "pylon.db", "SELECT standing FROM budget") == [("released",)]
    assert await market.faults() == []


async def test_over_the_budget_the_status_is_6(market: Market) -> None:
    await market.serve()
    ended = await market.submit(QUESTION, PYLON_BUDGET_PER_JOB_SATS="11")
    assert (ended.status, ended.json["state"]) == (6, "declined")
    assert await market.paid() == []


async def test_the_budget_of_a_day_is_shared_by_all_processes(market: Market) -> None:
    await market.serve()
    submit = partial(market.submit, QUESTION, PYLON_BUDGET_PER_DAY_SATS="40")
    ended = await together(submit, submit, submit)  # each may cost 12 and 5 in fees: two fit
    assert sorted(each.status for each in ended) == [0, 0, 6], [each.err for each in ended]
    assert len(await market.paid()) == 2


async def test_without_a_provider_the_status_is_7(market: Market) -> None:
    await market.serve_relay()
    ended = await market.submit(QUESTION, "--timeout", "2")
    assert (ended.status, ended.json["state"]) == (7, "not-served")
    (called_off,) = await published(market.relay_url, Filter(kinds=(5,)))
    assert called_off.tag_values("e") == (ended.json["id"],)
    assert await market.paid() == []


async def test_an_offer_above_the_limit_is_shown_and_not_paid(market: Market) -> None:
    await market.serve()
    buying = await market.start(BUYER, "job", "submit", QUESTION, "--auto-pay", "--max-sats", "11")
    await buying.said("12 sat is above the limit of 11 sat")
    buying.interrupt()
    assert (await buying.end()).status == 130
    assert (await market.ordered("published"))["price_msat"] is None
    assert await market.paid() == []


async def test_when_the_provider_refuses_the_status_is_8_and_nothing_is_paid(
    market: Market,
) -> None:
    _, node = await market.serve()
    ended = await market.submit(QUESTION, "--provider", node["npub"], "--model", "gpt-9")
    assert (ended.status, ended.json["state"]) == (8, "not-served")
    assert "gpt-9" in ended.json["reason"]
    assert await market.paid() == []


async def test_when_the_provider_fails_after_payment_the_status_is_8_and_it_is_no_earning(
    market: Market,
) -> None:
    await market.serve()
    ended = await market.submit(f"Please {REFUSED}.", "--pay", "prepay")
    assert (ended.status, ended.json["state"]) == (8, "reclaiming")
    assert ended.json["preimage"]
    assert await market.earnings(0) == []


async def test_while_a_payment_is_in_flight_the_status_is_9_and_nothing_is_paid_again(
    market: Market,
) -> None:
    await market.serve()
    await market.pylon(BUYER, "wallet", "fault", "stuck")
    buying = await market.start(BUYER, "job", "submit", QUESTION, "--auto-pay", "--json")
    job = (await market.ordered("paying"))["id"]
    buying.interrupt()
    assert (await buying.end()).status == 130
    assert (await market.pylon(BUYER, "job", "results", job)).status == 9
    waiting = await market.start(BUYER, "job", "results", job, "--wait", "--json")
    await market.pylon(BUYER, "wallet", "fault", "clear")
    ended = await waiting.end()
    assert (ended.status, ended.json["state"], ended.json["answer"]) == (0, "done", ANSWER)
    assert len(await market.paid()) == len(await market.earnings()) == 1


async def test_a_payment_whose_outcome_was_lost_is_found_and_not_repeated(market: Market) -> None:
    await market.serve()
    await market.pylon(BUYER, "wallet", "fault", "lose-payment", "--times", "1")
    ended = await market.submit(QUESTION)
    assert (ended.status, ended.json["state"]) == (0, "done")
    assert len(await market.paid()) == len(await market.earnings()) == 1


async def test_without_a_person_and_without_auto_pay_the_status_is_2(market: Market) -> None:
    ended = await market.pylon(BUYER, "job", "submit", QUESTION)
    assert ended.status == 2
    assert "--auto-pay" in ended.err


async def test_an_order_called_off_is_told_to_providers_and_never_served(market: Market) -> None:
    await market.serve_relay()
    buying = await market.start(BUYER, "job", "submit", QUESTION, "--auto-pay", "--json")
    job = (await market.ordered("published"))["id"]
    buying.interrupt()
    assert (await buying.end()).status == 130
    assert (await market.ok(BUYER, "job", "cancel", job))["state"] == "withdrawn"
    (called_off,) = await published(market.relay_url, Filter(kinds=(5,)))
    assert called_off.tag_values("e") == (job,)
    assert (await market.pylon(BUYER, "job", "results", job)).status == 1
    await market.serve()
    assert (await market.submit("Another question?")).status == 0  # it has read all there is
    assert market.backend.prompts == ["Another question?"]
    assert len(await market.paid()) == 1
