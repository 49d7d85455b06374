"""Moments of an Electrum wallet that the real one does not stop at."""

import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from itertools import chain, repeat
from typing import Any

import pytest
import trio

from pylon.adapters.lightning.electrum import invoices
from pylon.errors import BadInvoice, Misconfigured, WalletUnavailable
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.invoice import Invoice
from pylon.model.money import Msat, Network, from_sats
from pylon.model.wallet import (
    InvoiceState,
    InvoiceStatus,
    PaymentFailed,
    PaymentInFlight,
    PaymentResult,
    PaymentSettled,
)
from pylon.ports.wallet import Wallet
from pylon.wire.bolt11 import encode
from pylon.wire.secp import KeyPair
from tests.adapters.lightning.electrum_double import (
    Double,
    channel,
    daemon,
    error,
    later,
    new_error,
    wallet_of,
)

AMOUNT = from_sats(12)
PREIMAGE = Preimage("11" * 32)
HASH = PaymentHash(sha256(bytes.fromhex(PREIMAGE)).hexdigest())
PAID = {"success": True, "preimage": PREIMAGE, "log": [["1", "103x1x0", "Success"]]}
MOVED = {"payment_hash": HASH, "preimage": PREIMAGE, "amount_msat": -12_003, "timestamp": 1}
SETTLED = PaymentSettled(HASH, PREIMAGE, AMOUNT, Msat(3))
UNPAID, EXPIRED, DONE, INFLIGHT, FAILED = 0, 1, 3, 4, 5  # as Electrum counts


def asked(amount: Msat = AMOUNT, *, created_at: int | None = None) -> str:
    key = KeyPair(b"\7" * 32)
    value = Invoice(
        network=Network.REGTEST,
        amount=amount,
        created_at=created_at or int(time.time()),
        payment_hash=HASH,
        payment_secret="cd" * 32,
        payee=key.node_key,
        description="a job",
    )
    return encode(value, key)


def listed(status: int) -> dict[str, Any]:
    """Return an invoice as `get_invoice` shows it."""
    return {"invoice_id": HASH, "status": status, "timestamp": 1, "amount_msat": int(AMOUNT)}


def then(*answers: Any) -> Any:
    """Answer one after the other, and the last for ever."""
    rest: Iterator[Any] = chain(answers, repeat(answers[-1]))
    return lambda _: next(rest)


NOT_THERE = error("Request not found")


async def pay(wallet: Wallet, *, seconds: float = 20, max_fee: Msat = AMOUNT) -> PaymentResult:
    return await wallet.pay(asked(), max_fee=max_fee, deadline_seconds=seconds)


# --- paying once


async def test_two_who_pay_at_once_begin_one_payment() -> None:
    go = trio.Event()
    results = list[PaymentResult]()
    double = daemon(
        get_invoice=then(NOT_THERE, listed(DONE)),
        lnpay=lambda _: later(go, PAID),
        lightning_history=[MOVED],
    )
    async with wallet_of(double) as wallet:

        async def one() -> None:
            results.append(await pay(wallet))

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one)
                nursery.start_soon(one)
                while not double.asked("lnpay"):  # noqa: ASYNC110 - over a socket
                    await trio.sleep(0.01)
                go.set()
    assert results == [SETTLED, SETTLED]
    assert len(double.asked("lnpay")) == 1


async def test_a_payment_that_another_program_began_is_waited_for() -> None:
    double = daemon(
        get_invoice=then(listed(INFLIGHT), listed(INFLIGHT), listed(DONE)),
        lightning_history=[MOVED],
    )
    async with wallet_of(double) as wallet:
        assert await pay(wallet) == SETTLED
    assert double.asked("lnpay") == []


async def test_a_payment_that_failed_may_be_tried_again() -> None:
    double = daemon(
        get_invoice=then(listed(FAILED), listed(DONE)), lnpay=PAID, lightning_history=[MOVED]
    )
    async with wallet_of(double) as wallet:
        assert await pay(wallet) == SETTLED


