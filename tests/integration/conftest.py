"""A market for every test, of homes that were made once."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import trio

from tests.integration.market import Market, copy_homes, make_homes, open_market

TEST_SECONDS = 60


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("homes")
    make_homes(root)
    return root


@pytest.fixture
async def market(homes: Path, tmp_path: Path) -> AsyncGenerator[Market, None]:
    copy_homes(homes, tmp_path)
    with trio.fail_after(TEST_SECONDS):
        async with open_market(tmp_path) as market:
            yield market
    assert market.tracebacks == []
