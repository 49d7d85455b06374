"""What is particular to Spark: whole satoshi, no cancelling, a memory of its own."""

import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from uuid import uuid5

import pytest
import trio
from attrs import evolve

pytest.importorskip("breez_sdk_spark", reason="the extra `spark` is not installed")

from pylon.adapters.lightning.spark import bell, faucet
from pylon.adapters.lightning.spark.book import Asked, Attempt, Seen, open_book
from pylon.adapters.lightning.spark.faucet import request_regtest_funds
from pylon.adapters.lightning.spark.payments import LOST_SECONDS, NAMESPACE
from pylon.errors import BadInvoice, Misconfigured, WalletUnavailable
from pylon.model.money import Msat, from_sats
from pylon.model.wallet import (
    Direction,
    InvoiceState,
    PaymentFailed,
    PaymentInFlight,
    PaymentSettled,
)
from tests.adapters.inference.scripted import (
    Forever,
    Hang,
    Reply,
    document,
    scripted,
)
from tests.adapters.lightning.spark_town import SparkTown, spark_town
from tests.adapters.wallet_contract import (
    AMOUNT,
    ENOUGH,
    FUNDS,
    HASH,
    PREIMAGE,
    WalletContract,
    hold,
    invoice,
    pay,
    start_paying,
    take,
)

NEVER = 1e6


@pytest.fixture
async def town(tmp_path: Path) -> AsyncGenerator[SparkTown, None]:
    async with spark_town(tmp_path) as town:
        yield town


def asked(town: SparkTown, name: str, kind: str) -> list[Any]:
    return [one for one in town.doubles[name].asked if type(one).__name__ == kind]


# --- amounts


@pytest.mark.parametrize("amount", [1, 999, 1001, 123_457])
async def test_a_part_of_a_satoshi_is_refused_and_never_rounded(
    town: SparkTown, amount: int
) -> None:
    with pytest.raises(BadInvoice, match="whole satoshi"):
        await invoice(town, Msat(amount))
    with pytest.raises(BadInvoice, match="whole satoshi"):
        await town.payee.make_hold_invoice(
            HASH, Msat(amount), description="", expiry_seconds=600, hold_seconds=60
        )
    text = await WalletContract.foreign(town, amount=Msat(amount))
    with pytest.raises(BadInvoice, match="whole satoshi"):
        await pay(town.payer, text)
    assert asked(town, "payee", "ReceivePaymentRequest") == []
    assert asked(town, "payer", "PrepareSendPaymentRequest") == []


async def test_a_fee_is_looked_at_before_anything_is_sent(town: SparkTown) -> None:
    made = await invoice(town)
    refused = await pay(town.payer, made.bolt11, max_fee=Msat(999))
    assert isinstance(refused, PaymentFailed)
    assert refused.reason == "the fee of 1000 msat is above the limit of 999"
    assert asked(town, "payer", "SendPaymentRequest") == []
    assert await town.payer.payment(made.payment_hash) == refused


# --- invoices


async def test_another_invoice_than_the_one_asked_for_is_not_given_out(town: SparkTown) -> None:
    town.doubles["payee"].lies = True
    with pytest.raises(WalletUnavailable, match="another invoice than it was asked for"):
        await invoice(town)
    assert await town.payee.history(limit=9) == []


async def test_a_description_that_no_invoice_can_carry_is_refused(town: SparkTown) -> None:
    with pytest.raises(BadInvoice):
        await town.payee.make_invoice(AMOUNT, description="\ud800", expiry_seconds=600)


async def test_a_key_finds_its_invoice_after_a_restart(town: SparkTown) -> None:
    async def make() -> str:
        made = await town.payee.make_invoice(
            AMOUNT, description="a job", expiry_seconds=600, idempotency_key="job 1"
        )
        return made.bolt11

    first = await make()
    await town.restart()
    assert await make() == first
    assert len(asked(town, "payee", "ReceivePaymentRequest")) == 1


async def test_a_hold_is_made_once_and_for_one_amount(town: SparkTown) -> None:
    assert await hold(town) == await hold(town)
    assert len(asked(town, "payee", "ReceivePaymentRequest")) == 1
    with pytest.raises(Misconfigured, match=HASH):
        await town.payee.make_hold_invoice(
            HASH, from_sats(13), description="", expiry_seconds=600, hold_seconds=60
        )


async def test_an_invoice_nobody_has_paid_is_cancelled_in_silence(
    town: SparkTown, caplog: pytest.LogCaptureFixture
) -> None:
    """It is asked for again until it expires, for every customer that calls a job off."""
    await hold(town)
    caplog.clear()
    assert (await town.payee.cancel_invoice(HASH)).state is InvoiceState.OPEN
    assert "cannot cancel" not in caplog.text


