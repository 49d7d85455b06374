"""`python -m tests.chaos [JOBS] [SEED]`: print the report as JSON; exit status 1 on a violation."""

import random
import sys
import tempfile
from pathlib import Path

import trio

from tests.chaos.run import run


def main(jobs: str = "10000", seed: str = "") -> int:
    chosen = int(seed) if seed else random.SystemRandom().randrange(1 << 32)
    print(f"seed {chosen}: just chaos {jobs} {chosen}", file=sys.stderr, flush=True)  # noqa: T201
    with tempfile.TemporaryDirectory(prefix="pylon-chaos-") as folder:
        report = trio.run(run, Path(folder), int(jobs), chosen)
    print(report.json())  # noqa: T201
    return 1 if report.verdict.violations else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
