"""Jobs bought and sold by Pylon's own processes, paid over a real channel."""

from collections.abc import AsyncGenerator
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
import trio
from attrs import frozen

from tests.integration.lightning.daemon import PASSWORD, USER, Daemon
from tests.integration.lightning.test_paying import everything_fails, nothing_is_settled
from tests.integration.lightning.town import Pair
from tests.integration.market import (
    ANSWER,
    BUYER,
    SELLER,
    Ended,
    Market,
    copy_homes,
    make_homes,
    open_market,
    rows,
    together,
)

QUESTION = "What is 2+2?"
PRICE = 12_000  # msat: what the default prices make of a short question
TEST_SECONDS = 120
NO_CAPS = {"PYLON_BUDGET_PER_JOB_SATS": "0", "PYLON_BUDGET_PER_DAY_SATS": "0"}


@pytest.fixture(scope="session")
def electrum_homes(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("electrum_homes")
    make_homes(root)
    trio.run(_choose_electrum, root, pair)
    return root


async def _choose_electrum(root: Path, pair: Pair) -> None:
    given = root / "rpc.txt"
    given.touch(mode=0o600)
    given.write_text(f"{USER}:{PASSWORD}\n")
    async with open_market(root) as market:
        for home, daemon in ((BUYER, pair.payer), (SELLER, pair.payee)):
            where = ("--url", daemon.url, "--secret-file", str(given))
            await market.ok(home, "wallet", "use", "electrum", *where)


@frozen
class ChannelMarket:
    """A market whose buyer and seller have the two ends of a channel."""

    market: Market
    pair: Pair
    buyer_had: int
    seller_had: int

    async def moved(self) -> int:
        """Return how many msat went from one to the other; nothing may be lost on the way."""
        gained = await balance(self.pair.payee) - self.seller_had
        assert self.buyer_had - await balance(self.pair.payer) == gained
        return gained

    async def serve(self, mode: str = "prepay", **variables: str) -> None:
        await self.market.serve(PYLON_PROVIDER_MODES=mode, **variables)

    async def submit(self, *options: str, **variables: str) -> Ended:
        return await self.market.submit(QUESTION, *options, **variables)


@pytest.fixture
async def town(
    electrum_homes: Path, pair: Pair, tmp_path: Path
) -> AsyncGenerator[ChannelMarket, None]:
    copy_homes(electrum_homes, tmp_path)
    with trio.fail_after(TEST_SECONDS):
        async with open_market(tmp_path) as market:
            yield ChannelMarket(market, pair, await balance(pair.payer), await balance(pair.payee))
    assert market.tracebacks == []


async def balance(daemon: Daemon) -> int:
    """Return a wallet's msat, as Electrum itself says."""
    return int(Decimal((await daemon.call("getbalance"))["lightning"]) * 10**11)


@pytest.mark.parametrize("mode", ["prepay", "locked"])
async def test_a_job_is_paid_over_a_real_channel(town: ChannelMarket, mode: str) -> None:
    await town.serve(mode)
    ended = await town.submit()
    receipt = ended.json
    assert (ended.status, receipt["state"], receipt["answer"]) == (0, "done", ANSWER)
    ((state,),) = rows(town.market.home(BUYER) / "pylon.db", "SELECT state FROM orders")
    assert msgspec.json.decode(state)["offer"]["mode"] == mode
    assert sha256(bytes.fromhex(receipt["preimage"])).hexdigest() == receipt["payment_hash"]
    (earning,) = await town.market.earnings()
    assert (earning["payment_hash"], earning["amount_msat"]) == (receipt["payment_hash"], PRICE)
    assert await town.moved() == PRICE


async def test_three_jobs_at_once_are_three_payments(town: ChannelMarket) -> None:
    await town.serve()
    ended = await together(*[town.submit] * 3)
    assert [each.status for each in ended] == [0, 0, 0], ended
    assert len(await town.market.earnings(3)) == 3
    assert await town.moved() == 3 * PRICE


async def test_an_invoice_of_a_job_is_paid_once_however_often_it_is_paid(
    town: ChannelMarket,
) -> None:
    await town.serve()
    first = (await town.submit("--idempotency-key", "lunch")).json
    again = (await town.submit("--idempotency-key", "lunch")).json
    by_hand = await town.market.ok(BUYER, "wallet", "pay", first["invoice"], "--yes")
    assert again == first
    assert by_hand["preimage"] == first["preimage"]
    await town.market.earnings()
    assert await town.moved() == PRICE


async def test_a_price_beyond_the_channel_is_not_paid_and_nothing_stays_reserved(
    town: ChannelMarket,
) -> None:
    sats = 20_000_000
    await town.serve(PYLON_PRICING_BASE_MSATS=str(sats * 1_000))
    ended = await town.submit("--max-sats", str(2 * sats), **NO_CAPS)
    assert ended.status != 0
    assert "insufficient funds" in ended.out + ended.err
    await check_nothing_was_paid(town)


async def test_a_channel_that_fails_every_payment_costs_nothing(town: ChannelMarket) -> None:
    await town.serve()
    async with everything_fails(town.pair):
        ended = await town.submit()
    assert ended.status != 0
    await check_nothing_was_paid(town)


async def check_nothing_was_paid(town: ChannelMarket) -> None:
    assert town.market.backend.prompts == []
    standings = rows(town.market.home(BUYER) / "pylon.db", "SELECT standing FROM budget")
    assert set(standings) == {("released",)}
    assert await town.moved() == 0


async def test_a_buyer_whose_wallet_is_killed_in_mid_payment_pays_once_and_has_its_answer(
    town: ChannelMarket,
) -> None:
    market, pair = town.market, town.pair
    await town.serve()
    async with nothing_is_settled(pair):
        buying = await market.start(BUYER, "job", "submit", QUESTION, "--auto-pay", "--json")
        await pair.payee.until("list_channels", _something_came_in)
        pair.payer.kill()
        await market.ordered("unknown")
        await pair.payer.start()
        await pair.reconnect(pair.payer)
    ended = await buying.end()
    receipt = ended.json
    assert (ended.status, receipt["state"], receipt["answer"]) == (0, "done", ANSWER)
    assert len(await market.earnings()) == 1
    assert await town.moved() == PRICE


def _something_came_in(channels: list[dict[str, int]]) -> bool:
    return any(channel["remote_unsettled_sent"] for channel in channels)
