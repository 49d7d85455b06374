"""Our programs and nostr-sdk's: a stranger buys from us, and sells to us, over either relay."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pylon.model.ids import NodeKey, PaymentHash
from pylon.model.invoice import Invoice
from pylon.model.money import Msat, Network
from pylon.wire import bolt11
from pylon.wire.secp import KeyPair
from tests.integration.market import ANSWER, BUYER, OTHER, Market, Process
from tests.integration.peers import Peer, Said, Tag, meet, serve_their_relay

QUESTION = "What is 2+2?"
PRICE_SATS = 7  # a stranger's
FROM_A_STRANGER = "It is four, says somebody else."

Serve = Callable[[Market], Awaitable[Process]]

relays = pytest.mark.parametrize(
    "serve_relay", [Market.serve_relay, serve_their_relay], ids=["our relay", "nostr-sdk's relay"]
)


async def pay(market: Market, offer: Said) -> None:
    """Pay what an offer asks, with the buyer's wallet, as any wallet would."""
    _, amount, invoice = offer.tag("amount")
    assert bolt11.decode(invoice).amount == int(amount)
    paid = await market.ok(BUYER, "wallet", "pay", invoice, "--yes")
    assert paid["state"] == "settled"


async def buy(market: Market, customer: Peer, job: str) -> Said:
    """Follow a job through everything NIP-90 wants to be said; return the result."""
    await pay(market, await customer.hear(7000, job=job, status="payment-required"))
    await customer.hear(7000, job=job, status="processing")
    result = await customer.hear(6050, job=job)
    await customer.hear(7000, job=job, status="success")
    return result


@relays
async def test_a_stranger_buys_from_our_provider(market: Market, serve_relay: Serve) -> None:
    await serve_relay(market)
    _, node = await market.serve()
    customer = await meet(market)
    job = await customer.publish(5050, ["i", QUESTION, "text"])
    result = await buy(market, customer, job)
    assert result.text == ANSWER
    assert result.event["pubkey"] == node["pubkey"]
    assert result.tag("p") == ["p", customer.key]
    assert json.loads(result.tag("request")[1])["id"] == job
    assert result.tag("i") == ["i", QUESTION, "text"]
    (earning,) = await market.earnings()
    assert (earning["job"], earning["customer"]) == (job, customer.key)
    assert await market.faults() == []


async def test_a_stranger_is_given_a_hold_and_pays_it_like_any_other(market: Market) -> None:
    _, node = await market.serve(PYLON_PROVIDER_MODES="hold,prepay")
    customer = await meet(market)
    job = await customer.publish(5050, ["i", QUESTION, "text"])
    offer = await customer.hear(7000, job=job, status="payment-required")
    assert offer.tag("pay") == ["pay", "hold"]
    await pay(market, offer)  # its wallet waits for longer, and knows nothing of a hold
    result = await customer.hear(6050, job=job)
    assert result.text == ANSWER
    assert result.event["pubkey"] == node["pubkey"]
    (earning,) = await market.earnings()
    assert earning["payment_hash"] == bolt11.decode(offer.tag("amount")[2]).payment_hash
    assert await market.faults() == []


DIALECTS: dict[str, tuple[list[Tag], str]] = {
    "prompt": ([["i", QUESTION, "prompt"]], ""),
    "untyped": ([["i", QUESTION]], ""),
    "content": ([], QUESTION),
    "nostrdvm": (
        [
            ["i", QUESTION, "text"],
            ["param", "top-k", "40"],
            ["param", "max_tokens", "16"],
            ["param", "language", "en"],
            ["output", "text/plain"],
            ["bid", "50000"],
            ["relays", "wss://relay.example.com"],
            ["alt", "NIP-90 text generation"],
        ],
        "",
    ),
}


async def test_every_way_to_write_a_text_request_is_understood(market: Market) -> None:
    await market.serve()
    customer = await meet(market)
    jobs = [await customer.publish(5050, *tags, content=text) for tags, text in DIALECTS.values()]
    for job in jobs:
        assert (await buy(market, customer, job)).text == ANSWER
    assert market.backend.prompts == [QUESTION] * len(DIALECTS)
    assert len(await market.earnings(len(DIALECTS))) == len(DIALECTS)


@pytest.mark.parametrize("how", ["nip04", "nip44"])
async def test_a_hidden_request_is_answered_in_the_same_cipher(market: Market, how: str) -> None:
    _, node = await market.serve()
    customer = await meet(market)
    hidden = json.dumps([["i", QUESTION, "text"], ["param", "max_tokens", "16"]])
    job = await customer.publish(
        5050,
        ["p", node["pubkey"]],
        ["encrypted"],
        content=hidden,
        hide={"to": node["pubkey"], "how": how},
    )
    result = await buy(market, customer, job)
    assert result.text == ANSWER
    assert ("?iv=" in result.event["content"]) == (how == "nip04")
    assert result.tag("i") == []
    assert market.backend.prompts == [QUESTION]


async def test_a_stranger_cancels_before_paying_and_gets_nothing(market: Market) -> None:
    await market.serve()
    customer, meddler = await meet(market), await meet(market)
    kept = await customer.publish(5050, ["i", QUESTION, "text"])
    dropped = await customer.publish(5050, ["i", "Never mind.", "text"])
    offer = await customer.hear(7000, job=dropped, status="payment-required")
    await meddler.publish(5, ["e", kept], ["k", "5050"])
    await customer.publish(5, ["e", dropped], ["k", "5050"])
    assert (await buy(market, customer, kept)).text == ANSWER
    tried = await market.pylon(BUYER, "wallet", "pay", offer.tag("amount")[2], "--yes", "--json")
    assert tried.json["state"] == "failed"
    assert market.backend.prompts == [QUESTION]