async def test_a_hold_stays_accepted_when_it_is_cancelled_and_says_so(
    town: SparkTown, caplog: pytest.LogCaptureFixture
) -> None:
    await start_paying(town, (await hold(town)).bolt11)
    status = await town.payee.cancel_invoice(HASH)
    assert status.state is InvoiceState.ACCEPTED
    assert f"Spark cannot cancel: {HASH} stays accepted until it expires" in caplog.text
    assert caplog.records[-1].levelno == logging.WARNING

    town.clock.jump(town.hold_seconds + 1)
    assert (await town.payee.cancel_invoice(HASH)).state is InvoiceState.CANCELLED
    assert await town.payer.balance() == FUNDS


async def test_an_open_invoice_stays_open_when_it_is_cancelled(town: SparkTown) -> None:
    made = await invoice(town)
    assert (await town.payee.cancel_invoice(made.payment_hash)).state is InvoiceState.OPEN
    assert isinstance(await pay(town.payer, made.bolt11), PaymentSettled)
    assert (await town.payee.cancel_invoice(made.payment_hash)).state is InvoiceState.SETTLED


async def test_a_claim_that_goes_wrong_leaves_the_hold_as_it_was(town: SparkTown) -> None:
    await start_paying(town, (await hold(town)).bolt11)
    town.doubles["payee"].offline = True
    with pytest.raises(WalletUnavailable, match="out of reach"):
        await town.payee.settle_hold(PREIMAGE)
    town.doubles["payee"].offline = False
    assert (await town.payee.settle_hold(PREIMAGE)).state is InvoiceState.SETTLED


async def test_an_end_stays_the_end_whatever_is_said_later(tmp_path: Path) -> None:
    asked = Asked(HASH, "lnbcrt1", AMOUNT, "a job", 1, 2, hold=True, idempotency_key=None)
    async with open_book(tmp_path / "book.db") as book:
        await book.add(asked)
        for state in (
            InvoiceState.ACCEPTED,
            InvoiceState.SETTLED,
            InvoiceState.CANCELLED,
            InvoiceState.ACCEPTED,
        ):
            await book.note([Seen(HASH, state, AMOUNT)])
        told = book.changes(0, 99)
    assert [one.state for one in told] == [InvoiceState.ACCEPTED, InvoiceState.SETTLED]


# --- paying


async def test_a_payment_goes_over_lightning_under_a_key_made_of_its_hash(
    town: SparkTown,
) -> None:
    made = await invoice(town)
    await pay(town.payer, made.bolt11)
    (request,) = asked(town, "payer", "SendPaymentRequest")
    assert request.options.prefer_spark is False
    assert request.options.completion_timeout_secs == 10
    assert request.idempotency_key == str(uuid5(NAMESPACE, made.payment_hash))


async def test_a_payment_without_proof_is_not_settled_until_there_is_one(
    town: SparkTown,
) -> None:
    made = await invoice(town)
    town.doubles["payer"].keeps_preimages = True
    result = await town.payer.pay(made.bolt11, max_fee=ENOUGH, deadline_seconds=2)
    assert result == PaymentInFlight(made.payment_hash)
    town.doubles["payer"].keeps_preimages = False
    assert isinstance(await town.payer.payment(made.payment_hash), PaymentSettled)


async def test_a_failure_that_spark_has_seen_is_tried_again_under_another_key(
    town: SparkTown,
) -> None:
    copy = await WalletContract.foreign(town)  # nobody's
    for _ in range(2):
        assert isinstance(await pay(town.payer, copy), PaymentFailed)
    keys = [one.idempotency_key for one in asked(town, "payer", "SendPaymentRequest")]
    assert len(set(keys)) == 2


async def test_an_old_failure_is_not_taken_for_the_end_of_a_new_attempt(town: SparkTown) -> None:
    copy = await WalletContract.foreign(town)
    first = await pay(town.payer, copy)
    assert isinstance(first, PaymentFailed)
    town.doubles["payer"].drop_next = True
    with pytest.raises(WalletUnavailable):
        await pay(town.payer, copy)
    found = await town.payer.payment(first.payment_hash)
    assert found == PaymentInFlight(first.payment_hash)


async def test_a_refusal_does_not_forget_what_was_begun_meanwhile(tmp_path: Path) -> None:
    begun = Attempt(HASH, "pending", AMOUNT, Msat(1000), "a job", at=1, expires_at=2)
    refused = evolve(begun, state="failed", fee=Msat(0), reason="insufficient funds")
    async with open_book(tmp_path / "book.db") as book:
        assert await book.begin(begun) is None
        assert await book.begin(refused) == begun
        assert book.payment(HASH) == begun


