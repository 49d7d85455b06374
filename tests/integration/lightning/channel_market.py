"""A market whose buyer and seller have the two ends of a channel."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import msgspec
import trio
from attrs import frozen

from pylon.adapters.home import find_home
from pylon.adapters.wallet_secrets import WalletSecret
from pylon.app.wallet_choice import Choice
from tests.integration.lightning.daemon import PASSWORD, USER, Daemon
from tests.integration.lightning.town import Pair
from tests.integration.market import (
    BUYER,
    SELLER,
    Ended,
    Market,
    Process,
    copy_homes,
    open_market,
    rows,
)

QUESTION = "What is 2+2?"
PRICE = 12_000  # msat: what the default prices make of a short question
TEST_SECONDS = 120
_EARNINGS = "SELECT payment_hash FROM earnings"


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

    async def earned(self) -> str:
        """Wait for the seller to have counted one earning, and return its payment hash."""
        store = self.market.home(SELLER) / "pylon.db"
        while not (found := rows(store, _EARNINGS)):  # noqa: ASYNC110 - another process counts
            await trio.sleep(0.02)
        ((payment_hash,),) = found
        return str(payment_hash)

    def mode(self) -> str:
        """Return how the only order was paid."""
        ((state,),) = rows(self.market.home(BUYER) / "pylon.db", "SELECT state FROM orders")
        mode: str = msgspec.json.decode(state)["offer"]["mode"]
        return mode


async def balance(daemon: Daemon) -> int:
    """Return a wallet's msat, as Electrum itself says."""
    return int(Decimal((await daemon.call("getbalance"))["lightning"]) * 10**11)


def use_electrum(root: Path, pair: Pair) -> None:
    """Give the homes in a folder the two wallets, as `pylon wallet use` does."""
    secrets = {WalletSecret.ELECTRUM_PASSWORD: f"{USER}:{PASSWORD}"}
    for name, daemon in ((BUYER, pair.payer), (SELLER, pair.payee)):
        keys = {"backend": "electrum", "electrum_url": daemon.url}
        Choice(keys, secrets).keep(find_home({}, asked=root / name))


@asynccontextmanager
async def open_channel_market(
    homes: Path, pair: Pair, root: Path
) -> AsyncGenerator[ChannelMarket, None]:
    """Open a market in which nothing has happened yet, over a channel in which much has."""
    copy_homes(homes, root)
    use_electrum(root, pair)
    with trio.fail_after(TEST_SECONDS):
        async with open_market(root) as market:
            yield ChannelMarket(market, pair, await balance(pair.payer), await balance(pair.payee))
    assert market.tracebacks == []
