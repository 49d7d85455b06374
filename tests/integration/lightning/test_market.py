"""Jobs bought and sold by Pylon's own processes, paid over a real channel."""

from collections.abc import AsyncGenerator
from hashlib import sha256
from pathlib import Path

import pytest

from pylon.model.wallet import PaymentSettled
from tests.integration.lightning.channel_market import (
    PRICE,
    QUESTION,
    ChannelMarket,
    open_channel_market,
)
from tests.integration.lightning.town import Pair, something_came_in
from tests.integration.lightning.trouble import everything_fails, nothing_is_settled
from tests.integration.lightning.wallets import opened
from tests.integration.market import ANSWER, BUYER, rows

NO_CAPS = {"PYLON_BUDGET_PER_JOB_SATS": "0", "PYLON_BUDGET_PER_DAY_SATS": "0"}


@pytest.fixture
async def town(homes: Path, pair: Pair, tmp_path: Path) -> AsyncGenerator[ChannelMarket, None]:
    async with open_channel_market(homes, pair, tmp_path) as town:
        yield town


@pytest.mark.parametrize("mode", ["prepay", "locked"])
async def test_a_job_is_paid_over_a_real_channel(town: ChannelMarket, mode: str) -> None:
    await town.serve(mode)
    ended = await town.submit()
    receipt = ended.json
    assert (ended.status, receipt["state"], receipt["answer"]) == (0, "done", ANSWER)
    assert town.mode() == mode
    assert sha256(bytes.fromhex(receipt["preimage"])).hexdigest() == receipt["payment_hash"]
    assert await town.earned() == receipt["payment_hash"]
    assert await town.moved() == PRICE


async def test_an_invoice_that_a_job_has_paid_is_not_paid_again(
    town: ChannelMarket,
) -> None:
    await town.serve()
    receipt = (await town.submit()).json
    async with opened(town.pair.payer) as wallet:
        again = await wallet.pay(receipt["invoice"], max_fee=PRICE, deadline_seconds=30)
    assert isinstance(again, PaymentSettled)
    assert again.preimage == receipt["preimage"]
    assert await town.earned() == receipt["payment_hash"]
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
        await pair.payee.until("list_channels", something_came_in)
        pair.payer.kill()
        await market.ordered("unknown")
        await pair.payer.start()
        await pair.reconnect(pair.payer)
    ended = await buying.end()
    receipt = ended.json
    assert (ended.status, receipt["state"], receipt["answer"]) == (0, "done", ANSWER)
    assert await town.earned() == receipt["payment_hash"]
    assert await town.moved() == PRICE
