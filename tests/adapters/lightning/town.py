"""Three wallets on one ledger file, for the tests."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import trio

from pylon.adapters.lightning.ledger.faults import Fault, FaultKind
from pylon.adapters.lightning.ledger.opening import open_ledger
from pylon.adapters.lightning.ledger.settlement import Terms
from pylon.adapters.lightning.ledger.wallet import LedgerWallet
from pylon.adapters.memory.clock import MemoryClock
from pylon.model.money import Msat
from pylon.ports.wallet import Wallet
from pylon.wire.secp import KeyPair
from tests.adapters.wallet_contract import AMOUNT, FUNDS

TERMS = Terms()
PAYEE_SECRET, PAYER_SECRET, RIVAL_SECRET = b"\1" * 32, b"\2" * 32, b"\3" * 32


class LedgerTown:
    """Three wallets, each with the file open for itself."""

    payee: LedgerWallet
    payer: LedgerWallet
    rival: LedgerWallet

    def __init__(self, path: Path, stack: AsyncExitStack) -> None:
        self.clock = MemoryClock(time.time() - trio.current_time())  # other programs' too
        self.fee = TERMS.fee(AMOUNT)
        self.hold_seconds = TERMS.hold_seconds
        self._path = path
        self._stack = stack

    async def open(self) -> None:
        self.payee, self.payer, self.rival = [
            await self._stack.enter_async_context(
                open_ledger(self._path, KeyPair(secret), clock=self.clock)
            )
            for secret in (PAYEE_SECRET, PAYER_SECRET, RIVAL_SECRET)
        ]

    async def restart(self) -> None:
        await self._stack.aclose()
        await self.open()

    async def give(self, wallet: Wallet, amount: Msat) -> None:
        assert isinstance(wallet, LedgerWallet)
        await wallet.fund(amount)

    async def lose_next_answer(self, wallet: Wallet) -> None:
        assert isinstance(wallet, LedgerWallet)
        await wallet.inject(Fault(FaultKind.LOSE_PAYMENT, times=1))


@asynccontextmanager
async def ledger_town(path: Path) -> AsyncIterator[LedgerTown]:
    async with AsyncExitStack() as stack:
        town = LedgerTown(path, stack)
        await town.open()
        for wallet in (town.payer, town.rival):
            await wallet.fund(FUNDS)
        yield town
        assert await town.payee.audit() == []
