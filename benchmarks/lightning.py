"""How many payments a real channel makes a second: `python -m benchmarks.lightning`.

Two of Debian's Electrum on a simulated chain, as the tests have them. The limit is what Electrum's own
`lnpay` does in the same run, as many at once.
"""

import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median

import trio
from attrs import frozen

from benchmarks.rows import Row, Size, show
from pylon.adapters.lightning.electrum.answers import Attempt
from pylon.adapters.lightning.electrum.rpc import open_rpc
from pylon.model.money import from_sats
from pylon.model.wallet import PaymentSettled
from pylon.ports.wallet import Wallet
from tests.integration.lightning.daemon import PASSWORD, USER
from tests.integration.lightning.town import Pair, debians_electrum, open_pair
from tests.integration.lightning.wallets import opened

ONE_BY_ONE = 20
PAYMENTS = 40  # a round
AT_ONCE = 20
AMOUNT = from_sats(12)


@frozen
class Run:
    """Some payments: how long each took, and all of them."""

    times: Sequence[float]
    seconds: float


def measure() -> list[Row | Size]:
    """Return the rows; none where Electrum is not installed."""
    if shutil.which("electrum", path="/usr/bin") is None:
        return []
    with (
        tempfile.TemporaryDirectory() as folder,
        open_pair(debians_electrum(), Path(folder)) as pair,
    ):
        return trio.run(_measure, pair)


async def _measure(pair: Pair) -> list[Row | Size]:
    async with (
        opened(pair.payer) as payer,
        opened(pair.payee) as payee,
        open_rpc(pair.payer.url, user=USER, password=PASSWORD) as rpc,
    ):

        async def bare(bolt11: str) -> None:
            attempt = await rpc.call("lnpay", Attempt, invoice=bolt11)
            assert attempt.success, attempt

        async def ours(bolt11: str) -> None:
            paid = await payer.pay(bolt11, max_fee=AMOUNT, deadline_seconds=60)
            assert isinstance(paid, PaymentSettled), paid

        alone = await _run(payee, bare, ONE_BY_ONE, at_once=1)
        # A channel is slower the more payments it has seen: what is first changes with each turn.
        turns = [(await _run(payee, pay, PAYMENTS), pay) for pay in (bare, ours, ours, bare)]
    limit, rate = (
        2 * PAYMENTS / sum(run.seconds for run, pay in turns if pay is which)
        for which in (bare, ours)
    )
    includes = f"{AT_ONCE} at once, 2 rounds of {PAYMENTS}"
    return [
        Size("lnpay", median(alone.times) * 1e3, "ms", "Electrum alone, one after the other"),
        Row("lnpay, parallel", limit, f"Electrum alone, {includes}"),
        Row("channel payment", rate, f"by the wallet port, {includes}", limit, 0.9 * limit),
    ]


async def _run(
    payee: Wallet, pay: Callable[[str], Awaitable[None]], count: int, *, at_once: int = AT_ONCE
) -> Run:
    invoices = [
        (await payee.make_invoice(AMOUNT, description="2+2?", expiry_seconds=600)).bolt11
        for _ in range(count)
    ]
    times, room = list[float](), trio.CapacityLimiter(at_once)

    async def one(bolt11: str) -> None:
        async with room:
            began = time.perf_counter()
            await pay(bolt11)
            times.append(time.perf_counter() - began)

    start = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for bolt11 in invoices:
            nursery.start_soon(one, bolt11)
    return Run(times, time.perf_counter() - start)


if __name__ == "__main__":
    show(measure())
