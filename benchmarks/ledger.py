"""How many invoices are made and paid a second on one ledger file, durably, through the async API.

python -m benchmarks.ledger [pairs] [callers]
"""

import sys
import tempfile
import time
from pathlib import Path

import trio

from pylon.adapters.clock import SystemClock
from pylon.adapters.lightning.ledger.opening import open_ledger
from pylon.adapters.lightning.ledger.wallet import LedgerWallet
from pylon.adapters.sqlite.writer import open_writer
from pylon.model.money import Msat, from_sats
from pylon.model.wallet import PaymentSettled
from pylon.wire.bolt11 import decode
from pylon.wire.secp import KeyPair

AMOUNT = Msat(1000)


async def trade(payee: LedgerWallet, payer: LedgerWallet, pairs: int, times: list[float]) -> None:
    for _ in range(pairs):
        start = time.perf_counter()
        invoice = await payee.make_invoice(AMOUNT, description="benchmark", expiry_seconds=600)
        paid = await payer.pay(invoice.bolt11, max_fee=Msat(10_000), deadline_seconds=30)
        assert isinstance(paid, PaymentSettled)
        times.append(time.perf_counter() - start)


async def ledger(path: Path, pairs: int, callers: int) -> str:
    clock, times = SystemClock(), list[float]()
    async with (
        open_ledger(path, KeyPair(b"\1" * 32), clock=clock) as payee,
        open_ledger(path, KeyPair(b"\2" * 32), clock=clock) as payer,
    ):
        await payer.fund(from_sats(1_000_000))
        start = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(callers):
                nursery.start_soon(trade, payee, payer, pairs // callers, times)
        seconds = time.perf_counter() - start
        assert await payee.audit() == []
    times.sort()
    p50, p99 = times[len(times) // 2] * 1e3, times[len(times) * 99 // 100] * 1e3
    return f"{len(times) / seconds:8.0f} pairs/s   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms"


async def writes(path: Path, count: int, callers: int) -> str:
    async def one() -> None:
        for _ in range(count // callers):
            await writer.run(
                lambda db: db.execute("INSERT INTO t (body) VALUES (?)", ("x" * 100,)).get
            )

    async with open_writer(
        path, prepare=lambda db: db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body)").close()
    ) as writer:
        start = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(callers):
                nursery.start_soon(one)
        return f"{count / (time.perf_counter() - start):8.0f} commits/s"


async def codec() -> str:
    key = KeyPair(b"\1" * 32)
    from pylon.adapters.memory.clock import MemoryClock
    from pylon.adapters.memory.wallet import MemoryMarket

    made = await MemoryMarket(MemoryClock()).wallet(key).make_invoice(
        AMOUNT, description="x", expiry_seconds=600
    )
    start = time.perf_counter()
    for _ in range(2000):
        decode(made.bolt11)
    return f"{2000 / (time.perf_counter() - start):8.0f} read and verified/s"


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    many = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        print("writer, 1 task   ", trio.run(writes, Path(folder) / "1.db", pairs // 5, 1))
        print("writer, 50 tasks ", trio.run(writes, Path(folder) / "2.db", pairs * 3, 50))
        print("BOLT-11          ", trio.run(codec))
        print("ledger, 1 caller ", trio.run(ledger, Path(folder) / "3.db", pairs // 10, 1))
        print(f"ledger, {many} callers", trio.run(ledger, Path(folder) / "4.db", pairs, many))


if __name__ == "__main__":
    main()
