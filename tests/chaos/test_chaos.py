"""A short run of what `just chaos` does at length."""

from pathlib import Path

import trio

from tests.chaos.run import run

JOBS, SEED = 120, 20_261_121
SECONDS = 400  # far more than it takes, also on a busy machine


async def test_real_programs_killed_and_cut_at_random_lose_no_job_and_no_sat(
    tmp_path: Path,
) -> None:
    with trio.fail_after(SECONDS):
        report = await run(tmp_path, JOBS, SEED)

    assert report.verdict.violations == (), report.json()
    assert sum(report.kills.values()) > 0
    assert report.verdict.ended.get("Done", 0) > JOBS // 2
