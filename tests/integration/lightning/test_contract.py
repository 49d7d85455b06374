"""The contract of every wallet, over a real channel, as far as it is about two wallets with a past."""

import time
from collections.abc import AsyncGenerator
from typing import Any, ClassVar

import pytest
import trio
from attrs import evolve

from pylon.errors import BadInvoice
from pylon.model.money import Msat, from_sats
from pylon.model.wallet import Capabilities, Direction, InvoiceState, PaymentFailed
from pylon.wire.bolt11 import decode
from tests.adapters.wallet_contract import AMOUNT, Town, WalletContract, invoice, pay, state, take
from tests.integration.lightning.town import Pair
from tests.integration.lightning.wallets import ChannelTown, channel_town

NO_THIRD = "there are two wallets in this town"
REAL_TIME = "Electrum has a clock of its own"
ONE_USE = "a payment hash is used once in the life of a wallet: see test_holding.py"


def left_out(why: str) -> Any:
    """Leave a test of the contract out, and show the reason."""

    async def test(self: Any) -> None:
        pytest.skip(why)

    return test


class ChannelContract(WalletContract):
    """Real time, real balances; both 4.3 and 4.8."""

    says_why: ClassVar = False
    journal: ClassVar = False
    faucet: ClassVar = False

    @pytest.fixture
    def can_hold(self) -> None:
        pytest.skip(ONE_USE if self.able.hold else "this wallet cannot hold")

    test_two_payers_settle_one_invoice_once = left_out(NO_THIRD)
    test_a_watcher_is_not_told_of_others = left_out(NO_THIRD)
    test_an_invoice_nobody_paid_expires_in_the_past = left_out(REAL_TIME)

    async def test_an_invoice_says_what_was_asked_and_who_asks(self, town: Town) -> None:
        before = int(time.time())
        made, info = await invoice(town), await town.payee.info()
        said = decode(made.bolt11)
        assert said.amount == made.amount == AMOUNT
        assert said.payment_hash == made.payment_hash
        assert (said.description, said.payee) == ("a job", info.node_key)
        assert before <= said.created_at == made.created_at <= time.time()
        assert said.expires_at == made.expires_at == made.created_at + 600
        assert await state(town.payee, made.payment_hash) is InvoiceState.OPEN

    async def test_more_than_there_is_cannot_be_spent(self, town: Town) -> None:
        before = await town.payer.balance()
        made = await invoice(town, from_sats(20_000_000))  # more than the channel holds
        failed = await pay(town.payer, made.bolt11)
        assert failed == PaymentFailed(made.payment_hash, "insufficient funds")
        assert isinstance(await town.payer.payment(made.payment_hash), PaymentFailed)
        assert await town.payer.balance() == before

    async def test_an_expired_invoice_is_not_paid(self, town: Town) -> None:
        made, before = await invoice(town, expiry=1), await town.payer.balance()
        await trio.sleep(2.1)  # Electrum looks at its own clock
        failed = await pay(town.payer, made.bolt11)
        assert isinstance(failed, PaymentFailed)
        assert "expired" in failed.reason
        assert await state(town.payee, made.payment_hash) is InvoiceState.EXPIRED
        assert await town.payer.balance() == before

    async def test_a_wallet_does_not_pay_itself(self, town: Town) -> None:
        made = await invoice(town)
        assert isinstance(await pay(town.payee, made.bolt11), PaymentFailed)

    async def test_a_watcher_is_told_of_what_happens_while_it_waits(self, town: Town) -> None:
        made = await invoice(town)
        async with trio.open_nursery() as nursery, town.payee.watch(after=0) as watch:
            nursery.start_soon(pay, town.payer, made.bolt11)
            (told,) = await take(watch, 1)
        assert evolve(told, cursor=0) == await town.payee.lookup(made.payment_hash)
        assert (told.state, told.paid) == (InvoiceState.SETTLED, AMOUNT)

    @pytest.mark.parametrize("amount", [1, 999, 1001])
    async def test_parts_of_a_satoshi_cannot_be_asked_for(self, town: Town, amount: int) -> None:
        with pytest.raises(BadInvoice):
            await invoice(town, Msat(amount))

    async def test_the_past_is_told_newest_first(self, town: Town) -> None:
        paid = await invoice(town)
        await pay(town.payer, paid.bolt11)
        await trio.sleep(1.1)  # the past is told in seconds
        failed, opened = await invoice(town, from_sats(20_000_000)), await invoice(town)
        await pay(town.payer, failed.bolt11)

        mine = (failed.payment_hash, paid.payment_hash)
        everything = await town.payer.history(limit=999)
        told = [t for t in everything if t.payment_hash in mine]
        assert [(t.direction, t.state, t.payment_hash) for t in told] == [
            (Direction.OUTGOING, "failed", failed.payment_hash),
            (Direction.OUTGOING, "settled", paid.payment_hash),
        ]
        assert (told[1].amount, told[1].fee, told[1].description) == (AMOUNT, town.fee, "a job")
        assert await town.payer.history(limit=5) == everything[:5]
        asked = {t.payment_hash: t.state for t in await town.payee.history(limit=999)}
        assert asked[paid.payment_hash] == "settled"
        assert asked[opened.payment_hash] == "open"


class TestElectrum43(ChannelContract):
    """Debian's own."""

    able: ClassVar = Capabilities(tells_preimage=True)

    @pytest.fixture
    async def town(self, pair: Pair) -> AsyncGenerator[ChannelTown, None]:
        async with channel_town(pair) as town:
            yield town


class TestElectrum48(ChannelContract):
    """Of Debian unstable, best effort."""

    able: ClassVar = Capabilities(hold=True, tells_preimage=True, max_fee=True)

    test_a_fee_above_the_limit_is_not_paid = left_out("the payee is next door: there is no fee")

    @pytest.fixture
    async def town(self, holding_pair: Pair) -> AsyncGenerator[ChannelTown, None]:
        async with channel_town(holding_pair) as town:
            yield town
