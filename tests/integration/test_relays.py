"""One job over several relays, and over relays that come and go."""

from functools import partial

from pylon.model.filter import Filter
from tests.integration.market import (
    ANSWER,
    BUYER,
    HELD,
    SELLER,
    Market,
    free_port,
    published,
    together,
)

QUESTION = "What is 2+2?"


async def test_the_same_request_over_three_relays_is_one_invoice_one_result_one_earning(
    market: Market,
) -> None:
    ports = [free_port() for _ in range(3)]
    await together(*(partial(market.serve_relay, port) for port in ports))
    urls = [f"ws://127.0.0.1:{port}" for port in ports]
    market.variables["PYLON_RELAYS"] = ",".join(urls)
    provider, _ = await market.serve()
    receipt = (await market.submit(QUESTION)).json
    await market.earnings()
    await provider.kill()
    await market.serve()  # hears it from all three once more
    assert (await market.submit("And 3+3?")).status == 0
    (_, earning), invoices, payments = await together(
        partial(market.earnings, 2), partial(market.ok, SELLER, "wallet", "history"), market.paid
    )
    assert earning["job"] == receipt["id"]
    assert len(invoices) == len(payments) == len(market.backend.prompts) == 2
    for url in urls:
        (result,) = await published(url, Filter(kinds=(6050,), tags={"e": (receipt["id"],)}))
        assert result.id == receipt["result"]


async def test_one_relay_of_three_is_enough(market: Market) -> None:
    await market.serve_relay()
    gone = f"ws://127.0.0.1:{free_port()}", f"ws://127.0.0.1:{free_port()}"
    market.variables["PYLON_RELAYS"] = ",".join((*gone, market.relay_url))
    await market.serve()
    ended = await market.submit(QUESTION)
    assert (ended.status, ended.json["answer"]) == (0, ANSWER)


async def test_a_relay_killed_between_payment_and_answer_delays_the_job_and_loses_nothing(
    market: Market,
) -> None:
    store = str(market.root / "kept.db")
    relay = await market.serve_relay(store=store)
    await market.serve()
    buying = await market.start(
        BUYER,
        "job",
        "submit",
        f"What is 2+2? But {HELD}.",
        "--pay",
        "prepay",
        "--auto-pay",
        "--json",
    )
    await market.ordered("paid")
    await relay.kill()
    market.backend.let_go.set()
    await market.serve_relay(store=store)
    ended = await buying.end()
    assert (ended.status, ended.json["answer"]) == (0, ANSWER)
    assert len(await market.earnings()) == len(await market.paid()) == 1


async def test_a_node_killed_with_its_relay_goes_on_where_it_was(market: Market) -> None:
    provider, _ = await market.serve()
    buying = await market.start(
        BUYER,
        "job",
        "submit",
        f"What is 2+2? But {HELD}.",
        "--pay",
        "prepay",
        "--auto-pay",
        "--json",
    )
    await market.ordered("paid")
    await provider.kill()
    market.backend.let_go.set()
    _, node = await market.serve()
    assert node["bundled_relay"] is True
    ended = await buying.end()
    assert (ended.status, ended.json["answer"]) == (0, ANSWER)
    assert len(await market.earnings()) == len(await market.paid()) == 1
    assert await market.faults() == []


async def test_a_job_that_came_while_nobody_was_there_is_served_later(market: Market) -> None:
    await market.serve_relay()
    buying = await market.start(BUYER, "job", "submit", QUESTION, "--auto-pay", "--json")
    await market.ordered("published")
    await market.serve()
    assert (await buying.end()).json["answer"] == ANSWER
