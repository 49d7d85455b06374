"""A market whose buyer and seller have the two ends of a channel."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import msgspec
import trio
from attrs import frozen

from tests.integration.lightning.daemon import PASSWORD, USER, Daemon
from tests.integration.lightning.town import Pair
from tests.integration.market import (
    BUYER,
    SELLER,
    Ended,
    Market,
    Process,
    copy_homes,
    make_homes,
    open_market,
    rows,
)

QUESTION = "What is 2+2?"
PRICE = 12_000  # msat: what the default prices make of a short question
TEST_SECONDS = 120


@frozen
class ChannelMarket:
    """The market, its channel, and what each end had at first (msat)."""

    market: Market
    pair: Pair
    buyer_had: int
    seller_had: int

    async def moved(self) -> int:
        """Return how many msat went from one to the other; nothing may be lost on the way."""
        gained = await balance(self.pair.payee) - self.seller_had
        assert self.buyer_had - await balance(self.pair.payer) == gained
        return gained

    async def serve(self, mode: str = "prepay", **variables: str) -> Process:
        node, _ = await self.market.serve(PYLON_PROVIDER_MODES=mode, **variables)
        return node

    async def submit(self, *options: str, **variables: str) -> Ended:
        return await self.market.submit(QUESTION, *options, **variables)

    def mode(self) -> str:
        """Return how the only order was paid."""
        ((state,),) = rows(self.market.home(BUYER) / "pylon.db", "SELECT state FROM orders")
        mode: str = msgspec.json.decode(state)["offer"]["mode"]
        return mode


async def balance(daemon: Daemon) -> int:
    """Return a wallet's msat, as Electrum itself says."""
    return int(Decimal((await daemon.call("getbalance"))["lightning"]) * 10**11)


def make_electrum_homes(pair: Pair, root: Path) -> None:
    """Make homes that use the two wallets; once is enough for all tests."""
    make_homes(root)
    trio.run(_choose_electrum, root, pair)


async def _choose_electrum(root: Path, pair: Pair) -> None:
    given = root / "rpc.txt"
    given.touch(mode=0o600)
    given.write_text(f"{USER}:{PASSWORD}\n")
    async with open_market(root) as market:
        for home, daemon in ((BUYER, pair.payer), (SELLER, pair.payee)):
            where = ("--url", daemon.url, "--secret-file", str(given))
            await market.ok(home, "wallet", "use", "electrum", *where)


@asynccontextmanager
async def open_channel_market(
    homes: Path, pair: Pair, root: Path
) -> AsyncGenerator[ChannelMarket, None]:
    """Open a market in which nothing has happened yet, over a channel in which much has."""
    copy_homes(homes, root)
    with trio.fail_after(TEST_SECONDS):
        async with open_market(root) as market:
            yield ChannelMarket(market, pair, await balance(pair.payer), await balance(pair.payee))
    assert market.tracebacks == []
