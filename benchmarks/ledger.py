"""How many invoices are made and paid on one ledger file a second: `python -m benchmarks.ledger`.

Every commit is synced. The limit is BOLT-11 alone: the payee signs, the payer recovers the key.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import trio

from benchmarks.rows import Row, rate, show
from pylon.adapters.clock import SystemClock
from pylon.adapters.lightning.ledger.opening import open_ledger
from pylon.adapters.lightning.ledger.wallet import LedgerWallet
from pylon.model.ids import PaymentHash
from pylon.model.invoice import Invoice
from pylon.model.money import Msat, Network, from_sats
from pylon.model.wallet import PaymentSettled
from pylon.wire.bolt11 import decode, encode
from pylon.wire.secp import KeyPair, recover_ecdsa

PAIRS = 5_000
CALLERS = 50
AMOUNT = Msat(1000)
PAYEE, PAYER = KeyPair(b"\1" * 32), KeyPair(b"\2" * 32)

# The time of each call, the time of all, and what was done.
Run = Callable[[Path], Awaitable[tuple[list[float], float, str]]]

INVOICE = Invoice(
    network=Network.REGTEST,
    amount=AMOUNT,
    created_at=1_700_000_000,
    payment_hash=PaymentHash("ab" * 32),
    payment_secret="cd" * 32,
    payee=PAYEE.node_key,
    description="What is 2+2?",
    features=frozenset({8, 14, 17}),
)


def measure() -> list[Row]:
    """Return the rates of the codec and of the ledger."""
    digest, text = b"\5" * 32, encode(INVOICE, PAYEE)
    signature = PAYEE.sign_recoverable(digest)
    write, read = rate(lambda: encode(INVOICE, PAYEE)), rate(lambda: decode(text))
    signing = rate(lambda: PAYEE.sign_recoverable(digest))
    recovery = rate(lambda: recover_ecdsa(digest, *signature))
    limit = 1 / (1 / write + 1 / read)
    return [
        Row("bolt11 write", write, f"{len(text)} characters, signed", signing, 2_000),
        Row("bolt11 read", read, "the same, payee recovered", recovery, 2_000),
        on_a_new_ledger("ledger pair", one_process, limit),
        on_a_new_ledger("ledger pair apart", two_processes, limit),
    ]


def on_a_new_ledger(name: str, run: Run, limit: float) -> Row:
    """Run one measurement on a new ledger."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # a disk: /tmp may be memory
        times, seconds, how = trio.run(run, Path(folder) / "ledger.db")
    times.sort()
    p50, p99 = times[len(times) // 2] * 1e3, times[len(times) * 99 // 100] * 1e3
    includes = f"{CALLERS} callers, {how}, p50 {p50:.0f} ms, p99 {p99:.0f} ms"
    return Row(name, len(times) / seconds, includes, limit, 2_000)


async def one_process(path: Path) -> tuple[list[float], float, str]:
    times = list[float]()

    async def trade() -> None:
        for _ in range(PAIRS // CALLERS):
            start = time.perf_counter()
            made = await payee.make_invoice(AMOUNT, description="2+2?", expiry_seconds=600)
            await pay(payer, made.bolt11)
            times.append(time.perf_counter() - start)

    async with (
        open_ledger(path, PAYEE, clock=SystemClock()) as payee,
        open_ledger(path, PAYER, clock=SystemClock()) as payer,
    ):
        await payer.fund(from_sats(1_000_000))
        start = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(CALLERS):
                nursery.start_soon(trade)
        seconds = time.perf_counter() - start
        assert await payee.audit() == []
    return times, seconds, "make and pay, two wallets in one process"


async def two_processes(path: Path) -> tuple[list[float], float, str]:
    times = list[float]()

    async def pay_each(invoices: trio.MemoryReceiveChannel[str]) -> None:
        async for bolt11 in invoices:
            start = time.perf_counter()
            await pay(payer, bolt11)
            times.append(time.perf_counter() - start)

    async with open_ledger(path, PAYER, clock=SystemClock()) as payer:
        await payer.fund(from_sats(1_000_000))
        command = [sys.executable, "-m", "benchmarks.ledger", "payee", str(path)]
        process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        lines = split_lines(process.stdout)
        assert await anext(lines) == "ready"
        start = time.perf_counter()
        async with trio.open_nursery() as nursery:
            send, receive = trio.open_memory_channel[str](0)
            for _ in range(CALLERS):
                nursery.start_soon(pay_each, receive.clone())
            receive.close()
            with send:
                async for line in lines:
                    await send.send(line)
        seconds = time.perf_counter() - start
        assert await process.wait() == 0
        assert await payer.audit() == []
    return times, seconds, "payee in another process, times of pay alone"


async def pay(payer: LedgerWallet, bolt11: str) -> None:
    paid = await payer.pay(bolt11, max_fee=Msat(10_000), deadline_seconds=30)
    assert isinstance(paid, PaymentSettled), paid


async def split_lines(stream: trio.abc.ReceiveStream) -> AsyncIterator[str]:
    rest = b""
    async for chunk in stream:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode()


async def payee(path: Path) -> None:
    """Be the other process: make invoices, write them out."""

    async def make() -> None:
        for _ in range(PAIRS // CALLERS):
            made = await wallet.make_invoice(AMOUNT, description="2+2?", expiry_seconds=600)
            print(made.bolt11, flush=True)

    async with open_ledger(path, PAYEE, clock=SystemClock()) as wallet:
        print("ready", flush=True)
        async with trio.open_nursery() as nursery:
            for _ in range(CALLERS):
                nursery.start_soon(make)


if __name__ == "__main__":
    if sys.argv[1:2] == ["payee"]:
        trio.run(payee, Path(sys.argv[2]))
    else:
        show(measure())
