"""Payments over a real channel that do not go straight on."""

from collections.abc import AsyncGenerator
from hashlib import sha256

import pytest
import trio

from pylon.adapters.clock import SystemClock
from pylon.adapters.lightning.electrum import open_electrum
from pylon.errors import Misconfigured, WalletUnavailable
from pylon.model.money import Network, from_sats
from pylon.model.wallet import (
    InvoiceState,
    IssuedInvoice,
    PaymentFailed,
    PaymentInFlight,
    PaymentResult,
    PaymentSettled,
)
from pylon.ports.wallet import Wallet
from tests.integration.lightning.daemon import PASSWORD, USER
from tests.integration.lightning.town import Pair, something_came_in
from tests.integration.lightning.trouble import everything_fails, nothing_is_settled
from tests.integration.lightning.wallets import opened

AMOUNT = from_sats(21)
FEE = from_sats(10)
SOON = 0.5  # a deadline that passes
PATIENCE_SECONDS = 60


@pytest.fixture
async def payer(pair: Pair) -> AsyncGenerator[Wallet, None]:
    async with opened(pair.payer) as wallet:
        yield wallet


@pytest.fixture
async def payee(pair: Pair) -> AsyncGenerator[Wallet, None]:
    async with opened(pair.payee) as wallet:
        yield wallet


async def ask(payee: Wallet) -> IssuedInvoice:
    return await payee.make_invoice(AMOUNT, description="a job", expiry_seconds=600)


async def pay(payer: Wallet, made: IssuedInvoice, *, seconds: float = 30) -> PaymentResult:
    return await payer.pay(made.bolt11, max_fee=FEE, deadline_seconds=seconds)


async def begin(pair: Pair, payer: Wallet, made: IssuedInvoice) -> None:
    """Pay until the money is on its way, acknowledged or not, and stop waiting there."""
    signed = await signatures(pair)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pay, payer, made)
        with trio.fail_after(PATIENCE_SECONDS):
            while await signatures(pair) == signed:  # noqa: ASYNC110 - another process
                await trio.sleep(0.05)
        nursery.cancel_scope.cancel()


async def signatures(pair: Pair) -> int:
    """Return how often the payer has signed a new state of the channel for the payee."""
    (channel,) = await pair.payer.call("list_channels")
    return int(channel["remote_ctn"])


async def outcome(payer: Wallet, made: IssuedInvoice) -> PaymentResult:
    """Ask until nothing is in flight."""
    with trio.fail_after(PATIENCE_SECONDS):
        while isinstance(result := await payer.payment(made.payment_hash), PaymentInFlight):  # noqa: ASYNC110 - another process
            await trio.sleep(0.1)
    assert result is not None
    return result


async def test_a_payment_that_lasts_is_in_flight_until_the_payee_decides(
    pair: Pair, payer: Wallet, payee: Wallet
) -> None:
    made, before = await ask(payee), await payer.balance()
    async with nothing_is_settled(pair):
        await begin(pair, payer, made)
        # A deadline that passes is no failure, and asking again starts no second payment.
        assert await pay(payer, made, seconds=SOON) == PaymentInFlight(made.payment_hash)
        assert await payer.payment(made.payment_hash) == PaymentInFlight(made.payment_hash)
    assert isinstance(await outcome(payer, made), PaymentSettled)
    assert await payer.balance() == before - AMOUNT


async def test_a_frozen_payee_keeps_a_payment_in_flight(
    pair: Pair, payer: Wallet, payee: Wallet
) -> None:
    made, before = await ask(payee), await payer.balance()
    pair.payee.freeze()
    try:
        await begin(pair, payer, made)
        assert await payer.payment(made.payment_hash) == PaymentInFlight(made.payment_hash)
    finally:
        pair.payee.thaw()
    assert isinstance(await outcome(payer, made), PaymentSettled)
    assert await payer.balance() == before - AMOUNT


