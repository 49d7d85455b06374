"""Our wallet service as a process, asked by the clients of others."""

import stat
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.integration.market import BUYER, FUNDS_SATS, OTHER, SELLER, Market, rows, together
from tests.integration.nwc.programs import alby_client, nostr_sdk_client, serve

FUNDS = FUNDS_SATS * 1000


async def bill(market: Market, sats: int, home: str = SELLER) -> Any:
    return await market.ok(home, "wallet", "invoice", str(sats), "--memo", "tea")


async def test_nostr_sdks_client_uses_our_wallet(market: Market) -> None:
    await market.serve_relay()
    served = await serve(market, "--budget", "100")
    client = await nostr_sdk_client(market, served.text)

    assert (await client.call("get_balance"))["balance"] == FUNDS
    info = await client.call("get_info")
    assert (info["network"], info["methods"]) == ("regtest", 9)

    asked = await bill(market, 40)
    paid = await client.call("pay_invoice", invoice=asked["bolt11"])
    found = await client.call("lookup_invoice", payment_hash=asked["payment_hash"])
    assert found["preimage"] == paid["preimage"]
    assert found["amount"] == 40_000
    assert found["fees_paid"] == paid["fees_paid"] > 0

    made = await client.call("make_invoice", amount=7_000, description="for us")
    waiting = await client.call("lookup_invoice", invoice=made["invoice"])
    assert (waiting["amount"], waiting["settled_at"]) == (7_000, None)
    listed = await client.call("list_transactions")
    assert [tx["payment_hash"] for tx in listed] == [asked["payment_hash"]]

    over = await client.try_call("pay_invoice", invoice=(await bill(market, 61))["bolt11"])
    assert "quota" in over["error"].lower() or "limit" in over["error"].lower()
    unknown = await client.try_call("lookup_invoice", payment_hash="ee" * 32)
    assert "error" in unknown
    assert len(await market.paid()) == 1
    assert await market.faults() == []


async def test_albys_client_uses_our_wallet(market: Market, node: str) -> None:
    await market.serve_relay()
    served = await serve(market)
    client = await alby_client(market, node, served.text)

    assert (await client.call("getBalance"))["balance"] == FUNDS
    info = await client.call("getInfo")
    assert info["network"] == "regtest"
    assert "settle_hold_invoice" in info["methods"]

    asked = await bill(market, 40)
    paid = await client.call("payInvoice", invoice=asked["bolt11"])
    found = await client.call("lookupInvoice", payment_hash=asked["payment_hash"])
    assert (found["state"], found["preimage"]) == ("settled", paid["preimage"])
    told = await client.hear()
    assert (told["notification_type"], told["notification"]["payment_hash"]) == (
        "payment_sent",
        asked["payment_hash"],
    )
    again = await client.call("payInvoice", invoice=asked["bolt11"])
    assert again == paid
    assert len(await market.paid()) == 1
    missing = await client.try_call("lookupInvoice", payment_hash="ee" * 32)
    assert missing["error"]["code"] == "NOT_FOUND"
    listed = await client.call("listTransactions", unpaid=True, limit=5)
    assert [tx["type"] for tx in listed["transactions"]] == ["outgoing"]
    assert await market.faults() == []


@pytest.mark.parametrize("settle", [True, False])
async def test_albys_client_holds_in_our_wallet(market: Market, node: str, settle: bool) -> None:
    preimage, payment_hash = "11" * 32, _hash("11" * 32)
    await market.serve_relay()
    client = await alby_client(market, node, (await serve(market, home=SELLER)).text)
    made = await client.call(
        "makeHoldInvoice", amount=9_000, payment_hash=payment_hash, description="held"
    )
    payer = await market.start(BUYER, "wallet", "pay", made["invoice"], "--yes", "--json")
    told = await client.hear()
    assert told["notification_type"] == "hold_invoice_accepted"
    assert told["notification"]["settle_deadline"] > 0
    if settle:
        await client.call("settleHoldInvoice", preimage=preimage)
        assert (await client.hear())["notification_type"] == "payment_received"
    else:
        await client.call("cancelHoldInvoice", payment_hash=payment_hash)
    ended = await payer.end()
    assert ended.json["state"] == ("settled" if settle else "failed")
    found = await client.call("lookupInvoice", payment_hash=payment_hash)
    assert found["state"] == ("settled" if settle else "failed")
    assert await market.faults() == []


