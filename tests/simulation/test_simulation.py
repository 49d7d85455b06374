"""Whole markets from fixed seeds, from a fresh one, and from the same one twice."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from pylon.model.money import PayMode
from tests.nostr import NOW
from tests.simulation.plan import TROUBLES, draw
from tests.simulation.report import Report, report
from tests.simulation.run import run

SEEDS = (3, 4, 7, 21, 25, 43, 58, 74)  # every trouble is in several of them
JOBS = 40
ROOT = Path(__file__).parents[2]


def simulated(seed: int, jobs: int = JOBS) -> Report:
    return report(run(draw(seed, jobs)), seconds=0.0, began_at=NOW)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_invariant_holds_after_a_run_full_of_trouble(seed: int) -> None:
    found = simulated(seed)
    assert found.jobs == JOBS
    assert found.faults
    assert found.ends["Done"]
    assert (found.lost, found.paid_twice, found.sats) == (0, 0, 0)


def test_every_invariant_holds_after_a_run_that_nobody_has_seen_before() -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"just sim {seed} {JOBS}")  # noqa: T201 - pytest shows it where the run fails
    assert simulated(seed).jobs == JOBS


def test_the_fixed_seeds_have_every_trouble_and_every_mode() -> None:
    plans = [draw(seed, JOBS) for seed in SEEDS]
    assert set().union(*(plan.troubles for plan in plans)) == set(TROUBLES)
    modes = {PayMode(mode) for plan in plans for errand in plan.errands for mode in errand.modes}
    assert modes == set(PayMode) - {PayMode.FREE}


def test_one_seed_gives_one_trace_whatever_the_process() -> None:
    seed, jobs = 25, 15
    here = simulated(seed, jobs).digest
    again = simulated(seed, jobs).digest
    script = (
        "from tests.simulation.test_simulation import simulated;"
        f"print(simulated({seed}, {jobs}).digest)"
    )
    elsewhere = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert here == again == elsewhere
    assert simulated(seed + 1, jobs).digest != here
