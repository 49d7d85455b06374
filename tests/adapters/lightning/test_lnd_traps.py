"""What is particular to lnd: its encodings, its indexes, its silences."""

from base64 import b64decode
from collections.abc import AsyncGenerator, AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from pylon.adapters.lightning.lnd import invoices, watch
from pylon.adapters.lightning.lnd.invoices import MAX_HOLD_BLOCKS, MAX_MEMO_BYTES
from pylon.adapters.lightning.lnd.rest import in_path
from pylon.adapters.lightning.lnd.stream import Messages
from pylon.errors import BadInvoice, Misconfigured
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.money import ZERO, Msat
from pylon.model.wallet import InvoiceState, PaymentInFlight, PaymentSettled
from pylon.wire.bolt11 import decode
from tests.adapters.lightning.lnd_town import LndTown, lnd_town
from tests.adapters.wallet_contract import (
    AMOUNT,
    ENOUGH,
    HASH,
    HOLD_SECONDS,
    PREIMAGE,
    hold,
    invoice,
    pay,
    start_paying,
    take,
    take_until,
)

NEVER = 1e6


@pytest.fixture
async def town(tmp_path: Path) -> AsyncGenerator[LndTown, None]:
    async with lnd_town(tmp_path) as town:
        yield town


def sent(town: LndTown, name: str, path: str) -> Any:
    """Return the body of the last request to a path."""
    return msgspec.json.decode([a for a in town.nodes[name].asked if a.path == path][-1].body)


async def until_asked(town: LndTown, name: str, path: str, times: int = 1) -> None:
    """Wait until a node was asked for a path so many times, and has done what it could."""
    node = town.nodes[name]
    with trio.fail_after(30):
        while sum(a.path == path for a in node.asked) < times:
            await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked()


def never_look_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "FIRST_PAUSE_SECONDS", NEVER)
    monkeypatch.setattr(watch, "POLL_SECONDS", NEVER)


def looks(town: LndTown) -> int:
    return sum(a.path == "/v1/invoices" for a in town.nodes["payee"].asked)


# --- encodings


async def test_a_hash_with_the_letters_that_base64_has_twice_is_found(town: LndTown) -> None:
    preimage = Preimage("3".zfill(64))
    payment_hash = PaymentHash(sha256(bytes.fromhex(preimage)).hexdigest())
    assert {"-", "_"} < set(in_path(payment_hash))
    made = await town.payee.make_hold_invoice(
        payment_hash, AMOUNT, description="", expiry_seconds=600, hold_seconds=HOLD_SECONDS
    )
    await start_paying(town, made.bolt11)

    assert await town.payer.payment(payment_hash) == PaymentInFlight(payment_hash)
    assert (await town.payee.settle_hold(preimage)).state is InvoiceState.SETTLED
    found = await town.payer.payment(payment_hash)
    assert isinstance(found, PaymentSettled)
    assert found.preimage == preimage


async def test_numbers_of_64_bits_travel_as_strings_and_bytes_as_base64(town: LndTown) -> None:
    made = await town.payee.make_invoice(
        Msat(2**53 + 1), description="", expiry_seconds=600, preimage=PREIMAGE
    )
    body = sent(town, "payee", "/v1/invoices")
    assert body["value_msat"] == str(2**53 + 1)
    assert b64decode(body["r_preimage"]).hex() == PREIMAGE
    assert made.amount == decode(made.bolt11).amount == 2**53 + 1


async def test_a_fee_limit_is_always_sent_and_nought_means_nought(town: LndTown) -> None:
    made = await invoice(town)
    failed = await town.payer.pay(made.bolt11, max_fee=ZERO, deadline_seconds=7.9)
    body = sent(town, "payer", "/v2/router/send")

    assert body["fee_limit_msat"] == "0"
    assert body["timeout_seconds"] == 7  # lnd stops trying before we stop waiting
    assert not isinstance(failed, PaymentSettled)
    assert await town.payer.balance() == 1_000_000


# --- invoices


async def test_a_key_finds_its_invoice_after_a_restart(
    town: LndTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invoices, "_PAGE", 3)  # so that there are several

    async def make(key: str) -> str:
        made = await town.payee.make_invoice(
            AMOUNT, description=f"pylon:{key}", expiry_seconds=600, idempotency_key=key
        )
        return made.bolt11

    first = [await make(f"job {n}") for n in range(2)]
    assert sent(town, "payee", "/v1/invoices")["memo"] == "pylon:job 1"  # names its key already
    await town.restart()
    first += [await make(f"job {n}") for n in range(2, 9)]
    assert [await make(f"job {n}") for n in range(9)] == first
    assert len(town.nodes["payee"].invoices) == 9