@pytest.mark.parametrize("status", [UNPAID, EXPIRED, FAILED])
async def test_a_failure_is_not_believed_while_an_htlc_of_43_is_out(status: int) -> None:
    double = daemon(
        get_invoice=listed(status),
        list_channels=then([channel(out=12), channel()], [channel()]),
    )
    async with wallet_of(double) as wallet:
        assert await wallet.payment(HASH) == PaymentInFlight(HASH)
        assert isinstance(await wallet.payment(HASH), PaymentFailed)


async def test_what_is_left_in_a_channel_of_the_past_is_not_in_flight() -> None:
    double = daemon(get_invoice=listed(FAILED), list_channels=[channel(out=12, state="REDEEMED")])
    async with wallet_of(double) as wallet:
        assert isinstance(await wallet.payment(HASH), PaymentFailed)


async def test_48_knows_itself_when_no_part_is_in_flight() -> None:
    double = daemon(holds=True, get_invoice=listed(FAILED), list_channels=[channel(out=12)])
    async with wallet_of(double) as wallet:
        assert isinstance(await wallet.payment(HASH), PaymentFailed)
    assert double.asked("list_channels") == []


async def test_an_attempt_that_ends_with_an_exception_has_failed_when_no_htlc_is_out() -> None:
    double = daemon(
        get_invoice=then(NOT_THERE, listed(INFLIGHT)),  # 4.3 leaves it so
        lnpay=error(""),
        list_channels=then([channel(out=12)], [channel()]),
    )
    async with wallet_of(double) as wallet:
        assert isinstance(await pay(wallet), PaymentFailed)
        assert isinstance(await wallet.payment(HASH), PaymentFailed)
    assert len(double.asked("list_channels")) == 3


async def test_a_refusal_because_an_htlc_is_out_is_no_failure() -> None:
    double = daemon(
        get_invoice=then(NOT_THERE, listed(INFLIGHT)),
        lnpay=error("A previous attempt to pay this invoice did not clear"),
    )
    async with wallet_of(double) as wallet:
        assert await pay(wallet, seconds=0.5) == PaymentInFlight(HASH)


async def test_a_payment_that_succeeded_is_settled_when_its_proof_is_there() -> None:
    double = daemon(
        get_invoice=then(NOT_THERE, listed(DONE)), lnpay=PAID, lightning_history=then([], [MOVED])
    )
    async with wallet_of(double) as wallet:
        assert await pay(wallet) == SETTLED


async def test_a_payment_without_its_proof_is_not_settled_yet() -> None:
    double = daemon(get_invoice=listed(DONE), lightning_history=then([], [MOVED]))
    async with wallet_of(double) as wallet:
        assert await wallet.payment(HASH) == PaymentInFlight(HASH)
        assert await wallet.payment(HASH) == SETTLED


async def test_a_fee_limit_is_one_that_electrum_takes() -> None:
    double = daemon(
        holds=True,
        get_invoice=NOT_THERE,
        lnpay=PAID,
        lightning_history=[MOVED],
    )
    async with wallet_of(double) as wallet:
        await pay(wallet, max_fee=Msat(0))
        await pay(wallet, max_fee=from_sats(5_000))
    assert [call["max_fee_msat"] for call in double.asked("lnpay")] == [0, 999_999]


async def test_43_does_not_pay_what_it_would_not_show_in_flight() -> None:
    double = daemon()
    async with wallet_of(double) as wallet:
        failed = await wallet.pay(asked(Msat(999)), max_fee=AMOUNT, deadline_seconds=5)
    assert isinstance(failed, PaymentFailed)
    assert double.asked("lnpay") == []


# --- asking


async def test_a_description_that_fits_into_no_invoice_is_refused() -> None:
    async with wallet_of(daemon()) as wallet:
        for description in ("x" * 640, "\ud800"):
            with pytest.raises(BadInvoice):
                await wallet.make_invoice(AMOUNT, description=description, expiry_seconds=600)


async def test_no_expiry_means_no_invoice_and_not_one_for_ever() -> None:
    async with wallet_of(daemon()) as wallet:
        with pytest.raises(BadInvoice):
            await wallet.make_invoice(AMOUNT, description="", expiry_seconds=0)


async def test_a_wallet_without_lightning_makes_no_invoice() -> None:
    plain = {"request_id": "ab", "status": 0, "timestamp": 1}
    async with wallet_of(daemon(add_request=plain)) as wallet:
        with pytest.raises(Misconfigured):
            await wallet.make_invoice(AMOUNT, description="", expiry_seconds=600)


