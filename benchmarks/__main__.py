"""Everything that is measured, as one table: `python -m benchmarks`, or `just bench`."""

import os
import platform
import sys
import time
from pathlib import Path

import trio

from benchmarks import durable, engine, footprint, ledger, relay, store, trade, wire
from benchmarks.rows import Row, show


def main() -> None:
    began = time.perf_counter()
    print(_machine())
    print("'of limit': beside what cannot be avoided, measured in the same run\n")
    wires = wire.measure()
    show(wires)
    engines = engine.measure()
    show(engines)
    stores = store.measure()
    show(stores)
    ledgers = ledger.measure()
    show(ledgers)
    show(trio.run(relay.measure))
    served = durable.measure(_unavoidable(wires, stores))
    show(served)
    show(
        trade.measure(
            durable=served[0].per_second, ledger=_named(ledgers, "ledger pair apart").per_second
        )
    )
    show(footprint.measure())
    print(f"\n{time.perf_counter() - began:.0f} s")


def _unavoidable(wires: list[Row], stores: list[Row]) -> float:
    """Return the jobs a second that crypto and store would do alone, one after the other."""
    sign, verify = _named(wires, "schnorr sign"), _named(wires, "schnorr verify")
    rows = _named(stores, "store job").limit
    assert rows is not None
    return 1 / (3 / sign.per_second + 1 / verify.per_second + 1 / rows)


def _named(rows: list[Row], name: str) -> Row:
    return next(row for row in rows if row.name == name)


def _machine() -> str:
    """Say on what this was measured."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    python = f"{platform.python_implementation()} {platform.python_version()}"
    busy = f"load {os.getloadavg()[0]:.1f} before the start"
    return f"{cpu}, {os.cpu_count()} cores; {python}; {sys.platform}; {busy}"


if __name__ == "__main__":
    main()