# Our buyer, their provider


async def invoice(market: Market, *options: str) -> Any:
    """Have a third home make an invoice: what a stranger's wallet would do."""
    return await market.ok(OTHER, "wallet", "invoice", str(PRICE_SATS), *options)


async def paid_for(market: Market, made: Any) -> None:
    """Wait until the stranger's wallet says that its invoice is settled."""
    while True:
        history = await market.ok(OTHER, "wallet", "history")
        states = {entry["payment_hash"]: entry["state"] for entry in history}
        if states[made["payment_hash"]] == "settled":
            return


def about(job: Said) -> tuple[Tag, Tag]:
    return ["e", job.event["id"]], ["p", job.event["pubkey"]]


def asking(made: Any) -> tuple[Tag, Tag]:
    return ["status", "payment-required"], ["amount", str(made["amount_msat"]), made["bolt11"]]


async def submit(market: Market, *options: str) -> Process:
    return await market.start(BUYER, "job", "submit", QUESTION, "--auto-pay", *options)


@relays
async def test_our_buyer_buys_from_a_stranger(market: Market, serve_relay: Serve) -> None:
    await serve_relay(market)
    provider = await meet(market)
    buying = await submit(market, "--json")
    job = await provider.hear(5050)
    assert job.tag("i") == ["i", QUESTION, "text"]
    made = await invoice(market)
    await provider.publish(7000, *asking(made), *about(job))
    await paid_for(market, made)
    await provider.publish(7000, ["status", "processing"], *about(job))
    result = await provider.publish(6050, *about(job), content=FROM_A_STRANGER)
    ended = await buying.end()
    receipt = ended.json
    assert (ended.status, receipt["answer"], receipt["result"]) == (0, FROM_A_STRANGER, result)
    assert (receipt["provider"], receipt["payment_hash"]) == (provider.key, made["payment_hash"])
    assert await market.faults() == []


async def test_a_provider_that_says_everything_in_private_is_understood(market: Market) -> None:
    await market.serve_relay()
    provider = await meet(market)
    buying = await submit(market, "--json", "--encrypt", "--provider", provider.key)
    job = await provider.hear(5050)
    assert ["i", QUESTION, "text"] in json.loads(job.text)
    made = await invoice(market)
    secret = ["encrypted"], *about(job)
    hide = {"to": job.event["pubkey"], "how": "nip04"}
    for tags in ([["status", "chain-scheduled"]], [*asking(made), ["content", "Please pay."]]):
        await provider.publish(7000, *secret, content=json.dumps(tags), hide=hide)
    await paid_for(market, made)
    await provider.publish(6050, *secret, content=FROM_A_STRANGER, hide=hide)
    ended = await buying.end()
    assert (ended.status, ended.json["answer"]) == (0, FROM_A_STRANGER)


async def test_what_is_given_away_is_taken_and_nothing_is_paid(market: Market) -> None:
    await market.serve_relay()
    provider = await meet(market)
    buying = await submit(market, "--json")
    job = await provider.hear(5050)
    await provider.publish(6050, *about(job), content=FROM_A_STRANGER)
    ended = await buying.end()
    assert (ended.status, ended.json["answer"]) == (0, FROM_A_STRANGER)
    assert await market.paid() == []


def mainnet_invoice() -> str:
    key = KeyPair(b"\1" * 32)
    asked = Invoice(
        network=Network.MAINNET,
        amount=Msat(PRICE_SATS * 1_000),
        created_at=1_700_000_000,
        payment_hash=PaymentHash("11" * 32),
        payment_secret="22" * 32,
        payee=NodeKey(key.node_key),
        description="",
    )
    return bolt11.encode(asked, key)


async def test_bad_offers_are_told_apart_from_good_ones_and_never_paid(market: Market) -> None:
    await market.serve_relay()
    liar, honest = await meet(market), await meet(market)
    buying = await submit(market)
    job = await honest.hear(5050)
    made, short = await invoice(market), await invoice(market, "--expiry", "3")
    asked, amount = asking(made)
    wrong: dict[str, Tag] = {
        "it says 6 sat and its invoice 7 sat": ["amount", "6000", made["bolt11"]],
        "the invoice is for mainnet": ["amount", "7000", mainnet_invoice()],
        "is about to": ["amount", "7000", short["bolt11"]],
        "names no amount": ["amount", "7000"],
    }
    for reason, tag in wrong.items():
        await liar.publish(7000, asked, tag, *about(job))
        await buying.said(reason)
    await honest.publish(7000, asked, amount, *about(job))
    await paid_for(market, made)
    await honest.publish(6050, *about(job), content=FROM_A_STRANGER)
    assert (await buying.end()).out == f"{FROM_A_STRANGER}\n"
    (payment,) = await market.paid()
    assert payment["payment_hash"] == made["payment_hash"]


async def test_once_one_is_paid_nobody_else_can_end_or_answer_the_job(market: Market) -> None:
    await market.serve_relay()
    chosen, thief, spoiler = await meet(market), await meet(market), await meet(market)
    buying = await submit(market, "--json")
    job = await chosen.hear(5050)
    made = await invoice(market)
    await chosen.publish(7000, *asking(made), *about(job))
    await paid_for(market, made)
    await market.ordered("paid")
    await thief.publish(6050, *about(job), content="This is not what you paid for.")
    await spoiler.publish(7000, ["status", "error", "all is lost"], *about(job))
    result = await chosen.publish(6050, *about(job), content=FROM_A_STRANGER)
    receipt = (await buying.end()).json
    assert (receipt["result"], receipt["provider"]) == (result, chosen.key)
    assert len(await market.paid()) == 1
