"""The wallet's commands with an lnd, which is a double here: TLS, macaroon, certificate and all."""

import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio
from attrs import define

from pylon.adapters.memory.clock import MemoryClock
from pylon.adapters.memory.wallet import MemoryMarket
from pylon.model.money import from_sats
from pylon.wire.secp import KeyPair
from tests.adapters.lightning.https_double import serving
from tests.adapters.lightning.lnd_double import BAKED, TERMS, LndNode
from tests.integration.market import BUYER, SELLER, Ended, Market
from tests.macaroons import bake


@define
class Town:
    """Two nodes, one for each home, and what their owners have of them."""

    market: Market
    nodes: dict[str, LndNode]
    places: dict[str, tuple[str, Path]]

    async def use(self, home: str, *, trusting: str = "", macaroon: bytes = b"") -> Ended:
        """Choose the home's lnd, trusting its own certificate if no other is named."""
        url, _ = self.places[home]
        file = self.market.root / f"{home}.macaroon"
        file.touch(mode=0o600)
        file.write_bytes(macaroon or self.nodes[home].macaroon)
        return await self.market.pylon(
            *(home, "wallet", "use", "lnd", "--json", "--url", url, "--macaroon", str(file)),
            *("--tls-cert", str(self.places[trusting or home][1])),
        )


@pytest.fixture
async def town(market: Market) -> AsyncGenerator[Town, None]:
    clock = MemoryClock(time.time() - trio.current_time())
    ledger = MemoryMarket(clock, TERMS)
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        nodes = {
            name: LndNode(ledger.wallet(KeyPair(bytes([n]) * 32)), clock, nursery)
            for n, name in enumerate((BUYER, SELLER), start=1)
        }
        places = {
            name: await stack.enter_async_context(serving(node.answer, market.root, name=name))
            for name, node in nodes.items()
        }
        await nodes[BUYER].wallet.fund(from_sats(1_000))
        yield Town(market, nodes, places)
        nursery.cancel_scope.cancel("the town closes")


async def test_a_person_with_an_lnd_pays_another(town: Town, market: Market) -> None:
    chosen = [await town.use(home) for home in (BUYER, SELLER)]
    asked = await market.ok(SELLER, "wallet", "invoice", "21.5", "--memo", "tea")
    paid = await market.ok(BUYER, "wallet", "pay", asked["bolt11"], "--yes")

    assert [(ended.status, ended.json["backend"], ended.err) for ended in chosen] == [
        (0, "lnd", ""),
        (0, "lnd", ""),
    ]
    assert "hold+locked" in chosen[0].json["selling_modes"]
    assert (paid["state"], paid["amount_msat"]) == ("settled", 21_500)
    assert (await market.ok(SELLER, "wallet", "balance"))["balance_msat"] == 21_500
    (entry,) = await market.ok(SELLER, "wallet", "history")
    assert (entry["state"], entry["payment_hash"]) == ("settled", asked["payment_hash"])


async def test_an_lnd_with_another_certificate_is_not_trusted(town: Town, market: Market) -> None:
    ended = await town.use(BUYER, trusting=SELLER)

    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert town.nodes[BUYER].asked == []
    assert (await market.ok(BUYER, "wallet", "status"))["backend"] == "ledger"


async def test_a_macaroon_that_can_do_too_much_is_warned_of(town: Town, market: Market) -> None:
    admins = bake(*BAKED, "onchain:write", "macaroon:generate")
    town.nodes[BUYER].macaroon = admins

    ended = await town.use(BUYER, macaroon=admins)

    assert ended.status == 0
    assert ended.err.startswith("Mind: the macaroon may do more than a wallet needs")
    status = await market.ok(BUYER, "wallet", "status")
    assert "onchain:write" in status["warning"]
    assert admins.hex() not in ended.out + ended.err


async def test_a_macaroon_that_lnd_refuses_changes_nothing(town: Town, market: Market) -> None:
    ended = await town.use(BUYER, macaroon=bake(*BAKED, nonce=b"\1" * 16))

    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert (await market.ok(BUYER, "wallet", "status"))["backend"] == "ledger"
