"""`just mutants [NAME...]`: make every small mistake in the money code, and see the tests find it.

Each mutant lives in a process forked from one that has loaded the tests' libraries already, so that
it costs the tests alone. A mutant is killed by a test that fails, or by one that does not end.
What survives is written to docs/mutants.md beside the reasons kept there.
"""

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType

import apsw  # noqa: F401 - loaded once, for all
import hypothesis.stateful  # noqa: F401
import pytest
import trio.testing  # noqa: F401

from tests.mutation.listing import write_listing
from tests.mutation.mutants import Mutant, mutants_of

ROOT = Path(__file__).parents[2]
SECONDS = 90  # after which a mutant counts as killed: it does not end
KILLED, SURVIVED = 1, 0

LEDGER = "pylon/adapters/lightning/ledger"
_CORE, _MONEY, _STORES = "tests/core", "tests/adapters/lightning", "tests/adapters/stores"
_LEDGER_TESTS = tuple(
    f"{_MONEY}/test_ledger_{w}.py" for w in ("wallet", "faults", "machine", "file")
)

# The modules, each with the tests that know it, the quickest first.
TARGETS: dict[str, tuple[str, ...]] = {
    "pylon/core/job_machine.py": (
        f"{_CORE}/test_job_machine.py",
        f"{_CORE}/test_job_details.py",
        f"{_CORE}/test_job_refunds.py",
        f"{_CORE}/test_job_life.py",
    ),
    "pylon/core/order_machine.py": (
        f"{_CORE}/test_order_machine.py",
        f"{_CORE}/test_order_details.py",
        f"{_CORE}/test_order_life.py",
    ),
    "pylon/core/budget.py": (
        f"{_CORE}/test_budget.py",
        f"{_STORES}/test_budget.py",
        f"{_STORES}/test_budget_pause.py",
        f"{_STORES}/test_budget_machine.py",
    ),
    **{
        f"{LEDGER}/{name}.py": _LEDGER_TESTS
        for name in (
            *("accounts", "audit", "book", "faults", "history", "invoices", "opening"),
            *("payments", "settlement", "wallet", "watch"),
        )
    },
}


class _Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports a mutant in the place of its module."""

    def __init__(self, mutant: Mutant) -> None:
        self._name = mutant.path.removesuffix(".py").replace("/", ".")
        self._code: CodeType = compile(mutant.text, mutant.path, "exec")

    def find_spec(
        self, fullname: str, path: object, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if fullname != self._name:
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)  # noqa: S102 - that is what it is for


def main(words: list[str]) -> int:
    """Try the mutants of the modules whose path holds one of the words, or of all."""
    chosen = [path for path in TARGETS if not words or any(word in path for word in words)]
    sources = {path: (ROOT / path).read_text() for path in chosen}
    for healthy, outcome in _tried(
        [Mutant(path, 0, "", "as it is", sources[path]) for path in chosen]
    ):
        if outcome != SURVIVED:
            print(f"{healthy}: its tests fail without any mistake", file=sys.stderr)  # noqa: T201
            return 2
    mutants = [m for path in chosen for m in mutants_of(path, sources[path])]
    began, survivors, counts = time.monotonic(), [], defaultdict[str, list[int]](lambda: [0, 0])
    for number, (mutant, outcome) in enumerate(_tried(mutants), start=1):
        if number % 50 == 0:
            print(f"{number} of {len(mutants)} tried", flush=True)  # noqa: T201
        counts[mutant.path][0] += 1
        counts[mutant.path][1] += outcome != SURVIVED
        if outcome == SURVIVED:
            survivors.append(mutant)
            print(f"survived: {mutant}", flush=True)  # noqa: T201
    killed, made = sum(c[1] for c in counts.values()), len(mutants)
    print(f"{killed} of {made} killed, {killed / made:.1%}, {time.monotonic() - began:.0f} s")  # noqa: T201
    write_listing(ROOT / "docs/mutants.md", dict(counts), survivors)
    return 0 if killed >= 0.9 * made else 1


def _tried(mutants: list[Mutant]) -> Iterator[tuple[Mutant, int]]:
    """Try mutants, as many at once as there are cores."""
    running: dict[int, Mutant] = {}
    waiting = list(reversed(mutants))
    while waiting or running:
        while waiting and len(running) < (os.cpu_count() or 1):
            mutant = waiting.pop()
            running[_fork(mutant)] = mutant
        pid, status = os.wait()
        yield running.pop(pid), os.waitstatus_to_exitcode(status)


def _fork(mutant: Mutant) -> int:
    """Start trying one mutant."""
    pid = os.fork()
    if pid:
        return pid
    signal.alarm(SECONDS)  # its default is to end the process
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    outcome = KILLED
    with contextlib.suppress(BaseException):
        sys.meta_path.insert(0, _Instead(mutant))
        tests = [str(ROOT / test) for test in TARGETS[mutant.path]]
        outcome = pytest.main(["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", *tests])
    os._exit(SURVIVED if outcome == pytest.ExitCode.OK else KILLED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
