"""What every wallet must do: one suite, run over each adapter by a subclass with a `town` fixture.

Wallets differ. What one cannot do its subclass says in the attributes of `WalletContract`; the
tests of it are skipped with that reason, and where the port promises a refusal, that is tested.
"""

import math
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import ClassVar, Protocol

import pytest
import trio
from attrs import evolve

from pylon.adapters.memory.clock import MemoryClock
from pylon.errors import BadInvoice, Misconfigured, WalletUnavailable
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.invoice import Invoice
from pylon.model.money import ZERO, Msat, Network, from_sats
from pylon.model.wallet import (
    Capabilities,
    Direction,
    InvoiceState,
    InvoiceStatus,
    IssuedInvoice,
    PaymentFailed,
    PaymentInFlight,
    PaymentResult,
    PaymentSettled,
)
from pylon.ports.wallet import Wallet
from pylon.wire.bolt11 import decode, encode
from pylon.wire.secp import KeyPair

AMOUNT = from_sats(12)
FUNDS = from_sats(1000)
ENOUGH = from_sats(10)  # for any fee here
PREIMAGE = Preimage("11" * 32)
HASH = PaymentHash(sha256(bytes.fromhex(PREIMAGE)).hexdigest())
HOLD_SECONDS = 600  # how long a held job may take
UNKNOWN = PaymentHash("ee" * 32)


class Town(Protocol):
    """Three wallets that can pay one another; `payer` and `rival` hold `FUNDS` each."""

    clock: MemoryClock
    fee: Msat  # of a payment of AMOUNT
    hold_seconds: int

    @property
    def payee(self) -> Wallet: ...
    @property
    def payer(self) -> Wallet: ...
    @property
    def rival(self) -> Wallet: ...

    async def restart(self) -> None:
        """End the program and start it again: the wallets are new, what they knew is not."""
        ...

    async def give(self, wallet: Wallet, amount: Msat) -> None:
        """Fund a wallet."""
        ...

    async def lose_next_answer(self, wallet: Wallet) -> None:
        """Let the wallet's next payment happen, and the caller not hear of it."""
        ...


async def pay(wallet: Wallet, bolt11: str, *, max_fee: Msat = ENOUGH) -> PaymentResult:
    with trio.fail_after(20):
        return await wallet.pay(bolt11, max_fee=max_fee, deadline_seconds=10)


async def start_paying(town: Town, bolt11: str) -> None:
    """Pay a hold invoice until the payee sees the money, and stop waiting there."""
    async with trio.open_nursery() as nursery, town.payee.watch(after=0) as watch:
        nursery.start_soon(pay, town.payer, bolt11)
        while (await take(watch, 1))[0].state is not InvoiceState.ACCEPTED:
            pass
        nursery.cancel_scope.cancel()


async def invoice(town: Town, amount: Msat = AMOUNT, *, expiry: int = 600) -> IssuedInvoice:
    return await town.payee.make_invoice(amount, description="a job", expiry_seconds=expiry)


async def hold(town: Town, *, expiry: int = 600) -> IssuedInvoice:
    return await town.payee.make_hold_invoice(
        HASH, AMOUNT, description="a held job", expiry_seconds=expiry, hold_seconds=HOLD_SECONDS
    )


async def state(wallet: Wallet, payment_hash: PaymentHash) -> InvoiceState:
    status = await wallet.lookup(payment_hash)
    assert status is not None
    return status.state


async def take(watch: AsyncIterator[InvoiceStatus], count: int) -> list[InvoiceStatus]:
    told = list[InvoiceStatus]()
    with trio.fail_after(10):
        async for status in watch:
            told.append(status)
            if len(told) == count:
                break
    return told


async def take_until(
    watch: AsyncIterator[InvoiceStatus], wanted: dict[PaymentHash, InvoiceState]
) -> list[InvoiceStatus]:
    """Return what is told until each of these invoices has been told to be in its state."""
    told = list[InvoiceStatus]()
    while not wanted.items() <= {t.payment_hash: t.state for t in told}.items():
        told += await take(watch, 1)
    return told


