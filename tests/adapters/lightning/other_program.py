"""Another program on the same ledger: pays what it is told on its standard input, and says so."""

import sys
import time
from pathlib import Path

import trio

from pylon.adapters.clock import SystemClock
from pylon.adapters.lightning.ledger.opening import open_ledger
from pylon.adapters.lightning.ledger.wallet import LedgerWallet
from pylon.model.money import from_sats
from pylon.model.wallet import PaymentSettled
from pylon.wire.secp import KeyPair


async def pay_each(wallet: LedgerWallet) -> None:
    async for line in trio.wrap_file(sys.stdin):
        result = await wallet.pay(line.strip(), max_fee=from_sats(10), deadline_seconds=10)
        word = "settled" if isinstance(result, PaymentSettled) else "failed"
        print(word, time.time(), flush=True)  # noqa: T201 - this is how it answers


async def main(path: str) -> None:
    async with open_ledger(Path(path), KeyPair(b"\x09" * 32), clock=SystemClock()) as wallet:
        await wallet.fund(from_sats(100_000))
        print("ready", flush=True)  # noqa: T201 - as above
        await pay_each(wallet)


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
