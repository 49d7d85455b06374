"""The wallets of the memory market, against the contract of every wallet."""

from collections.abc import AsyncGenerator

import pytest
import trio
import trio.testing

from pylon.adapters.lightning.ledger.faults import Fault, FaultKind
from pylon.adapters.lightning.ledger.settlement import Terms
from pylon.adapters.lightning.ledger.wallet import LedgerWallet
from pylon.adapters.memory.clock import MemoryClock
from pylon.adapters.memory.wallet import MemoryMarket
from pylon.errors import Misconfigured
from pylon.model.ids import PaymentHash
from pylon.model.money import Msat
from pylon.model.wallet import PaymentFailed
from pylon.ports.wallet import Wallet
from pylon.wire.secp import KeyPair
from tests.adapters.wallet_contract import AMOUNT, FUNDS, WalletContract, pay

TERMS = Terms()


class MemoryTown:
    """Three wallets of one market. A restart leaves the market and forgets the wallets."""

    payee: LedgerWallet
    payer: LedgerWallet
    rival: LedgerWallet

    def __init__(self) -> None:
        self.clock = MemoryClock()
        self.fee = TERMS.fee(AMOUNT)
        self.hold_seconds = TERMS.hold_seconds
        self._market = MemoryMarket(self.clock)
        self._open()

    def _open(self) -> None:
        self.payee, self.payer, self.rival = [
            self._market.wallet(KeyPair(bytes([n]) * 32)) for n in (1, 2, 3)
        ]

    async def restart(self) -> None:
        self._open()

    async def give(self, wallet: Wallet, amount: Msat) -> None:
        assert isinstance(wallet, LedgerWallet)
        await wallet.fund(amount)

    async def lose_next_answer(self, wallet: Wallet) -> None:
        assert isinstance(wallet, LedgerWallet)
        await wallet.inject(Fault(FaultKind.LOSE_PAYMENT, times=1))


class TestMemoryWallet(WalletContract):
    """Every test ends with an audit."""

    @pytest.fixture
    async def town(self) -> AsyncGenerator[MemoryTown, None]:
        town = MemoryTown()
        for wallet in (town.payer, town.rival):
            await wallet.fund(FUNDS)
        yield town
        assert await town.payee.audit() == []


async def test_an_hour_of_holding_passes_at_once_under_a_jumping_clock(
    autojump_clock: trio.testing.MockClock,
) -> None:
    town = MemoryTown()
    await town.payer.fund(FUNDS)
    made = await town.payee.make_hold_invoice(
        PaymentHash("ab" * 32), AMOUNT, description="", expiry_seconds=60, hold_seconds=60
    )
    with trio.fail_after(TERMS.hold_seconds + 60):
        result = await town.payer.pay(made.bolt11, max_fee=AMOUNT, deadline_seconds=1e6)

    assert result == PaymentFailed(made.payment_hash, "held for too long")
    assert trio.current_time() == pytest.approx(TERMS.hold_seconds, abs=2)
    assert await town.payer.balance() == FUNDS


async def test_who_waits_is_woken_at_once_and_not_by_a_timer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    town = MemoryTown()
    await town.payer.fund(FUNDS)
    made = await town.payee.make_invoice(AMOUNT, description="", expiry_seconds=60)
    with trio.fail_after(1):
        async with trio.open_nursery() as nursery, town.payee.watch(after=0) as watch:
            nursery.start_soon(pay, town.payer, made.bolt11)
            await anext(watch)

    assert trio.current_time() == 0


async def test_a_hold_that_the_ledger_could_not_keep_is_refused_before_it_is_offered() -> None:
    town = MemoryTown()
    with pytest.raises(Misconfigured, match="holds payments for"):
        await town.payee.make_hold_invoice(
            PaymentHash("ab" * 32),
            AMOUNT,
            description="",
            expiry_seconds=60,
            hold_seconds=TERMS.hold_seconds + 1,
        )