class WalletContract:
    """The suite, and what the wallet under test can do: everything, unless a subclass says less."""

    able: ClassVar = Capabilities(hold=True, chosen_preimage=True, msat=True, max_fee=True)
    says_why: ClassVar = True  # a failure has its reason in the ledger's words, then and later
    cancels_open: ClassVar = True  # an ordinary invoice can be withdrawn
    cancels_held: ClassVar = True  # what is held can be given back before its time
    signs: ClassVar = True  # its invoices are signed by a node key that it names
    journal: ClassVar = True  # a watcher is told each step once, also those of the past
    faucet: ClassVar = True  # the history tells of funding

    @pytest.fixture
    def can_hold(self) -> None:
        if not self.able.hold:
            pytest.skip("this wallet cannot hold")

    @pytest.fixture
    def cannot_hold(self) -> None:
        if self.able.hold:
            pytest.skip("this wallet can hold")

    @pytest.fixture
    def can_choose(self) -> None:
        if not self.able.chosen_preimage:
            pytest.skip("this wallet chooses preimages itself")

    @pytest.fixture
    def cannot_choose(self) -> None:
        if self.able.chosen_preimage:
            pytest.skip("this wallet takes preimages")

    @pytest.fixture
    def can_cancel(self) -> None:
        if not self.cancels_open:
            pytest.skip("this wallet cannot withdraw an ordinary invoice")

    @pytest.fixture
    def can_end_so(self, settle: bool) -> None:
        if not (settle or self.cancels_held):
            pytest.skip("this wallet cannot give back what it holds")

    @pytest.fixture
    def can_limit_fees(self) -> None:
        if not self.able.max_fee:
            pytest.skip("this wallet takes no fee limit: what a payment may cost is its own policy")

    @pytest.fixture
    def can_split_satoshi(self) -> None:
        if not self.able.msat:
            pytest.skip("this wallet knows whole satoshi only")

    def is_failure(self, result: PaymentResult | None, payment_hash: PaymentHash, why: str) -> bool:
        """Say whether a result is a failure for this reason, as far as the wallet tells reasons."""
        if self.says_why:
            return isinstance(result, PaymentFailed) and why in result.reason
        return isinstance(result, PaymentFailed) and result.payment_hash == payment_hash

    async def test_a_wallet_says_what_it_can_do(self, town: Town) -> None:
        assert (await town.payee.info()).capabilities == self.able

    @pytest.mark.usefixtures("cannot_hold")
    async def test_a_hold_is_refused_where_it_cannot_be(self, town: Town) -> None:
        with pytest.raises(Misconfigured):
            await hold(town)

    @pytest.mark.usefixtures("cannot_choose")
    async def test_a_preimage_is_refused_where_it_cannot_be_chosen(self, town: Town) -> None:
        with pytest.raises(Misconfigured):
            await town.payee.make_invoice(
                AMOUNT, description="sealed", expiry_seconds=600, preimage=PREIMAGE
            )

    # --- invoices ---

    async def test_an_invoice_says_what_was_asked_and_who_asks(self, town: Town) -> None:
        made = await invoice(town)
        said, info = decode(made.bolt11), await town.payee.info()

        assert said.amount == made.amount == AMOUNT
        assert said.payment_hash == made.payment_hash
        assert said.description == "a job"
        assert info.node_key == (said.payee if self.signs else None)
        assert said.network is info.network is Network.REGTEST
        assert said.created_at == made.created_at == int(town.clock.now())
        assert said.expires_at == made.expires_at == made.created_at + 600
        assert await state(town.payee, made.payment_hash) is InvoiceState.OPEN

    async def test_an_idempotency_key_makes_one_invoice(self, town: Town) -> None:
        first, again, other = [
            await town.payee.make_invoice(
                AMOUNT, description="a job", expiry_seconds=600, idempotency_key=key
            )
            for key in ("job 1", "job 1", "job 2")
        ]
        assert first == again
        assert first.payment_hash != other.payment_hash

    @pytest.mark.usefixtures("can_choose")
    async def test_a_chosen_preimage_is_the_one_that_is_sold(self, town: Town) -> None:
        made = await town.payee.make_invoice(
            AMOUNT, description="sealed", expiry_seconds=600, preimage=PREIMAGE
        )
        assert (made.payment_hash, made.preimage) == (HASH, PREIMAGE)

        paid = await pay(town.payer, made.bolt11)
        assert paid == PaymentSettled(HASH, PREIMAGE, AMOUNT, town.fee)

    @pytest.mark.usefixtures("can_choose")
    async def test_a_preimage_is_used_for_one_invoice(self, town: Town) -> None:
        async def make(wallet: Wallet, amount: Msat) -> IssuedInvoice:
            return await wallet.make_invoice(
                amount, description="sealed", expiry_seconds=600, preimage=PREIMAGE
            )

        first = await make(town.payee, AMOUNT)
        assert await make(town.payee, AMOUNT) == first
        with pytest.raises(Misconfigured):
            await make(town.payee, Msat(AMOUNT + 1))
        with pytest.raises(Misconfigured):
            await make(town.rival, AMOUNT)

    async def test_nothing_and_less_cannot_be_asked_for(self, town: Town) -> None:
        for amount in (ZERO, Msat(-1)):
            with pytest.raises(BadInvoice):
                await invoice(town, amount)

    async def test_an_invoice_is_known_only_to_its_payee(self, town: Town) -> None:
        made = await invoice(town)
        assert await town.payer.lookup(made.payment_hash) is None
        assert await town.payee.lookup(UNKNOWN) is None
        with pytest.raises(Misconfigured):
            await town.rival.cancel_invoice(made.payment_hash)
        with pytest.raises(Misconfigured):
            await town.payee.cancel_invoice(UNKNOWN)
        with pytest.raises(Misconfigured):
            await town.payee.settle_hold(PREIMAGE)

    # --- paying ---

    async def test_a_payment_moves_the_money_and_brings_the_proof(self, town: Town) -> None:
        made = await invoice(town)
        paid = await pay(town.payer, made.bolt11)

        assert isinstance(paid, PaymentSettled)
        assert sha256(bytes.fromhex(paid.preimage)).hexdigest() == made.payment_hash
        assert (paid.amount, paid.fee) == (AMOUNT, town.fee)
        assert await town.payee.balance() == AMOUNT
        assert await town.payer.balance() == FUNDS - AMOUNT - town.fee
        assert await town.payer.payment(made.payment_hash) == paid
        status = await town.payee.lookup(made.payment_hash)
        assert status is not None
        assert (status.state, status.paid) == (InvoiceState.SETTLED, AMOUNT)

    async def test_paying_twice_is_paying_once(self, town: Town) -> None:
        made = await invoice(town)
        first = await pay(town.payer, made.bolt11)

        assert await pay(town.payer, made.bolt11.upper()) == first
        assert await town.payer.balance() == FUNDS - AMOUNT - town.fee

    async def test_paying_from_many_tasks_is_paying_once(self, town: Town) -> None:
        made, results = await invoice(town), list[PaymentResult]()

        async def one() -> None:
            results.append(await pay(town.payer, made.bolt11))

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(one)

        assert len(results) == 10
        assert len(set(results)) == 1
        assert await town.payer.balance() == FUNDS - AMOUNT - town.fee

    async def test_two_payers_settle_one_invoice_once(self, town: Town) -> None:
        made = await invoice(town)
        results = [await pay(wallet, made.bolt11) for wallet in (town.payer, town.rival)]

        assert isinstance(results[0], PaymentSettled)
        assert self.is_failure(results[1], made.payment_hash, "already paid")
        assert await town.rival.balance() == FUNDS

    async def test_an_answer_that_is_lost_is_found_by_payment_hash(self, town: Town) -> None:
        made = await invoice(town)
        await town.lose_next_answer(town.payer)
        try:
            told = await pay(town.payer, made.bolt11)
        except WalletUnavailable:
            pass
        else:  # a wallet may ask again by itself; it may not take silence for a failure
            assert not isinstance(told, PaymentFailed)

        found = await town.payer.payment(made.payment_hash)
        assert isinstance(found, PaymentSettled)
        assert await pay(town.payer, made.bolt11) == found
        assert await town.payer.balance() == FUNDS - AMOUNT - town.fee

    async def test_what_was_never_started_has_no_outcome(self, town: Town) -> None:
        made = await invoice(town)
        assert await town.payer.payment(made.payment_hash) is None

    @pytest.mark.usefixtures("can_split_satoshi")
    @pytest.mark.parametrize("amount", [1, 999, 1001, 123_457])
    async def test_an_amount_is_exact_to_the_millisatoshi(self, town: Town, amount: int) -> None:
        made = await invoice(town, Msat(amount))
        paid = await pay(town.payer, made.bolt11)

        assert isinstance(paid, PaymentSettled)
        assert paid.amount == await town.payee.balance() == amount
        assert await town.payer.balance() == FUNDS - amount - paid.fee

    async def test_more_than_there_is_cannot_be_spent(self, town: Town) -> None:
        made = await invoice(town, FUNDS)  # nothing left for the fee
        failed = await pay(town.payer, made.bolt11)

        for outcome in (failed, await town.payer.payment(made.payment_hash)):
            assert self.is_failure(outcome, made.payment_hash, "insufficient funds")
        assert await town.payer.balance() == FUNDS

        await town.give(town.payer, FUNDS)  # a definite failure may be tried again
        assert isinstance(await pay(town.payer, made.bolt11), PaymentSettled)

    @pytest.mark.usefixtures("can_limit_fees")
    async def test_a_fee_above_the_limit_is_not_paid(self, town: Town) -> None:
        made = await invoice(town)
        failed = await pay(town.payer, made.bolt11, max_fee=Msat(town.fee - 1))

        assert self.is_failure(failed, made.payment_hash, "fee")
        assert await town.payer.balance() == FUNDS
        assert isinstance(await pay(town.payer, made.bolt11, max_fee=town.fee), PaymentSettled)

    async def test_an_expired_invoice_is_not_paid(self, town: Town) -> None:
        made = await invoice(town, expiry=60)
        town.clock.jump(62)

        failed = await pay(town.payer, made.bolt11)
        assert self.is_failure(failed, made.payment_hash, "expired")
        assert await state(town.payee, made.payment_hash) is InvoiceState.EXPIRED
        assert await town.payer.balance() == FUNDS

    @pytest.mark.usefixtures("can_cancel")
    async def test_a_cancelled_invoice_is_not_paid(self, town: Town) -> None:
        made = await invoice(town)
        for _ in range(2):  # cancelling twice is cancelling once
            cancelled = await town.payee.cancel_invoice(made.payment_hash)
            assert cancelled.state is InvoiceState.CANCELLED

        failed = await pay(town.payer, made.bolt11)
        assert self.is_failure(failed, made.payment_hash, "cancelled")

    @pytest.mark.usefixtures("can_cancel")
    async def test_a_paid_invoice_cannot_be_cancelled(self, town: Town) -> None:
        made = await invoice(town)
        await pay(town.payer, made.bolt11)

        assert (await town.payee.cancel_invoice(made.payment_hash)).state is InvoiceState.SETTLED
        assert await town.payee.balance() == AMOUNT

    async def test_a_wallet_does_not_pay_itself(self, town: Town) -> None:
        await town.give(town.payee, FUNDS)
        made = await invoice(town)
        assert isinstance(await pay(town.payee, made.bolt11), PaymentFailed)

    @pytest.mark.parametrize("garbage", ["", "lnbcrt", "lightning:", "hello \ud800", "lnbc1" * 99])
    async def test_what_is_no_invoice_is_refused(self, town: Town, garbage: str) -> None:
        with pytest.raises(BadInvoice):
            await pay(town.payer, garbage)

    async def test_an_invoice_of_another_network_is_not_paid(self, town: Town) -> None:
        for network in set(Network) - {Network.REGTEST}:
            text = await self.foreign(town, network=network)
            assert isinstance(await pay(town.payer, text), PaymentFailed)

    async def test_an_invoice_without_amount_is_not_paid(self, town: Town) -> None:
        text = await self.foreign(town, amount=None)
        assert isinstance(await pay(town.payer, text), PaymentFailed)

    async def test_an_invoice_nobody_here_made_has_no_route(self, town: Town) -> None:
        text = await self.foreign(town)
        failed = await pay(town.payer, text)
        assert self.is_failure(failed, UNKNOWN, "no route")

    async def test_a_thiefs_copy_of_an_invoice_is_not_paid(self, town: Town) -> None:
        made = await invoice(town)
        said, thief = decode(made.bolt11), KeyPair(b"\x66" * 32)
        copy = encode(evolve(said, payee=thief.node_key, amount=Msat(AMOUNT * 2)), thief)

        assert isinstance(await pay(town.payer, copy), PaymentFailed)
        assert await town.payer.balance() == FUNDS
        assert isinstance(await pay(town.payer, made.bolt11), PaymentSettled)

    @staticmethod
    async def foreign(
        town: Town, *, network: Network = Network.REGTEST, amount: Msat | None = AMOUNT
    ) -> str:
        key = KeyPair(b"\x77" * 32)
        value = Invoice(
            network=network,
            amount=amount,
            created_at=int(town.clock.now()),
            payment_hash=UNKNOWN,
            payment_secret="cd" * 32,
            payee=key.node_key,
            description="from afar",
        )
        return encode(value, key)

    # --- hold ---

    @pytest.mark.usefixtures("can_hold")
    async def test_a_hold_locks_the_money_until_it_is_settled(self, town: Town) -> None:
        made = await hold(town)
        await start_paying(town, made.bolt11)

        held = await town.payee.lookup(HASH)
        assert held is not None
        assert (held.state, held.paid) == (InvoiceState.ACCEPTED, AMOUNT)
        assert held.settle_deadline is not None
        assert math.isclose(held.settle_deadline, town.clock.now() + town.hold_seconds, abs_tol=10)
        assert await town.payee.balance() == ZERO
        assert await town.payer.balance() == FUNDS - AMOUNT - town.fee
        assert await town.payer.payment(HASH) == PaymentInFlight(HASH)

        for _ in range(2):  # settling twice is settling once
            settled = await town.payee.settle_hold(PREIMAGE)
            assert (settled.state, settled.paid) == (InvoiceState.SETTLED, AMOUNT)
        assert await town.payee.balance() == AMOUNT
        paid = PaymentSettled(HASH, PREIMAGE, AMOUNT, town.fee)
        assert await town.payer.payment(HASH) == await pay(town.payer, made.bolt11) == paid

    @pytest.mark.usefixtures("can_hold")
    async def test_a_deadline_that_passes_is_not_a_failure(self, town: Town) -> None:
        made = await hold(town)
        with trio.fail_after(10):
            result = await town.payer.pay(made.bolt11, max_fee=ENOUGH, deadline_seconds=0.3)

        assert result == PaymentInFlight(HASH)
        assert await town.payer.payment(HASH) == PaymentInFlight(HASH)

    @pytest.mark.usefixtures("can_hold", "can_end_so")
    @pytest.mark.parametrize("settle", [True, False])
    async def test_a_payer_waits_for_a_hold_to_end(self, town: Town, settle: bool) -> None:
        made, results = await hold(town), list[PaymentResult]()

        async def payer() -> None:
            results.append(await pay(town.payer, made.bolt11))

        async with trio.open_nursery() as nursery, town.payee.watch(after=0) as watch:
            nursery.start_soon(payer)
            (accepted,) = await take(watch, 1)
            assert accepted.state is InvoiceState.ACCEPTED
            assert results == []
            if settle:
                await town.payee.settle_hold(PREIMAGE)
            else:
                await town.payee.cancel_invoice(HASH)

        if settle:
            assert results == [PaymentSettled(HASH, PREIMAGE, AMOUNT, town.fee)]
        else:
            (result,) = results
            assert self.is_failure(result, HASH, "cancelled by the payee")
            assert await town.payer.balance() == FUNDS
            assert (await town.payee.settle_hold(PREIMAGE)).state is InvoiceState.CANCELLED
            assert await town.payee.balance() == ZERO

    @pytest.mark.usefixtures("can_hold")
    async def test_a_hold_that_is_never_settled_comes_back(self, town: Town) -> None:
        await start_paying(town, (await hold(town)).bolt11)
        town.clock.jump(town.hold_seconds + 1)

        assert await town.payer.balance() == FUNDS
        assert isinstance(await town.payer.payment(HASH), PaymentFailed)
        assert await state(town.payee, HASH) is InvoiceState.CANCELLED
        assert (await town.payee.settle_hold(PREIMAGE)).state is InvoiceState.CANCELLED
        assert await town.payee.balance() == ZERO

    @pytest.mark.usefixtures("can_hold")
    async def test_a_hold_is_not_settled_after_its_deadline(self, town: Town) -> None:
        await start_paying(town, (await hold(town)).bolt11)
        town.clock.jump(town.hold_seconds + 1)

        assert (await town.payee.settle_hold(PREIMAGE)).state is InvoiceState.CANCELLED
        assert await town.payee.balance() == ZERO
        assert await town.payer.balance() == FUNDS

    @pytest.mark.usefixtures("can_hold")
    async def test_what_a_hold_gives_back_can_be_spent_at_once(self, town: Town) -> None:
        await start_paying(town, (await hold(town)).bolt11)
        town.clock.jump(town.hold_seconds + 1)

        all_of_it = await invoice(town, Msat(FUNDS - AMOUNT))
        assert isinstance(await pay(town.payer, all_of_it.bolt11), PaymentSettled)

    @pytest.mark.usefixtures("can_hold")
    async def test_a_held_invoice_is_not_paid_by_another(self, town: Town) -> None:
        made = await hold(town)
        await start_paying(town, made.bolt11)
        assert self.is_failure(await pay(town.rival, made.bolt11), HASH, "already paid")

    @pytest.mark.usefixtures("can_hold")
    async def test_a_hold_that_nobody_paid_holds_nothing(self, town: Town) -> None:
        await hold(town)
        assert (await town.payee.settle_hold(PREIMAGE)).state is InvoiceState.OPEN
        assert await town.payee.balance() == ZERO

    @pytest.mark.usefixtures("can_hold")
    async def test_a_hold_outlives_a_restart(self, town: Town) -> None:
        await start_paying(town, (await hold(town)).bolt11)
        await town.restart()

        assert await town.payer.payment(HASH) == PaymentInFlight(HASH)
        assert (await town.payee.settle_hold(PREIMAGE)).state is InvoiceState.SETTLED
        assert isinstance(await town.payer.payment(HASH), PaymentSettled)

    # --- watching ---

    async def test_a_watcher_is_told_of_what_happens_while_it_waits(self, town: Town) -> None:
        made = await invoice(town)
        async with trio.open_nursery() as nursery, town.payee.watch(after=0) as watch:
            nursery.start_soon(pay, town.payer, made.bolt11)
            (told,) = await take(watch, 1)

        assert told == await town.payee.lookup(made.payment_hash)
        assert (told.state, told.paid) == (InvoiceState.SETTLED, AMOUNT)

    async def test_a_watcher_resumes_after_a_restart_with_nothing_lost(self, town: Town) -> None:
        made = [await invoice(town) for _ in range(4)]
        for one in made[:2]:
            await pay(town.payer, one.bolt11)
        async with town.payee.watch(after=0) as watch:
            before = await take(watch, 1)

        await town.restart()
        await pay(town.payer, made[2].bolt11)
        wanted = {one.payment_hash: InvoiceState.SETTLED for one in made[:3]}
        if self.cancels_open:
            await town.payee.cancel_invoice(made[3].payment_hash)
            wanted[made[3].payment_hash] = InvoiceState.CANCELLED
        missing = {hash_: s for hash_, s in wanted.items() if hash_ != before[0].payment_hash}
        async with town.payee.watch(after=before[-1].cursor) as watch:
            told = before + await take_until(watch, missing)
            with trio.move_on_after(0.1) as nothing_more:
                told += await take(watch, 1)

        assert {t.payment_hash: t.state for t in told} == wanted
        if self.journal:
            assert nothing_more.cancelled_caught
            assert [t.payment_hash for t in told] == list(wanted)
            assert [t.cursor for t in told] == sorted({t.cursor for t in told})

    @pytest.mark.usefixtures("can_hold")
    async def test_a_watcher_is_told_of_a_hold_step_by_step(self, town: Town) -> None:
        await start_paying(town, (await hold(town)).bolt11)
        await town.payee.settle_hold(PREIMAGE)
        async with town.payee.watch(after=0) as watch:
            told = await take_until(watch, {HASH: InvoiceState.SETTLED})

        if self.journal:
            assert [t.state for t in told] == [InvoiceState.ACCEPTED, InvoiceState.SETTLED]
            assert told[0].settle_deadline is not None

    @pytest.mark.usefixtures("can_hold")
    async def test_a_watcher_is_told_when_a_hold_falls_due(self, town: Town) -> None:
        await start_paying(town, (await hold(town)).bolt11)
        town.clock.jump(town.hold_seconds - 1)
        async with town.payee.watch(after=0) as watch:
            told = await take_until(watch, {HASH: InvoiceState.CANCELLED})

        if self.journal:
            assert [t.state for t in told] == [InvoiceState.ACCEPTED, InvoiceState.CANCELLED]
        assert await town.payer.balance() == FUNDS

    async def test_a_watcher_is_not_told_of_others(self, town: Town) -> None:
        theirs = await town.rival.make_invoice(AMOUNT, description="", expiry_seconds=600)
        await pay(town.payer, theirs.bolt11)
        async with town.payee.watch(after=0) as watch:
            with trio.move_on_after(0.1) as nothing:
                await anext(watch)
        assert nothing.cancelled_caught

    # --- history ---

    async def test_the_past_is_told_newest_first(self, town: Town) -> None:
        paid, failed = await invoice(town), await invoice(town, FUNDS)
        await pay(town.payer, paid.bolt11)
        town.clock.jump(1)
        await pay(town.payer, failed.bolt11)

        told = await town.payer.history(limit=99)
        assert [(t.direction, t.state, t.amount, t.fee, t.description) for t in told[:2]] == [
            (Direction.OUTGOING, "failed", FUNDS, ZERO, "a job"),
            (Direction.OUTGOING, "settled", AMOUNT, town.fee, "a job"),
        ]
        assert await town.payer.history(limit=1) == told[:1]
        funded = [(Direction.FUNDING, FUNDS)] if self.faucet else []
        assert [(t.direction, t.amount) for t in told[2:]] == funded
        asked = await town.payee.history(limit=99)
        assert sorted(t.state for t in asked) == ["open", "settled"]
        assert all(t.direction is Direction.INCOMING for t in asked)

    @pytest.mark.usefixtures("can_hold")
    async def test_the_past_tells_of_what_is_held(self, town: Town) -> None:
        await start_paying(town, (await hold(town)).bolt11)
        ((mine, *_), (theirs,)) = [
            await wallet.history(limit=99) for wallet in (town.payer, town.payee)
        ]
        assert (mine.direction, mine.state) == (Direction.OUTGOING, "pending")
        assert (mine.amount, mine.fee) == (AMOUNT, town.fee)
        assert (theirs.direction, theirs.state) == (Direction.INCOMING, "accepted")
        assert mine.description == theirs.description == "a held job"

    async def test_an_invoice_nobody_paid_expires_in_the_past(self, town: Town) -> None:
        await invoice(town, expiry=60)
        town.clock.jump(62)
        (told,) = await town.payee.history(limit=1)
        assert told.state == "expired"
