"""One contract, every store."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from pylon.adapters.memory.budget import MemoryBudget
from pylon.adapters.memory.cursors import MemoryCursors
from pylon.adapters.memory.earnings import MemoryEarnings
from pylon.adapters.memory.payees import MemoryPayees
from pylon.adapters.memory.records import MemoryRecords
from pylon.app.store import Store, open_store


def memory_store() -> Store:
    jobs: MemoryRecords[Any, Any] = MemoryRecords()
    return Store(
        jobs=jobs,
        orders=MemoryRecords(),
        budget=MemoryBudget(),
        earnings=MemoryEarnings(jobs),
        cursors=MemoryCursors(),
        payees=MemoryPayees(),
    )


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Store, None]:
    if request.param == "memory":
        yield memory_store()
    else:
        async with open_store(tmp_path / "pylon.db") as opened:
            yield opened
