"""Jobs paid with held payments over a real channel, and the deaths of those who hold them."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.integration.lightning.channel_market import (
    PRICE,
    QUESTION,
    ChannelMarket,
    open_channel_market,
)
from tests.integration.lightning.town import Pair, something_came_in
from tests.integration.market import ANSWER, BUYER, HELD, REFUSED, Process, rows

MODES = ("hold", "hold+locked")


@pytest.fixture
async def town(
    homes: Path, holding_pair: Pair, tmp_path: Path
) -> AsyncGenerator[ChannelMarket, None]:
    async with open_channel_market(homes, holding_pair, tmp_path) as town:
        yield town


async def buy(town: ChannelMarket) -> Process:
    """Order something that is worked on until `let_go`, and wait for the money to be held."""
    prompt = f"{QUESTION} But {HELD}."
    buying = await town.market.start(BUYER, "job", "submit", prompt, "--auto-pay", "--json")
    await town.pair.payee.until("list_channels", something_came_in)
    return buying


async def check_it_was_done(town: ChannelMarket, buying: Process, mode: str) -> None:
    ended = await buying.end()
    assert (ended.status, ended.json["state"], ended.json["answer"]) == (0, "done", ANSWER)
    assert await town.earned() == ended.json["payment_hash"]
    assert town.mode() == mode
    assert await town.moved() == ended.json["price_msat"] > 0


@pytest.mark.parametrize("mode", MODES)
async def test_a_job_is_paid_with_a_held_payment(town: ChannelMarket, mode: str) -> None:
    await town.serve(mode)
    ended = await town.submit()
    assert (ended.status, ended.json["state"], ended.json["answer"]) == (0, "done", ANSWER)
    assert town.mode() == mode
    assert await town.earned() == ended.json["payment_hash"]
    assert await town.moved() == PRICE


async def test_a_job_that_fails_gives_back_what_was_held(town: ChannelMarket) -> None:
    await town.serve("hold")
    prompt = f"{QUESTION} But {REFUSED}."
    ended = await town.market.submit(prompt)
    assert ended.status != 0
    assert set(town.market.backend.prompts) == {prompt}  # so the money was held: work begins then
    store = town.market.home(BUYER) / "pylon.db"
    assert rows(store, "SELECT standing FROM budget") == [("released",)]
    assert await town.moved() == 0


@pytest.mark.parametrize("mode", MODES)
async def test_a_provider_killed_while_it_holds_money_finishes_the_job(
    town: ChannelMarket, mode: str
) -> None:
    provider = await town.serve(mode)
    buying = await buy(town)
    await provider.kill()
    town.market.backend.let_go.set()
    await town.serve(mode)
    await check_it_was_done(town, buying, mode)


async def test_a_wallet_killed_while_it_holds_money_finishes_the_job(town: ChannelMarket) -> None:
    await town.serve("hold+locked")
    buying = await buy(town)
    town.pair.payee.kill()
    await town.pair.payee.start()
    await town.pair.reconnect(town.pair.payee)
    town.market.backend.let_go.set()
    await check_it_was_done(town, buying, "hold+locked")
