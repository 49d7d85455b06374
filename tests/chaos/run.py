"""One run: a relay, a provider and a buyer, a monkey among them, and the verdict at the end."""

import random
import time
from functools import partial
from pathlib import Path

import msgspec
import trio
from attrs import field, frozen

from tests.chaos.cable import Cable
from tests.chaos.monkey import Monkey, Program
from tests.chaos.verdict import Verdict, judge
from tests.integration.market import (
    BUYER,
    PYLON,
    SELLER,
    Market,
    Process,
    make_homes,
    open_market,
    rows,
)

BUYER_PROGRAM = (*PYLON[:2], "tests.chaos.buyer")
SETTINGS = {
    "PYLON_OFFER_EXPIRY_SECONDS": "20",
    "PYLON_JOB_TIMEOUT_SECONDS": "15",
    "PYLON_STALL_SECONDS": "5",
    "PYLON_MAX_OPEN_JOBS_PER_BUYER": "100000",
    "PYLON_MAX_QUEUE": "100000",
    "PYLON_MAX_HOLDS": "100000",
    "PYLON_MAX_HOLDS_PER_BUYER": "100000",
    "PYLON_MAX_UNPAID_PER_BUYER": "100000",
    "PYLON_PER_JOB_SATS": "0",
    "PYLON_PER_DAY_SATS": "0",
    "PYLON_SERVE": "never",
}
FUNDS_SATS = 1_000_000
END_SECONDS = 240.0  # for what is under way when the monkey has gone
LOOK_SECONDS = 0.1


@frozen
class Report:
    """What was done to the market, and what came of it."""

    seed: int
    seconds: float
    kills: dict[str, int]
    faults: dict[str, int]
    recovery_seconds: dict[str, tuple[float, float]]  # median and worst, from start to serving
    unknown_resolved_seconds: float  # after the wallets answered again
    verdict: Verdict
    jobs_per_second: float = field(default=0.0)

    def json(self) -> str:
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()


async def run(root: Path, count: int, seed: int) -> Report:
    """Let `count` jobs be bought while the monkey rages; fails if they do not end."""
    make_homes(root)
    began, since = trio.current_time(), int(time.time())
    async with open_market(root) as market, trio.open_nursery() as nursery:
        cable = Cable(market.port)
        port = await nursery.start(cable.serve)
        market.variables = SETTINGS | {"PYLON_RELAYS": f"ws://127.0.0.1:{port}"}
        await market.ok(BUYER, "wallet", "fund", str(FUNDS_SATS))
        provider = (await market.ok(SELLER, "whoami"))["pubkey"]
        programs = _programs(market, (str(count), str(seed), str(since), provider))
        for program in programs.values():
            await program.run()
        monkey = Monkey(market, random.Random(seed), programs, cable)  # noqa: S311 - to be repeated
        await _rage(market, monkey, count)
        resolved = await _quiet(market, count)
        seconds = trio.current_time() - began
        verdict = await judge(market, count)
        nursery.cancel_scope.cancel("the run is over")
    return Report(
        seed,
        round(seconds, 1),
        dict(monkey.kills),
        dict(sorted(monkey.faults.items())),
        {name: _times(program) for name, program in programs.items()},
        round(resolved, 1),
        verdict,
        round(count / seconds, 1),
    )


def _programs(market: Market, plan: tuple[str, ...]) -> dict[str, Program]:
    async def relay() -> Process:
        store = str(market.root / "relay.db")
        return await market.launch(*PYLON, "relay", "--port", str(market.port), "--store", store)

    home = str(market.home(BUYER))
    return {
        "relay": Program(relay, lambda process: process.said("relay at")),
        "provider": Program(partial(market.start, SELLER, "run", "--json"), Process.read),
        "buyer": Program(partial(market.launch, *BUYER_PROGRAM, home, *plan), Process.hear),
    }


async def _rage(market: Market, monkey: Monkey, count: int) -> None:
    """Let the monkey rage until every job has begun and half of the last ones have ended."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(monkey.rage)
        while _count(market, "final = 1") < count - 10:  # noqa: ASYNC110 - another process
            await trio.sleep(LOOK_SECONDS)
        nursery.cancel_scope.cancel("enough")
    await monkey.calm()


async def _quiet(market: Market, count: int) -> float:
    """Wait until every order has ended; return how long any payment was unknown."""
    began = trio.current_time()
    resolved = 0.0
    with trio.move_on_after(END_SECONDS):
        while _count(market, "final = 1") < count or _working(market):
            if _count(market, "phase = 'Unknown'"):
                resolved = trio.current_time() - began
            await trio.sleep(LOOK_SECONDS)
    return resolved


def _count(market: Market, condition: str) -> int:
    sql = f"SELECT count(*) FROM orders WHERE {condition}"  # noqa: S608 - our own words
    found = rows(market.home(BUYER) / "pylon.db", sql)
    return int(found[0][0]) if found else 0


def _working(market: Market) -> int:
    """Count the jobs that the provider still has in hand."""
    sql = "SELECT count(*) FROM jobs WHERE final = 0 AND phase NOT IN ('Offered', 'Delivered')"
    found = rows(market.home(SELLER) / "pylon.db", sql)
    return int(found[0][0]) if found else 0


def _times(program: Program) -> tuple[float, float]:
    times = sorted(program.recoveries[1:]) or [0.0]
    return round(times[len(times) // 2], 2), round(times[-1], 2)