async def test_an_invoice_that_others_made_meanwhile_is_found_too(town: LndTown) -> None:
    async def make() -> str:
        made = await town.payee.make_invoice(
            AMOUNT, description="pylon:1", expiry_seconds=600, idempotency_key="1"
        )
        return made.bolt11

    async with town.opening("payee") as other_program:
        await town.payee.make_invoice(
            AMOUNT, description="", expiry_seconds=600, idempotency_key="0"
        )
        theirs = await other_program.make_invoice(
            AMOUNT, description="pylon:1", expiry_seconds=600, idempotency_key="1"
        )
    assert await make() == theirs.bolt11


async def test_another_amount_is_another_invoice(town: LndTown) -> None:
    first, other = [
        await town.payee.make_invoice(
            amount, description="pylon:1", expiry_seconds=600, idempotency_key="1"
        )
        for amount in (AMOUNT, Msat(AMOUNT + 1))
    ]
    assert (first.amount, other.amount) == (AMOUNT, AMOUNT + 1)


@pytest.mark.parametrize("description", ["\ud800", "x" * (MAX_MEMO_BYTES + 1)])
async def test_a_description_that_lnd_cannot_carry_is_refused(
    town: LndTown, description: str
) -> None:
    with pytest.raises(BadInvoice, match="description"):
        await town.payee.make_invoice(AMOUNT, description=description, expiry_seconds=600)
    assert town.nodes["payee"].invoices == {}


async def test_a_hold_and_an_ordinary_invoice_do_not_share_a_hash(town: LndTown) -> None:
    await town.payee.make_invoice(AMOUNT, description="", expiry_seconds=600, preimage=PREIMAGE)
    with pytest.raises(Misconfigured, match=HASH):
        await hold(town)


async def test_a_hold_asks_for_the_blocks_it_needs_and_some_to_spare(town: LndTown) -> None:
    assert await hold(town) == await hold(town)
    asked = int(sent(town, "payee", "/v2/invoices/hodl")["cltv_expiry"])
    assert asked * 600 == town.hold_seconds + 18 * 600  # lnd's guard
    assert town.hold_seconds >= HOLD_SECONDS + 6 * 600


async def test_a_hold_of_more_than_a_day_is_refused_before_it_is_offered(town: LndTown) -> None:
    with pytest.raises(Misconfigured, match="about a day"):
        await town.payee.make_hold_invoice(
            HASH,
            AMOUNT,
            description="",
            expiry_seconds=600,
            hold_seconds=MAX_HOLD_BLOCKS * 600 + 1,
        )


async def test_each_block_that_comes_brings_the_deadline_no_nearer_than_it_is(
    town: LndTown,
) -> None:
    await start_paying(town, (await hold(town)).bolt11)
    deadlines = []
    for _ in range(4):
        held = await town.payee.lookup(HASH)
        assert held is not None
        assert held.settle_deadline is not None
        deadlines.append(held.settle_deadline)
        town.clock.jump(600)
    assert max(deadlines) - min(deadlines) <= 10


# --- watching