async def test_a_machine_without_a_relay_gets_one_with_the_service(market: Market) -> None:
    served = await serve(market)
    assert served.uri.relays == (market.relay_url,)
    client = await nostr_sdk_client(market, served.text)
    assert (await client.call("get_balance"))["balance"] == FUNDS

    lonely = await market.start(SELLER, "wallet", "serve", "--nwc", "--relay", "ws://127.0.0.1:1")
    await lonely.said("ws://127.0.0.1:1 cannot be reached, still trying")


async def test_our_own_client_sells_through_a_wallet_that_is_served(
    market: Market, tmp_path: Path
) -> None:
    """A home whose wallet is another home's."""
    await market.serve_relay()
    served = await serve(market, "--budget", "50")
    file = tmp_path / "connection"
    file.write_text(served.text)
    file.chmod(0o600)
    used = await market.ok(OTHER, "wallet", "use", "nwc", "--secret-file", str(file))
    assert used["balance_msat"] == FUNDS
    asked = await bill(market, 30)
    paid = await market.ok(OTHER, "wallet", "pay", asked["bolt11"], "--yes")
    assert paid["state"] == "settled"
    refused = await market.pylon(
        OTHER, "wallet", "pay", (await bill(market, 30))["bolt11"], "--yes", "--json"
    )
    assert refused.status != 0
    assert "QUOTA_EXCEEDED" in refused.out + refused.err
    assert len(await market.paid()) == 1
    assert served.uri.secret not in f"{used} {paid} {refused} {served.process.errors}"


async def test_the_connection_string_stays_and_its_key_is_kept_from_others(
    market: Market, tmp_path: Path
) -> None:
    await market.serve_relay()
    first = await serve(market)
    assert first.uri.secret not in first.process.errors
    refused = await market.pylon(BUYER, "wallet", "serve", "--nwc", "--json")
    assert refused.status != 0
    assert "in use" in refused.err

    (key,) = (market.home(BUYER) / "secrets").iterdir()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    first.process.interrupt()
    assert (await first.process.end()).status == 130
    second, other = await together(lambda: serve(market), lambda: serve(market, home=SELLER))
    assert second.text == first.text
    assert other.uri.wallet != first.uri.wallet
    assert other.uri.secret != first.uri.secret
    everything = [path.read_bytes() for path in market.home(BUYER).rglob("*") if path.is_file()]
    assert not any(first.uri.secret.encode() in data for data in everything)

    key.chmod(0o644)
    second.process.interrupt()
    await second.process.end()
    open_to_all = await market.pylon(BUYER, "wallet", "serve", "--nwc")
    assert open_to_all.status != 0
    assert "chmod 600" in open_to_all.err


async def test_a_payment_in_flight_when_the_service_is_killed_is_counted_by_the_next(
    market: Market,
) -> None:
    await market.serve_relay()
    served = await serve(market, "--budget", "50")
    assert (await market.pylon(BUYER, "wallet", "fault", "latency", "--value", "60000")).status == 0
    client = await nostr_sdk_client(market, served.text)
    asked = await bill(market, 40)
    await client.process.tell({"call": "pay_invoice", "args": {"invoice": asked["bolt11"]}})
    while rows(market.ledger, "SELECT state FROM payment") != [("settled",)]:  # noqa: ASYNC110 - another process
        await trio.sleep(0.02)
    await served.process.kill()

    assert (await market.pylon(BUYER, "wallet", "fault", "clear")).status == 0
    served = await serve(market, "--budget", "50")
    client = await nostr_sdk_client(market, served.text)
    paid = await client.call("pay_invoice", invoice=asked["bolt11"])
    assert paid["preimage"]
    over = await client.try_call("pay_invoice", invoice=(await bill(market, 20))["bolt11"])
    assert "error" in over
    assert len(await market.paid()) == 1
    assert await market.faults() == []


def _hash(preimage: str) -> str:
    return sha256(bytes.fromhex(preimage)).hexdigest()
