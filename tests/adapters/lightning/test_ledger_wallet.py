"""The ledger in a file, against the contract of every wallet."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.adapters.lightning.town import LedgerTown, ledger_town
from tests.adapters.wallet_contract import WalletContract


class TestLedgerWallet(WalletContract):
    """Every test ends with an audit."""

    @pytest.fixture
    async def town(self, tmp_path: Path) -> AsyncGenerator[LedgerTown, None]:
        async with ledger_town(tmp_path / "ledger.db") as town:
            yield town