async def test_a_hold_is_told_at_once_and_not_at_the_next_look(
    town: LndTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pay(town.payer, (await invoice(town)).bolt11)
    never_look_again(monkeypatch)
    async with town.payee.watch(after=1) as told, trio.open_nursery() as nursery:
        await until_asked(town, "payee", "/v1/invoices/subscribe")
        await until_asked(town, "payee", "/v1/invoices")
        made = await hold(town)
        nursery.start_soon(pay, town.payer, made.bolt11)
        (accepted,) = await take(told, 1)
        await town.payee.settle_hold(PREIMAGE)
        (settled,) = await take(told, 1)
    assert (accepted.state, accepted.paid) == (InvoiceState.ACCEPTED, AMOUNT)
    assert (settled.state, settled.cursor) == (InvoiceState.SETTLED, 2)


async def test_the_first_settlement_ever_is_told_and_those_after_it(town: LndTown) -> None:
    async with town.payee.watch(after=0) as told:
        for cursor in range(1, 5):
            made = await invoice(town)
            await pay(town.payer, made.bolt11)
            heard = await take_until(told, {made.payment_hash: InvoiceState.SETTLED})
            assert heard[-1].cursor == cursor


async def test_a_gap_in_lnds_numbers_does_not_keep_the_cursor_back(
    town: LndTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pay(town.payer, (await invoice(town)).bolt11)
    never_look_again(monkeypatch)
    async with town.payee.watch(after=1) as told:
        await until_asked(town, "payee", "/v1/invoices/subscribe")
        town.nodes["payee"].settled += 3
        for cursor in (5, 6):
            await pay(town.payer, (await invoice(town)).bolt11)
            (heard,) = await take(told, 1)
            assert heard.cursor == cursor


async def test_what_is_held_already_is_told_to_who_comes_later(
    town: LndTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await invoice(town)
    await pay(town.payer, other.bolt11)
    await start_paying(town, (await hold(town)).bolt11)
    await town.restart()
    never_look_again(monkeypatch)
    async with town.payee.watch(after=1) as told:
        (accepted,) = await take(told, 1)
        await town.payee.cancel_invoice(HASH)
        (cancelled,) = await take(told, 1)
    assert accepted.payment_hash == cancelled.payment_hash == HASH
    assert (accepted.state, cancelled.state) == (InvoiceState.ACCEPTED, InvoiceState.CANCELLED)
    assert accepted.cursor == cancelled.cursor == 1


async def test_the_past_is_told_from_the_first_settlement_on(town: LndTown) -> None:
    made = [await invoice(town) for _ in range(3)]
    for one in reversed(made):
        await pay(town.payer, one.bolt11)
    for after in range(3):
        async with town.payee.watch(after=after) as told:
            heard = await take(told, 3 - after)
        assert [one.cursor for one in heard] == list(range(after + 1, 4))
        assert [one.payment_hash for one in heard] == [
            one.payment_hash for one in reversed(made[: 3 - after])
        ]


async def test_what_no_stream_tells_is_found_by_looking(
    town: LndTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.01)
    town.nodes["payee"].mute = True
    paid, withdrawn, held = await invoice(town), await invoice(town), await hold(town)
    expected = {
        paid.payment_hash: InvoiceState.SETTLED,
        withdrawn.payment_hash: InvoiceState.CANCELLED,
        HASH: InvoiceState.ACCEPTED,
    }
    async with town.payee.watch(after=0) as told, trio.open_nursery() as nursery:
        await until_asked(town, "payee", "/v1/invoices", looks(town) + 2)
        await town.payee.cancel_invoice(withdrawn.payment_hash)
        await pay(town.payer, paid.bolt11)
        nursery.start_soon(pay, town.payer, held.bolt11)
        heard = {one.payment_hash: one.state for one in await take_until(told, expected)}
        nursery.cancel_scope.cancel()
    assert heard == expected


async def test_what_expires_is_not_told_as_cancelled(
    town: LndTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.01)
    await invoice(town, expiry=60)
    other = await invoice(town)
    async with town.payee.watch(after=0) as told:
        await until_asked(town, "payee", "/v1/invoices", looks(town) + 2)
        town.clock.jump(62)
        await until_asked(town, "payee", "/v1/invoices", looks(town) + 2)
        await town.payee.cancel_invoice(other.payment_hash)
        (only,) = await take(told, 1)
    assert only.payment_hash == other.payment_hash


# --- paying


async def test_what_is_on_its_way_is_waited_for_by_who_pays_again(town: LndTown) -> None:
    made, results = await hold(town), []

    async def again() -> None:
        results.append(await pay(town.payer, made.bolt11))

    await start_paying(town, made.bolt11)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(again)
        await until_asked(town, "payer", f"/v2/router/track/{in_path(HASH)}")
        assert results == []
        await town.payee.settle_hold(PREIMAGE)
    assert results == [PaymentSettled(HASH, PREIMAGE, AMOUNT, town.fee)]


async def test_an_upper_case_invoice_is_sent_as_lnd_wants_it(town: LndTown) -> None:
    made = await invoice(town)
    text = f"LIGHTNING:{made.bolt11.upper()}"
    paid = await town.payer.pay(text, max_fee=ENOUGH, deadline_seconds=10)
    assert isinstance(paid, PaymentSettled)
    assert sent(town, "payer", "/v2/router/send")["payment_request"] == made.bolt11


# --- streams


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_lines_are_whole_however_the_network_cuts_them(size: int) -> None:
    text = b'{"n":1}\n\n{"n":2}\r\n{"n":3}\nrest without end'
    parts = [text[at : at + size] for at in range(0, len(text), size)]

    async def cut() -> AsyncIterator[bytes]:
        for part in parts:
            await trio.lowlevel.checkpoint()
            yield part

    read = Messages(cut(), msgspec.json.decode, trio.CancelScope)  # type: ignore[arg-type]
    assert [line async for line in read] == [{"n": 1}, {"n": 2}, {"n": 3}]
