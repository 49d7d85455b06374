"""lnd over HTTPS, against the contract of every wallet."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.adapters.lightning.lnd_town import LndTown, lnd_town
from tests.adapters.wallet_contract import WalletContract


class TestLndWallet(WalletContract):
    """Every test ends with an audit of the ledger below."""

    journal = False  # lnd numbers settlements only
    faucet = False

    @pytest.fixture
    async def town(self, tmp_path: Path) -> AsyncGenerator[LndTown, None]:
        async with lnd_town(tmp_path) as town:
            yield town