# --- withdrawing


def withdrawing(**answers: Any) -> Double:
    """Return a wallet that has one open invoice, until it is deleted."""
    double = daemon(get_request={"request_id": HASH, "status": 0, "timestamp": 1}, **answers)

    def get(params: Any) -> Any:
        match params["key"]:
            case "labels":
                return {}
            case "lightning_payments":
                return {} if double.asked("delete_request") else {HASH: [12_000, 1, 0]}

    double.answers["get"] = get
    return double


async def test_an_invoice_is_noted_before_it_is_withdrawn() -> None:
    double = withdrawing(lightning_history=[])
    async with wallet_of(double) as wallet:
        status = await wallet.cancel_invoice(HASH)
        assert status.state is InvoiceState.CANCELLED
        assert await wallet.lookup(HASH) == status
    called = [method for method, _ in double.calls]
    assert called.index("setlabel") < called.index("delete_request")


async def test_an_invoice_paid_at_the_moment_it_was_withdrawn_is_settled() -> None:
    double = withdrawing(lightning_history=[MOVED | {"amount_msat": 12_000}])
    async with wallet_of(double) as wallet:
        status = await wallet.cancel_invoice(HASH)
    assert (status.state, status.paid) == (InvoiceState.SETTLED, AMOUNT)


# --- holding


def holding(status: str = "paid", **answers: Any) -> Double:
    """Return a wallet of 4.8 that holds a payment, at block 100, which expires at 300."""

    def get(params: Any) -> Any:
        match params["key"]:
            case "labels":
                return {f"pylon:hold:{HASH}": asked(), "someone": "else's"}
            case "lightning_payments":
                return {f"{HASH}:1": [12_000, 0, 160]}

    held = {"status": status, "received_amount_sat": 12, "closest_htlc_expiry_height": 300}
    return daemon(holds=True, get=get, check_hold_invoice=held, **answers)


async def test_what_is_held_must_be_settled_before_electrum_gives_it_back() -> None:
    async with wallet_of(holding()) as wallet:
        status = await wallet.lookup(HASH)
    assert status is not None
    left = (status.settle_deadline or 0) - time.time()
    assert left == pytest.approx((300 - 144 - 6 - 100) * 600, abs=10)


async def test_a_hold_whose_channel_is_away_is_not_called_settled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(invoices, "SETTLE_SECONDS", 0.2)
    async with wallet_of(holding()) as wallet:
        with pytest.raises(WalletUnavailable, match="not settled"):
            await wallet.settle_hold(PREIMAGE)


@pytest.mark.parametrize("order", ["settle_hold_invoice", "cancel_hold_invoice"])
async def test_an_order_that_comes_after_the_settlement_finds_it_settled(order: str) -> None:
    double = holding("paid", **{order: new_error("AssertionError('already settled')")})
    held: dict[str, Any] = double.answers["check_hold_invoice"]
    double.answers["check_hold_invoice"] = lambda _: (
        held | {"status": "settled"} if double.asked(order) else held
    )
    async with wallet_of(double) as wallet:
        if order == "settle_hold_invoice":
            status = await wallet.settle_hold(PREIMAGE)
        else:
            status = await wallet.cancel_invoice(HASH)
    assert (status.state, status.paid) == (InvoiceState.SETTLED, AMOUNT)


async def test_an_error_without_a_meaning_to_us_is_the_wallets() -> None:
    odd = error("something odd")
    async with wallet_of(daemon(holds=True, get={}, add_hold_invoice=odd)) as wallet:
        with pytest.raises(WalletUnavailable, match="something odd"):
            await wallet.make_hold_invoice(
                HASH, AMOUNT, description="", expiry_seconds=60, hold_seconds=60
            )
    double = withdrawing()
    double.answers["get_request"] = odd
    async with wallet_of(double) as wallet:
        with pytest.raises(WalletUnavailable, match="something odd"):
            await wallet.lookup(HASH)
    async with wallet_of(daemon(get_invoice=odd)) as wallet:
        with pytest.raises(WalletUnavailable, match="something odd"):
            await wallet.payment(HASH)