async def test_a_payment_that_is_nowhere_is_in_flight_until_it_cannot_be(
    town: SparkTown,
) -> None:
    made = await invoice(town, expiry=60)
    double = town.doubles["payer"]
    double.drop_next = True
    with pytest.raises(WalletUnavailable, match="the connection was lost"):
        await pay(town.payer, made.bolt11)
    await town.restart()
    assert await town.payer.payment(made.payment_hash) == PaymentInFlight(made.payment_hash)

    town.clock.jump(60 + LOST_SECONDS - 30)
    assert await town.payer.payment(made.payment_hash) == PaymentInFlight(made.payment_hash)
    town.clock.jump(31)
    double.offline = True  # and it says that it has synchronised
    assert await town.payer.payment(made.payment_hash) == PaymentInFlight(made.payment_hash)
    double.offline = False
    lost = await town.payer.payment(made.payment_hash)
    assert isinstance(lost, PaymentFailed)
    assert "never left" in lost.reason
    assert await town.payer.balance() == FUNDS


# --- watching


async def test_events_are_heard_without_polling(
    town: SparkTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bell, "POLL_SECONDS", NEVER)
    async with town.payee.watch(after=0) as told, trio.open_nursery() as nursery:
        nursery.start_soon(pay, town.payer, (await hold(town)).bolt11)
        (accepted,) = await take(told, 1)
        await town.payee.settle_hold(PREIMAGE)
        (settled,) = await take(told, 1)
    assert (accepted.state, accepted.paid) == (InvoiceState.ACCEPTED, AMOUNT)
    assert (settled.state, settled.cursor) == (InvoiceState.SETTLED, accepted.cursor + 1)


async def test_polling_finds_what_no_event_tells(
    town: SparkTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bell, "POLL_SECONDS", 0.01)
    for double in town.doubles.values():
        double.mute = True
    made = await invoice(town)
    async with town.payee.watch(after=0) as told, trio.open_nursery() as nursery:
        nursery.start_soon(pay, town.payer, made.bolt11)
        (settled,) = await take(told, 1)
    assert settled.payment_hash == made.payment_hash


async def test_nothing_is_asked_when_nothing_can_change(town: SparkTown) -> None:
    made = await invoice(town)
    await pay(town.payer, made.bolt11)
    assert await town.payee.lookup(made.payment_hash) is not None
    before = len(town.doubles["payee"].asked)
    for _ in range(3):
        status = await town.payee.lookup(made.payment_hash)
        assert status is not None
        assert status.state is InvoiceState.SETTLED
    assert len(town.doubles["payee"].asked) == before


async def test_deposits_show_in_the_past(town: SparkTown) -> None:
    (first,) = await town.payer.history(limit=9)
    assert (first.direction, first.state, first.amount) == (Direction.FUNDING, "settled", FUNDS)
    assert first.payment_hash is None


# --- the faucet


async def test_the_faucet_is_asked_as_it_wants_to_be() -> None:
    good = document({"data": {"request_regtest_funds": {"transaction_hash": "ab" * 32}}})
    async with scripted(good) as server:
        assert await request_regtest_funds("bcrt1q", 1000, url=server.url) == "ab" * 32
    (request,) = server.requests
    assert request.json["variables"] == {"address": "bcrt1q", "amount_sats": 1000}
    assert "request_regtest_funds(input:" in request.json["query"]


@pytest.mark.parametrize(
    ("reply", "why", "seconds"),
    [
        (document({"data": None, "errors": [{"message": "no"}]}), "gives nothing", 30),
        (document({"data": {"request_regtest_funds": None}}), "gives nothing", 30),
        (document([]), "unexpected", 30),
        (Reply((b"<html>",), 502), "unexpected", 30),
        (Reply((Forever(b" " * 4096),)), "too large", 30),
        (Reply((Hang(),)), "does not answer for 0.2 s", 0.2),
    ],
)
async def test_a_faucet_that_gives_nothing_is_said_to_give_nothing(
    reply: Reply, why: str, seconds: float
) -> None:
    async with scripted(reply) as server:
        with pytest.raises(WalletUnavailable, match=why):
            await request_regtest_funds("bcrt1q", 1000, url=server.url, seconds=seconds)


async def test_without_a_faucet_the_address_and_the_link_are_told(
    town: SparkTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dry(address: str, sats: int) -> str:
        await trio.lowlevel.checkpoint()
        raise WalletUnavailable(f"the faucet has no {sats}")

    monkeypatch.setattr("pylon.adapters.lightning.spark.wallet.request_regtest_funds", dry)
    with pytest.raises(
        Misconfigured, match=f"no 1000: by hand, send to bcrt1qdouble from {faucet.LINK}"
    ):
        await town.payer.fund(from_sats(1000))
    assert await town.payer.deposit_address() == "bcrt1qdouble"
