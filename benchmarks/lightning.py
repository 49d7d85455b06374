"""How many payments and jobs a real channel makes a second: `python -m benchmarks.lightning`.

Two of Debian's Electrum on a simulated chain, as the tests have them. The limit is what Electrum's own
`lnpay` does in the same run, as many at once. Relay, provider and buyer are processes of their own.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import trio

from benchmarks.parts import CLOCK, CUSTOMER, PROVIDER, InstantBackend, config
from benchmarks.processes import Child, answer_parent, child, no_answer
from benchmarks.rows import Row, Size, show
from benchmarks.trade import buy_all
from pylon.adapters.keys import LocalSigner
from pylon.adapters.lightning.electrum import open_electrum
from pylon.adapters.lightning.electrum.answers import Attempt, Request
from pylon.adapters.lightning.electrum.rpc import open_rpc, to_btc
from pylon.app.buyer import BuyerParts, open_buyer
from pylon.app.provider import ProviderParts, serve_provider
from pylon.app.relays import Pool, open_pool
from pylon.app.store import Store, open_store
from pylon.model.ids import RelayUrl
from pylon.model.money import Network, from_sats
from pylon.model.wallet import PaymentSettled
from pylon.ports.wallet import Wallet
from tests.integration.lightning.daemon import PASSWORD, USER
from tests.integration.lightning.town import Pair, debians_electrum, open_pair
from tests.integration.lightning.wallets import opened

ONE_BY_ONE = 20
PAYMENTS = 40  # a round
AT_ONCE = 20
AMOUNT = from_sats(12)


def measure() -> list[Row | Size]:
    """Return the rows; none where Electrum is not installed."""
    if shutil.which("electrum", path="/usr/bin") is None:
        return []
    with (
        tempfile.TemporaryDirectory() as folder,
        open_pair(debians_electrum(), Path(folder)) as pair,
    ):
        return trio.run(_measure, pair, folder)


# The processes


@asynccontextmanager
async def open_party(
    name: str, signer: LocalSigner, port: str, folder: str, url: str
) -> AsyncGenerator[tuple[Store, Wallet, Pool]]:
    """Open a home's resources, its wallet being the daemon at `url`."""
    relay = RelayUrl(f"ws://127.0.0.1:{port}")
    async with (
        open_store(Path(folder) / f"{name}.db") as store,
        open_electrum(
            url, user=USER, password=PASSWORD, network=Network.REGTEST, clock=CLOCK
        ) as wallet,
        open_pool((relay,), signer=signer, cursors=store.cursors, clock=CLOCK) as pool,
    ):
        yield store, wallet, pool


async def provide(port: str, folder: str, url: str) -> None:
    backends = (InstantBackend(),)
    async with (
        open_party("provider", PROVIDER, port, folder, url) as (store, wallet, pool),
        trio.open_nursery() as nursery,
    ):
        parts = ProviderParts(config(paid=True), PROVIDER, store, wallet, backends, pool, CLOCK)
        await nursery.start(partial(serve_provider, parts, stop=trio.Event()))
        await answer_parent("ready", no_answer)


async def buy(port: str, folder: str, url: str) -> None:
    settings = config(paid=True)
    async with open_party("buyer", CUSTOMER, port, folder, url) as (store, wallet, pool):
        parts = BuyerParts(settings, CUSTOMER, store, wallet, pool, CLOCK)
        async with open_buyer(parts, since=int(time.time())) as buyer:

            async def answer(count: str) -> float:
                return await buy_all(buyer, settings, int(count), depth=AT_ONCE)

            await answer_parent("ready", answer)


@contextmanager
def market(pair: Pair, folder: str) -> Generator[Child, None, None]:
    """Run a market over the channel; yields the buyer."""
    with child("benchmarks.relay", "serve", "") as relay:
        at = (relay.hello, folder)
        with (
            child("benchmarks.lightning", "provide", *at, pair.payee.url),
            child("benchmarks.lightning", "buy", *at, pair.payer.url) as buyer,
        ):
            yield buyer


# What is measured


async def _measure(pair: Pair, folder: str) -> list[Row | Size]:
    async with (
        opened(pair.payer) as payer,
        opened(pair.payee) as payee,
        open_rpc(pair.payer.url, user=USER, password=PASSWORD) as rpc,
        open_rpc(pair.payee.url, user=USER, password=PASSWORD) as payees_rpc,
    ):

        async def bare(bolt11: str) -> None:
            attempt = await rpc.call("lnpay", Attempt, invoice=bolt11)
            assert attempt.success, attempt

        async def ask_and_pay(_: str) -> None:
            asked = {"amount": to_btc(AMOUNT), "memo": "2+2?", "force": True}
            made = await payees_rpc.call("add_request", Request, **asked)
            await bare(made.lightning_invoice or "")

        async def port(bolt11: str) -> None:
            paid = await payer.pay(bolt11, max_fee=AMOUNT, deadline_seconds=60)
            assert isinstance(paid, PaymentSettled), paid

        alone = await _run(bare, partial(_ask, payee, ONE_BY_ONE), at_once=1)
        with market(pair, folder) as buyer:

            async def jobs() -> float:
                told = await trio.to_thread.run_sync(buyer.ask, str(PAYMENTS))
                return PAYMENTS / float(told)

            # A channel is slower the more payments it has seen: there and back evens that out.
            bolt11s = partial(_ask, payee, PAYMENTS)
            ways = (
                partial(_run, bare, bolt11s),
                partial(_run, port, bolt11s),
                partial(_run, ask_and_pay, _nothing),
                jobs,
            )
            there = [await way() for way in ways]
            back = [await way() for way in reversed(ways)][::-1]
    rates = [2 * PAYMENTS / sum(seconds) for seconds in zip(there, back, strict=True)]
    includes = f"{AT_ONCE} at once, 2 rounds of {PAYMENTS}"
    limit, target = rates[0], 0.9 * rates[0]
    return [
        Size("lnpay", alone / ONE_BY_ONE * 1e3, "ms", "Electrum alone, one after the other"),
        Row("lnpay, parallel", limit, f"Electrum alone, {includes}"),
        Row("channel payment", rates[1], f"by the wallet port, {includes}", limit, target),
        Row("add_request, lnpay", rates[2], f"Electrum alone, both ends, {includes}", limit),
        Row("channel job", rates[3], f"prepaid, all of a job, {includes}", rates[2], target),
    ]


async def _run(
    pay: Callable[[str], Awaitable[None]],
    ask: Callable[[], Awaitable[list[str]]],
    *,
    at_once: int = AT_ONCE,
) -> float:
    """Pay new invoices; return how long that took, in seconds, without the asking."""
    invoices, room = await ask(), trio.CapacityLimiter(at_once)

    async def one(bolt11: str) -> None:
        async with room:
            await pay(bolt11)

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for bolt11 in invoices:
            nursery.start_soon(one, bolt11)
    return time.perf_counter() - began


async def _ask(payee: Wallet, count: int) -> list[str]:
    return [
        (await payee.make_invoice(AMOUNT, description="2+2?", expiry_seconds=600)).bolt11
        for _ in range(count)
    ]


async def _nothing() -> list[str]:
    """Leave the asking to the paying."""
    await trio.lowlevel.checkpoint()
    return [""] * PAYMENTS


ROLES: dict[str, Callable[..., Awaitable[None]]] = {"provide": provide, "buy": buy}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        trio.run(ROLES[sys.argv[1]], *sys.argv[2:])
    else:
        show(measure())
