"""A person buys and sells: on terminals, with a market of real processes behind them."""

import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import trio
from attrs import frozen

from tests.cli.terminal import Terminal, terminal
from tests.integration.market import ANSWER, BUYER, HELD, SELLER, Market

T = TypeVar("T")

ASK = ("job", "submit", "What is 2+2?")


@frozen
class Person:
    """Somebody at a terminal; each method waits in a thread."""

    screen: Terminal

    async def sees(self, text: str) -> str:
        """Wait until a text is shown; return what was shown since the last one."""
        return await in_thread(self.screen.expect, text)

    def types(self, line: str) -> None:
        self.screen.type(line)

    def presses_ctrl_c(self) -> None:
        os.killpg(self.screen.process_id, signal.SIGINT)

    async def leaves(self) -> tuple[int, str]:
        """Wait for the command's end; return its status and all that was shown."""
        status = await in_thread(self.screen.end)
        return status, self.screen.shown.replace("\r\n", "\n")


async def in_thread(work: Callable[..., T], *args: object) -> T:
    return await trio.to_thread.run_sync(partial(work, *args), abandon_on_cancel=True)


@asynccontextmanager
async def at_terminal(market: Market, *tokens: str) -> AsyncGenerator[Person, None]:
    home = str(market.home(BUYER))
    variables = {**market.environ(), "COLUMNS": "100", "NO_COLOR": "1"}
    with terminal("--home", home, *tokens, environ=variables) as screen:
        yield Person(screen)


async def test_a_yes_pays_the_price_that_was_shown(market: Market) -> None:
    _, node = await market.serve()
    async with at_terminal(market, *ASK) as person:
        terms = await person.sees("Pay? [y/N]")
        person.types("y")
        status, shown = await person.leaves()
    assert status == 0
    assert "price     12 sat, and 5 sat in fees at most" in terms
    assert f"provider  {node['npub']}" in terms
    assert (
        "budget    0 sat of 10,000 sat spent or set aside today; at most 1,000 sat a job" in terms
    )
    assert shown.count(ANSWER) == 1
    assert "answered; 12 sat paid, 0.101 sat in fees\nreceipt: pylon --home" in shown
    assert len(await market.paid()) == 1


async def test_anything_but_a_yes_pays_nothing(market: Market) -> None:
    await market.serve()
    async with at_terminal(market, *ASK) as person:
        await person.sees("Pay? [y/N]")
        person.types("yo")
        status, shown = await person.leaves()
    assert (status, "not approved; nothing was paid" in shown) == (1, True)
    assert await market.paid() == []


async def test_a_price_that_was_left_is_asked_for_again(market: Market) -> None:
    await market.serve()
    async with at_terminal(market, *ASK) as person:
        await person.sees("Pay? [y/N]")
        person.presses_ctrl_c()
        status, shown = await person.leaves()
    job = (await market.ordered("chosen"))["id"]
    assert status == 130
    assert f"to go on: pylon --home {market.home(BUYER)} job results {job[:8]} --wait" in shown
    assert f"to call it off: pylon --home {market.home(BUYER)} job cancel {job[:8]}" in shown
    async with at_terminal(market, "job", "results", job[:8], "--wait") as person:
        await person.sees("Pay? [y/N]")
        person.types("y")
        status, shown = await person.leaves()
    assert (status, shown.count(ANSWER)) == (0, 1)


async def test_who_picks_a_price_up_where_nobody_can_be_asked_is_told_so(market: Market) -> None:
    await market.serve()
    async with at_terminal(market, *ASK) as person:
        await person.sees("Pay? [y/N]")
        person.presses_ctrl_c()
        await person.leaves()
    job = (await market.ordered("chosen"))["id"]
    ended = await market.pylon(BUYER, "job", "results", job, "--wait")
    assert (ended.status, ended.out) == (2, "")
    assert "somebody must say yes to the price" in ended.err


async def test_an_answer_that_was_left_is_shown_whole_and_in_order(market: Market) -> None:
    market.backend.answer = " ".join(map(str, range(2_000)))
    await market.serve()
    counting = ("job", "submit", f"Count, {HELD}", "--auto-pay", "--pay", "prepay")
    async with at_terminal(market, *counting) as person:
        await person.sees("processing")
        person.presses_ctrl_c()
        status, shown = await person.leaves()
    job = (await market.ordered("paid"))["id"]
    assert (status, "the job is kept" in shown, "call it off" in shown) == (130, True, False)
    market.backend.let_go.set()
    await market.earnings()
    async with at_terminal(market, "job", "results", job, "--wait") as person:
        status, shown = await person.leaves()
    assert status == 0
    assert market.backend.answer in " ".join(shown.split())


async def test_without_a_terminal_the_answer_is_all_there_is_on_stdout(market: Market) -> None:
    await market.serve()
    ended = await market.pylon(BUYER, *ASK, "--auto-pay")
    assert (ended.status, ended.out) == (0, f"{ANSWER}\n")
    assert "paid 12 sat and 0.101 sat in fees" in ended.err
    job = (await market.ordered("done"))["id"]
    receipt = await market.pylon(BUYER, "job", "status", job)
    assert f"asked         {ASK[-1]}" in receipt.out


async def test_a_seller_sees_each_turn_of_a_job_and_what_it_earned(market: Market) -> None:
    node = await market.start(SELLER, "run")
    await node.said("Taking jobs on regtest")
    assert (await market.submit("What is 2+2?")).status == 0
    await node.said("answered, 12 sat earned")
    assert "offered    12 sat asked" in node.errors
    assert f"relay  {market.relay_url} (served here)" in node.errors
    await market.earnings()
    told = await market.pylon(SELLER, "earnings")
    assert "in all\t12 sat\t1\n" in told.out
    assert "\t12 sat\t" in told.out.splitlines()[-1]
    assert (await market.ok(SELLER, "earnings"))["total_msat"] == 12_000
    node.interrupt()
    assert (await node.end()).status == 0


async def test_a_seller_is_told_of_a_port_that_is_taken_by_something_else(market: Market) -> None:
    async with trio.open_nursery() as nursery:
        deaf = await nursery.start(trio.serve_tcp, _hang_up, market.port)
        assert deaf
        node = await market.start(SELLER, "run")
        await node.said("cannot be reached, still trying: ")
        assert "served here" not in node.errors
        node.interrupt()
        await node.said("finishing the jobs in hand")
        node.interrupt()
        await node.end()
        nursery.cancel_scope.cancel()


async def _hang_up(stream: trio.SocketStream) -> None:
    await stream.aclose()
