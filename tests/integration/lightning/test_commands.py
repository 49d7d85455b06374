"""The wallet's commands over a real channel: what a person with an Electrum types."""

from tests.integration.lightning.daemon import PASSWORD, USER
from tests.integration.lightning.town import Pair
from tests.integration.market import BUYER, SELLER, Market


async def connected(market: Market, pair: Pair) -> None:
    given = market.root / "rpc.txt"
    given.touch(mode=0o600)
    given.write_text(f"{USER}:{PASSWORD}\n")
    for home, daemon in ((BUYER, pair.payer), (SELLER, pair.payee)):
        chosen = await market.ok(
            *(home, "wallet", "use", "electrum", "--url", daemon.url),
            *("--secret-file", str(given)),
        )
        assert (chosen["backend"], chosen["network"]) == ("electrum", "regtest")
        assert chosen["balance_msat"] > 0
        assert {"free", "prepay", "locked"} <= set(chosen["selling_modes"])


async def test_a_person_is_paid_over_a_real_channel(market: Market, pair: Pair) -> None:
    await connected(market, pair)
    before = [await market.ok(home, "wallet", "balance") for home in (BUYER, SELLER)]
    asked = await market.ok(SELLER, "wallet", "invoice", "1,500", "--memo", "tea")

    paid = await market.ok(BUYER, "wallet", "pay", asked["bolt11"], "--yes")
    again = await market.ok(BUYER, "wallet", "pay", asked["bolt11"], "--yes")

    assert (paid["state"], paid["amount_msat"]) == ("settled", 1_500_000)
    assert again == paid
    after = [await market.ok(home, "wallet", "balance") for home in (BUYER, SELLER)]
    moved = [
        now["balance_msat"] - then["balance_msat"] for then, now in zip(before, after, strict=True)
    ]
    assert moved == [-1_500_000 - paid["fee_msat"], 1_500_000]
    (entry,) = [e for e in await market.paid() if e["payment_hash"] == asked["payment_hash"]]
    assert (entry["state"], entry["preimage"]) == ("settled", paid["preimage"])


async def test_a_wallet_of_whole_satoshi_says_so(market: Market, pair: Pair) -> None:
    await connected(market, pair)

    ended = await market.pylon(SELLER, "wallet", "invoice", "0.5")

    assert (ended.status, ended.out) == (2, "")
    assert "this wallet counts in whole satoshi" in ended.err


async def test_a_wrong_password_is_one_line_and_changes_nothing(market: Market, pair: Pair) -> None:
    given = market.root / "rpc.txt"
    given.touch(mode=0o600)
    given.write_text("user:hunter2\n")

    ended = await market.pylon(
        *(BUYER, "wallet", "use", "electrum", "--url", pair.payer.url),
        *("--secret-file", str(given)),
    )

    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "hunter2" not in ended.err
    assert (await market.ok(BUYER, "wallet", "status"))["backend"] == "ledger"