async def test_a_payment_expected_by_electrum_itself_is_not_ours() -> None:
    double = withdrawing()
    double.answers["get_request"] = NOT_THERE
    async with wallet_of(double) as wallet:
        assert await wallet.lookup(HASH) is None


async def test_a_cancellation_that_electrum_refuses_is_no_cancellation() -> None:
    double = holding(cancel_hold_invoice=new_error("preimage already given"))
    async with wallet_of(double) as wallet:
        with pytest.raises(WalletUnavailable, match="preimage already given"):
            await wallet.cancel_invoice(HASH)


async def test_a_channel_without_room_is_no_reason_to_try_for_ever() -> None:
    refused = new_error("AssertionError('Not enough inbound capacity [0 sat] to receive')")
    double = daemon(holds=True, get={}, add_hold_invoice=refused)
    async with wallet_of(double) as wallet:
        with pytest.raises(Misconfigured, match="no channel"):
            await wallet.make_hold_invoice(
                HASH, AMOUNT, description="", expiry_seconds=60, hold_seconds=60
            )


# --- watching


@asynccontextmanager
async def watching(double: Double, after: int) -> AsyncGenerator[list[InvoiceStatus], None]:
    """Watch for as long as the block lasts; what is told is appended."""
    told = list[InvoiceStatus]()

    async def watch(wallet: Wallet) -> None:
        async with wallet.watch(after=after) as statuses:
            async for status in statuses:
                told.append(status)

    async with wallet_of(double) as wallet, trio.open_nursery() as nursery:
        nursery.start_soon(watch, wallet)
        yield told
        nursery.cancel_scope.cancel()


async def looks(double: Double, count: int) -> None:
    with trio.fail_after(20):
        while len(double.asked("list_channels")) < count:  # noqa: ASYNC110 - over a socket
            await trio.sleep(0.01)


def received(*hashes: str) -> dict[str, Any]:
    return {payment_hash: [12_000, 1, DONE] for payment_hash in hashes}


async def test_a_watcher_is_told_again_only_of_what_may_be_new() -> None:
    now = int(time.time())
    history = [
        {"payment_hash": "aa", "amount_msat": 12_000, "timestamp": now - 1000},
        {"payment_hash": "bb", "amount_msat": 12_000, "timestamp": now},
    ]
    table = received("aa", "bb", "cc")  # cc has come after the history was told
    double = daemon(get=lambda p: {} if p["key"] == "labels" else table, lightning_history=history)
    async with watching(double, now) as told:
        await looks(double, 3)
    assert [status.payment_hash for status in told] == ["bb", "cc"]
    assert all(status.cursor >= now for status in told)


async def test_a_cursor_stays_before_what_is_still_coming_in() -> None:
    double = daemon(
        get=lambda p: {} if p["key"] == "labels" else received("aa"),
        lightning_history=[],
        list_channels=then([channel(coming=12)]),
    )
    async with watching(double, 77) as told:
        await looks(double, 3)
    assert [(status.payment_hash, status.cursor) for status in told] == [("aa", 77)]


async def test_a_channel_that_rests_costs_one_question_a_look() -> None:
    double = daemon(get=lambda _: {}, lightning_history=[])
    async with watching(double, 0):
        await looks(double, 4)
    assert len([p for p in double.asked("get") if p["key"] == "lightning_payments"]) == 1


async def test_a_hold_of_long_ago_is_not_asked_about_any_more() -> None:
    long_ago = int(time.time()) - 30 * 86_400
    double = holding(lightning_history=[])
    labels = {"pylon:hold:" + HASH: asked(created_at=long_ago)}
    get: Any = double.answers["get"]
    double.answers["get"] = lambda p: labels if p["key"] == "labels" else get(p)
    async with watching(double, 0) as told:
        await looks(double, 3)
    assert told == []
    assert double.asked("check_hold_invoice") == []


async def test_a_watcher_says_when_the_daemon_is_gone() -> None:
    double = daemon(get=lambda _: {}, lightning_history=[])
    async with wallet_of(double) as wallet, wallet.watch(after=0) as watch:
        double.answers["list_channels"] = error("shutting down")
        with trio.fail_after(20), pytest.raises(WalletUnavailable):
            await anext(watch)