@pytest.mark.parametrize("ends_well", [True, False])
async def test_a_payer_killed_in_mid_payment_learns_its_outcome_when_it_is_back(
    pair: Pair, payer: Wallet, payee: Wallet, ends_well: bool
) -> None:
    made, before = await ask(payee), await payer.balance()
    async with nothing_is_settled(pair):
        await begin(pair, payer, made)
        await pair.payee.until("list_channels", something_came_in)
        pair.payer.kill()
        with pytest.raises(WalletUnavailable):
            await payer.payment(made.payment_hash)
        await pair.payer.start()
        await pair.reconnect(pair.payer)
        assert await payer.payment(made.payment_hash) == PaymentInFlight(made.payment_hash)
        assert await pay(payer, made, seconds=SOON) == PaymentInFlight(made.payment_hash)
        if not ends_well:
            async with everything_fails(pair):
                assert isinstance(await outcome(payer, made), PaymentFailed)
    if ends_well:
        settled = await outcome(payer, made)
        assert isinstance(settled, PaymentSettled)
        assert await pay(payer, made) == settled
    assert await payer.balance() == before - (AMOUNT if ends_well else 0)


async def test_a_payer_killed_before_the_payee_has_answered_does_not_call_it_a_failure(
    pair: Pair, payer: Wallet, payee: Wallet
) -> None:
    made, before = await ask(payee), await payer.balance()
    pair.payee.freeze()
    try:
        await begin(pair, payer, made)
        pair.payer.kill()
        await pair.payer.start()
        assert await payer.payment(made.payment_hash) == PaymentInFlight(made.payment_hash)
    finally:
        pair.payee.thaw()
    await pair.reconnect(pair.payer)
    assert isinstance(await outcome(payer, made), PaymentSettled)
    assert await payer.balance() == before - AMOUNT


async def test_a_payment_that_every_attempt_fails_costs_nothing_and_can_be_tried_again(
    pair: Pair, payer: Wallet, payee: Wallet
) -> None:
    made, before = await ask(payee), await payer.balance()
    async with everything_fails(pair):
        failed = await pay(payer, made)
        assert isinstance(failed, PaymentFailed)
        assert isinstance(await payer.payment(made.payment_hash), PaymentFailed)
    assert await payer.balance() == before
    assert isinstance(await pay(payer, made), PaymentSettled)
    assert await payer.balance() == before - AMOUNT


async def test_a_payment_that_lasts_is_not_begun_again_by_another_program(
    pair: Pair, payer: Wallet, payee: Wallet
) -> None:
    made, before = await ask(payee), await payer.balance()
    async with nothing_is_settled(pair), opened(pair.payer) as other:
        await begin(pair, payer, made)
        assert await pay(other, made, seconds=SOON) == PaymentInFlight(made.payment_hash)
    assert await pay(payer, made) == await outcome(payer, made)
    assert await payer.balance() == before - AMOUNT


async def test_a_daemon_that_has_restarted_is_given_its_wallet_back(
    pair: Pair, payee: Wallet
) -> None:
    made = await ask(payee)
    pair.payee.kill()
    with pytest.raises(WalletUnavailable):
        await payee.lookup(made.payment_hash)
    await pair.payee.start(load=False)
    status = await payee.lookup(made.payment_hash)
    assert status is not None
    assert status.state is InvoiceState.OPEN
    await pair.reconnect(pair.payee)


async def test_an_idempotency_key_is_known_after_a_restart(pair: Pair) -> None:
    async def ask_once() -> IssuedInvoice:
        async with opened(pair.payee) as wallet:
            made: IssuedInvoice = await wallet.make_invoice(
                AMOUNT, description="a job", expiry_seconds=600, idempotency_key="lunch"
            )
            return made

    first = await ask_once()
    assert await ask_once() == first
    assert first.preimage is not None
    assert sha256(bytes.fromhex(first.preimage)).hexdigest() == first.payment_hash


async def test_a_wrong_password_or_network_is_told_at_once(pair: Pair) -> None:
    for password, network in (("wrong", Network.REGTEST), (PASSWORD, Network.SIGNET)):
        with pytest.raises(Misconfigured):
            async with open_electrum(
                pair.payer.url, user=USER, password=password, network=network, clock=SystemClock()
            ):
                pass
