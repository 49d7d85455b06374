"""Our NWC client and service, with a relay between them that goes away, or asks who they are."""

from pathlib import Path

import trio
from trio.testing import MockClock

from pylon.core.relay_rules import RelayRules
from pylon.model.ids import PaymentHash
from pylon.model.money import Msat
from pylon.model.wallet import InvoiceState, PaymentInFlight, PaymentResult, PaymentSettled
from tests.adapters.lightning.nwc_town import TERMS, URL, NwcTown, nwc_town
from tests.adapters.wallet_contract import (
    AMOUNT,
    ENOUGH,
    FUNDS,
    HASH,
    PREIMAGE,
    hold,
    invoice,
    pay,
    take,
    take_until,
)

PATIENCE = 10_000.0


async def away(town: NwcTown, seconds: float) -> None:
    """Take the relay away for a while."""
    town.relay.up = False
    town.relay.cut()
    await trio.sleep(seconds)
    town.relay.up = True


async def test_a_relay_that_asks_who_we_are_is_told(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    rules = RelayRules(auth=True, urls=frozenset({URL}))
    with trio.fail_after(PATIENCE):
        async with nwc_town(tmp_path, rules=rules) as town:
            assert await town.payer.balance() == FUNDS
            assert isinstance(await pay(town.payer, (await invoice(town)).bolt11), PaymentSettled)


async def test_both_ends_come_back_after_the_relay_was_away(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    with trio.fail_after(PATIENCE):
        async with nwc_town(tmp_path) as town:
            for seconds in (1, 120):
                await away(town, seconds)
                await trio.sleep(61)  # the longest that our pool waits before it tries again
                assert await town.payer.balance() == FUNDS


async def test_a_payment_outlives_the_connection_it_was_asked_for_on(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    results: list[PaymentResult] = []
    with trio.fail_after(PATIENCE):
        async with nwc_town(tmp_path) as town, trio.open_nursery() as nursery:
            made = await hold(town)

            async def payer() -> None:
                results.append(
                    await town.payer.pay(made.bolt11, max_fee=ENOUGH, deadline_seconds=600)
                )

            nursery.start_soon(payer)
            async with town.payee.watch(after=0) as watch:
                assert (await take(watch, 1))[0].state is InvoiceState.ACCEPTED
                await away(town, 2)
                await town.served[0].ledger.settle_hold(PREIMAGE)
                with trio.fail_after(300):
                    assert (await anext(watch)).state is InvoiceState.SETTLED
    assert results == [PaymentSettled(HASH, PREIMAGE, AMOUNT, TERMS.fee(AMOUNT))]


async def test_what_is_paid_while_the_relay_is_away_is_told_afterwards(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    with trio.fail_after(PATIENCE):
        async with nwc_town(tmp_path) as town:
            made = await invoice(town)
            async with town.payee.watch(after=0) as watch:
                with trio.move_on_after(1):
                    await anext(watch)
                town.relay.up = False
                town.relay.cut()
                await town.served[1].ledger.pay(made.bolt11, max_fee=ENOUGH, deadline_seconds=5)
                await trio.sleep(5)
                town.relay.up = True
                await trio.sleep(70)
                told = await take_until(watch, {made.payment_hash: InvoiceState.SETTLED})
            assert told[-1].paid == AMOUNT


async def test_a_payment_that_the_budget_forbids_moves_nothing(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    with trio.fail_after(PATIENCE):
        async with nwc_town(tmp_path) as town:
            await town.served[1].budget.pause(now=1)
            made = await invoice(town)
            assert "QUOTA_EXCEEDED" in str(await pay(town.payer, made.bolt11))
            assert await town.payer.payment(made.payment_hash) is None
            assert await town.payer.balance() == FUNDS


async def test_what_is_told_is_what_is_looked_up(autojump_clock: MockClock, tmp_path: Path) -> None:
    """A status told is the status looked up, for holds and for ordinary invoices."""
    with trio.fail_after(PATIENCE):
        async with nwc_town(tmp_path) as town:
            made = await invoice(town, Msat(1_001))
            held = await hold(town)
            async with town.payee.watch(after=0) as watch:
                await pay(town.payer, made.bolt11)
                result = await town.payer.pay(held.bolt11, max_fee=ENOUGH, deadline_seconds=1)
                assert result == PaymentInFlight(PaymentHash(held.payment_hash))
                for status in await take(watch, 2):
                    assert status == await town.payee.lookup(status.payment_hash)
