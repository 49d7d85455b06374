"""Three doubles of Spark wallets on one memory ledger, and Pylon's wallets of them."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import breez_sdk_spark as sdk
import trio

from pylon.adapters.lightning.spark.opening import wallet_of
from pylon.adapters.lightning.spark.sdk import Spark
from pylon.adapters.lightning.spark.wallet import SparkWallet
from pylon.adapters.memory.clock import MemoryClock
from pylon.adapters.memory.wallet import MemoryMarket
from pylon.model.money import Msat, Network
from pylon.ports.wallet import Wallet
from pylon.wire.secp import KeyPair
from tests.adapters.lightning.spark_double import TERMS, SparkDouble, in_trio
from tests.adapters.wallet_contract import AMOUNT, FUNDS

NAMES = ("payee", "payer", "rival")


class SparkTown:
    """What Spark knows stays when the program is restarted, and what Pylon wrote down."""

    payee: SparkWallet
    payer: SparkWallet
    rival: SparkWallet

    def __init__(self, folder: Path, nursery: trio.Nursery) -> None:
        self.clock = MemoryClock()
        self.fee = TERMS.fee(AMOUNT)
        self.hold_seconds = TERMS.hold_seconds
        market = MemoryMarket(self.clock, TERMS)
        self.doubles = {
            name: SparkDouble(market.wallet(KeyPair(bytes([n]) * 32)), self.clock, nursery)
            for n, name in enumerate(NAMES, start=1)
        }
        self._folder = folder
        self._program = AsyncExitStack()

    async def open(self) -> None:
        self.payee, self.payer, self.rival = [
            await self._program.enter_async_context(
                wallet_of(
                    Spark(sdk, self.doubles[name], in_trio),
                    self._folder,
                    Network.REGTEST,
                    self.clock,
                )
            )
            for name in NAMES
        ]

    async def close(self) -> None:
        await self._program.aclose()

    async def restart(self) -> None:
        await self.close()
        await self.open()

    def double(self, wallet: Wallet) -> SparkDouble:
        (name,) = [name for name in NAMES if getattr(self, name) is wallet]
        return self.doubles[name]

    async def give(self, wallet: Wallet, amount: Msat) -> None:
        await self.double(wallet).deposit(amount)

    async def lose_next_answer(self, wallet: Wallet) -> None:
        self.double(wallet).lose_next = True


@asynccontextmanager
async def spark_town(folder: Path) -> AsyncGenerator[SparkTown, None]:
    async with trio.open_nursery() as nursery:
        town = SparkTown(folder, nursery)
        await town.open()
        for wallet in (town.payer, town.rival):
            await town.give(wallet, FUNDS)
        yield town
        assert await town.doubles["payee"].wallet.audit() == []
        await town.close()
        nursery.cancel_scope.cancel()
