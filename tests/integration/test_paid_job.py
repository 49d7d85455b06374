"""A paid job between real processes: what both sides are left with, now and later."""

from functools import partial
from hashlib import sha256

import msgspec
import trio

from pylon.model.filter import Filter
from pylon.wire import bolt11
from tests.integration.market import (
    ANSWER,
    BUYER,
    FUNDS_SATS,
    HELD,
    OTHER,
    Market,
    published,
    together,
)

PRICE = 12_000  # msat: what the default prices make of a short question
FEE = 101  # msat: what the ledger takes for passing that on
QUESTION = "What is 2+2?"
PAID_FIRST = ("--pay", "prepay")


async def test_both_sides_are_left_with_what_they_bargained_for(market: Market) -> None:
    _, node = await market.serve()
    ended = await market.submit(QUESTION)
    receipt = ended.json
    assert (ended.status, receipt["state"], receipt["answer"]) == (0, "done", ANSWER)
    assert receipt["provider"] == node["pubkey"]
    assert sha256(bytes.fromhex(receipt["preimage"])).hexdigest() == receipt["payment_hash"]
    invoice = bolt11.decode(receipt["invoice"])
    assert (invoice.amount, invoice.payment_hash) == (PRICE, receipt["payment_hash"])
    assert (receipt["price_msat"], receipt["fee_msat"]) == (PRICE, FEE)
    (earning,) = await market.earnings()
    told = (earning["job"], earning["payment_hash"], earning["amount_msat"])
    assert told == (receipt["id"], receipt["payment_hash"], PRICE)
    balance = (await market.ok(BUYER, "wallet", "balance"))["balance_msat"]
    assert balance == FUNDS_SATS * 1_000 - PRICE - FEE
    assert market.backend.prompts == [QUESTION]
    assert await market.faults() == []


async def test_the_answer_is_there_for_other_processes_when_provider_and_relay_are_gone(
    market: Market,
) -> None:
    provider, _ = await market.serve()
    receipt = (await market.submit(QUESTION)).json
    await provider.kill()
    job = receipt["id"]
    assert await market.ok(BUYER, "job", "results", job) == receipt
    assert await market.ok(BUYER, "job", "results", job[:12], "--wait") == receipt
    without_answer = receipt | {"answer": None}
    assert await market.ok(BUYER, "job", "status", job) == without_answer
    assert await market.ok(BUYER, "job", "list") == [without_answer]
    shown = await market.pylon(BUYER, "job", "results", job)
    assert shown.out == f"{ANSWER}\n"


async def test_another_home_knows_nothing_of_the_job(market: Market) -> None:
    await market.serve()
    receipt = (await market.submit(QUESTION)).json
    ended = await market.pylon(OTHER, "job", "results", receipt["id"])
    assert (ended.status, ended.out) == (2, "")


async def test_an_idempotency_key_used_again_pays_nothing_more(market: Market) -> None:
    await market.serve()
    first = await market.submit(QUESTION, "--idempotency-key", "lunch")
    again = await market.submit("Something else?", "--idempotency-key", "lunch")
    assert (again.status, again.json) == (0, first.json)
    assert len(await market.paid()) == len(await market.earnings()) == 1


async def test_an_idempotency_key_used_by_two_processes_at_once_pays_once(market: Market) -> None:
    await market.serve()
    submit = partial(market.submit, QUESTION, "--idempotency-key", "lunch")
    ended = await together(submit, submit, submit)
    assert [each.status for each in ended] == [0, 0, 0], ended
    assert len({each.json["payment_hash"] for each in ended}) == 1
    assert len(await market.paid()) == len(await market.earnings()) == 1


async def test_the_same_question_asked_three_times_at_once_is_three_jobs(market: Market) -> None:
    await market.serve()
    ended = await together(*[partial(market.submit, QUESTION)] * 3)
    assert [each.status for each in ended] == [0, 0, 0], ended
    orders = await market.ok(BUYER, "job", "list")
    assert [order["state"] for order in orders] == ["done"] * 3
    assert len({order["payment_hash"] for order in orders}) == 3
    assert len(await market.paid()) == len(await market.earnings(3)) == 3
    assert await market.faults() == []


async def test_an_encrypted_job_shows_neither_question_nor_answer_to_the_relay(
    market: Market,
) -> None:
    _, node = await market.serve()
    ended = await market.submit(QUESTION, "--encrypt", "--provider", node["npub"])
    assert (ended.status, ended.json["answer"]) == (0, ANSWER)
    assert market.backend.prompts == [QUESTION]
    events = await published(market.relay_url, Filter(kinds=(5050, 6050, 7000)))
    seen = msgspec.json.encode(events).decode()
    assert len(events) == 5  # request, offer, processing, result, success
    assert QUESTION not in seen
    assert ANSWER not in seen


async def test_a_chat_is_asked_and_answered_in_the_shape_of_chats(market: Market) -> None:
    await market.serve()
    chat = ("--kind", "5935", "--model", "llamacpp:tiny")
    locked = await market.submit(QUESTION, *chat, "--pay", "locked")
    assert (locked.status, locked.json["answer"]) == (0, ANSWER)
    ended = await market.submit(QUESTION, *chat, *PAID_FIRST)
    assert (ended.status, ended.json["kind"], ended.json["answer"]) == (0, 5935, ANSWER)
    found = {event.id: event for event in await published(market.relay_url, Filter(kinds=(6935,)))}
    result = found[ended.json["result"]]
    assert msgspec.json.decode(result.content)["messages"][0]["content"] == ANSWER


async def test_an_interrupted_order_goes_on_and_is_picked_up(market: Market) -> None:
    await market.serve()
    buying = await market.start(
        BUYER, "job", "submit", f"What is 2+2? But {HELD}.", "--auto-pay", "--json", *PAID_FIRST
    )
    job = (await market.ordered("paid"))["id"]
    buying.interrupt()
    assert (await buying.end()).status == 130
    waiting = await market.start(BUYER, "job", "results", job, "--wait", "--json")
    market.backend.let_go.set()
    ended = await waiting.end()
    assert (ended.status, ended.json["state"], ended.json["answer"]) == (0, "done", ANSWER)
    assert len(await market.paid()) == len(await market.earnings()) == 1


async def test_a_second_process_waits_for_the_one_that_drives_the_order(market: Market) -> None:
    await market.serve()
    buying = await market.start(
        BUYER, "job", "submit", f"What is 2+2? But {HELD}.", "--auto-pay", "--json", *PAID_FIRST
    )
    job = (await market.ordered("paid"))["id"]
    waiting = await market.start(BUYER, "job", "results", job, "--wait", "--json")
    with trio.move_on_after(1):
        await waiting.end()
        raise AssertionError("there is nothing to show yet")
    market.backend.let_go.set()
    assert (await waiting.end()).json == (await buying.end()).json


async def test_an_answer_that_comes_after_the_deadline_still_counts(market: Market) -> None:
    await market.serve_relay()
    provider, _ = await market.serve()
    buying = await market.start(
        BUYER,
        "job",
        "submit",
        f"What is 2+2? But {HELD}.",
        "--auto-pay",
        "--timeout",
        "12",
        "--json",
        *PAID_FIRST,
    )
    await market.ordered("paid")
    await provider.kill()
    ended = await buying.end()
    assert (ended.status, ended.json["state"]) == (8, "disputed")
    market.backend.let_go.set()
    await market.serve()
    await market.earnings()
    late = await market.ok(BUYER, "job", "results", ended.json["id"], "--wait")
    assert (late["state"], late["answer"]) == ("done", ANSWER)
    assert len(await market.paid()) == 1
