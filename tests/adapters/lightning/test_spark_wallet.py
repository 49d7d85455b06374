"""Spark, in the SDK's own types, against the contract of every wallet."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from pylon.adapters.lightning.spark import bell
from pylon.model.wallet import Capabilities
from tests.adapters.wallet_contract import WalletContract

pytest.importorskip("breez_sdk_spark", reason="the extra `spark` is not installed")

from tests.adapters.lightning.spark_town import SparkTown, spark_town


class TestSparkWallet(WalletContract):
    """Every test ends with an audit of the ledger below."""

    able = Capabilities(hold=True, max_fee=True)
    says_why = False
    cancels_open = False
    cancels_held = False
    journal = False  # of one second's payments Spark does not tell the order
    signs = False  # the service provider does

    @pytest.fixture
    async def town(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncGenerator[SparkTown, None]:
        monkeypatch.setattr(bell, "POLL_SECONDS", 0.2)
        async with spark_town(tmp_path) as town:
            yield town
