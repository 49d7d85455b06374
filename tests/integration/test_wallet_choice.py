"""A home that pays with a wallet elsewhere, chosen from the command line."""

from pathlib import Path

from pylon.cli.exit_codes import ExitCode
from tests.integration.market import ANSWER, BUYER, OTHER, SELLER, Market, Process


async def connected(market: Market) -> tuple[str, Process]:
    """Serve the buyer's wallet, and let the other home, which has no money, use it."""
    service = await market.start(BUYER, "wallet", "serve", "--nwc", "--json")
    uri = str((await service.read())["uri"])
    given = market.root / "connection.txt"
    given.touch(mode=0o600)
    given.write_text(uri)
    chosen = await market.ok(OTHER, "wallet", "use", "nwc", "--secret-file", str(given))
    given.unlink()
    assert (chosen["backend"], chosen["balance_msat"]) == ("nwc", 10_000_000)
    return uri, service


def holding(folder: Path, secret: str) -> list[str]:
    """Return the files that have a secret in them."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return [str(path.relative_to(folder)) for path in files if secret.encode() in path.read_bytes()]


async def test_a_job_is_bought_with_a_wallet_over_nostr(market: Market) -> None:
    await market.serve_relay()
    uri, _ = await connected(market)
    await market.serve(SELLER)

    done = await market.pylon(OTHER, "job", "submit", "What is 2+2?", "--auto-pay", "--json")

    assert (done.status, done.json["answer"]) == (ExitCode.OK, ANSWER)
    cost = done.json["price_msat"] + done.json["fee_msat"]
    assert await market.ok(OTHER, "wallet", "balance") == {"balance_msat": 10_000_000 - cost}
    (entry,) = await market.paid(OTHER)
    assert (entry["state"], entry["payment_hash"]) == ("settled", done.json["payment_hash"])
    assert (await market.earnings())[0]["payment_hash"] == done.json["payment_hash"]
    assert (await market.ok(SELLER, "wallet", "audit"))["sound"]
    secret = uri.rpartition("secret=")[2]
    assert holding(market.root, secret) == ["other/secrets/nwc.uri"]


async def test_an_invoice_of_a_wallet_over_nostr_is_waited_for(market: Market) -> None:
    await market.serve_relay()
    await connected(market)
    await market.ok(SELLER, "wallet", "fund")
    waiting = await market.start(OTHER, "wallet", "receive", "21", "--wait", "--json")
    asked = await waiting.read()

    await market.ok(SELLER, "wallet", "pay", asked["bolt11"], "--yes")

    assert (await waiting.read())["state"] == "settled"
    assert await market.ok(BUYER, "wallet", "balance") == {"balance_msat": 10_021_000}


async def test_a_wallet_over_nostr_that_is_gone_is_one_line(market: Market) -> None:
    await market.serve_relay()
    _, service = await connected(market)
    await service.kill()

    ended = await market.pylon(OTHER, "wallet", "balance")

    assert (ended.status, ended.out, ended.err.count("\n")) == (ExitCode.FAILURE, "", 1)
    assert ended.err.startswith("pylon: the wallet")
