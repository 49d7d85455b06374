"""Our NWC client, our NWC service and our relay, against the contract of every wallet."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import ClassVar

import pytest
import trio

from pylon.model.wallet import Capabilities
from tests.adapters.lightning.nwc_town import NwcTown, nwc_town
from tests.adapters.wallet_contract import WalletContract


class TestNwcWallet(WalletContract):
    """Every test ends with an audit."""

    able: ClassVar = Capabilities(hold=True, msat=True)
    says_why: ClassVar = False
    journal: ClassVar = False
    faucet: ClassVar = False

    @pytest.fixture
    async def town(self, tmp_path: Path) -> AsyncGenerator[NwcTown, None]:
        with trio.fail_after(60):
            async with nwc_town(tmp_path) as town:
                yield town
