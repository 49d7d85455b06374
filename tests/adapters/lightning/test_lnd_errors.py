"""What an lnd says or does not say ends in one clear line, and never in a false failure."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import trio

from pylon.adapters.lightning.lnd import open_lnd, rest
from pylon.errors import Misconfigured, PylonError, WalletUnavailable
from pylon.model.money import Network
from pylon.model.wallet import InvoiceState, PaymentFailed
from tests.adapters.lightning.https_double import Asked, Reply, certificate, serving
from tests.adapters.lightning.lnd_double import BAKED
from tests.adapters.lightning.lnd_shapes import UNAVAILABLE
from tests.adapters.lightning.lnd_town import LndTown, lnd_town
from tests.adapters.lightning.lnd_visit import NODE, keep, look
from tests.adapters.wallet_contract import (
    AMOUNT,
    HASH,
    HOLD_SECONDS,
    PREIMAGE,
    UNKNOWN,
    invoice,
    pay,
    start_paying,
)
from tests.macaroons import bake


@pytest.fixture
async def town(tmp_path: Path) -> AsyncGenerator[LndTown, None]:
    async with lnd_town(tmp_path) as town:
        yield town


@pytest.fixture
def macaroon(tmp_path: Path) -> Path:
    return keep(tmp_path / "pylon.macaroon", bake(*BAKED))


@pytest.fixture
def trusted(tmp_path: Path) -> Path:
    path = tmp_path / "tls.cert"
    path.write_bytes(certificate("lnd")[0])
    return path


# --- answers


async def test_a_locked_wallet_is_said_to_be_locked(town: LndTown) -> None:
    town.nodes["payee"].locked = True
    for order in (town.payee.balance(), invoice(town)):
        with pytest.raises(WalletUnavailable, match="lncli unlock"):
            await order
    with pytest.raises(WalletUnavailable, match="lncli unlock"):
        async with town.payee.watch(after=0) as watch:
            await anext(watch)


async def test_an_lnd_without_hold_invoices_is_named(town: LndTown) -> None:
    town.nodes["payee"].built_with = ()
    with pytest.raises(Misconfigured, match="invoicesrpc"):
        await town.payee.make_hold_invoice(
            HASH, AMOUNT, description="", expiry_seconds=600, hold_seconds=HOLD_SECONDS
        )
    made = await invoice(town)
    with pytest.raises(Misconfigured, match="invoicesrpc"):
        await town.payee.cancel_invoice(made.payment_hash)


@pytest.mark.parametrize(
    ("answer", "status", "why"),
    [
        (b"<html>Bad Gateway</html>", 502, "answers with HTTP status 502: is it lnd"),
        (b"", 404, "HTTP status 404"),
        (b"not JSON", 200, "something unexpected"),
        ([], 200, "something unexpected"),
        ({}, 200, "something unexpected"),
        ({"local_balance": {"msat": "-1"}}, 200, "something unexpected"),
        ({"local_balance": {"msat": str(2**63)}}, 200, "something unexpected"),
        (b"[" * 100_000, 200, "something unexpected"),
        (b'{"local_balance": {"msat": "\xff"}}', 200, "something unexpected"),
        (b" " * (1 + (16 << 20)), 200, "too large"),
        ({"code": 2, "message": "out of\nluck", "details": []}, 500, "lnd: out of luck"),
        ({"code": 2, "message": "x" * 10_000}, 500, "lnd: x{300}$"),
        ({"code": 14, "message": "the server is shutting down"}, 503, "shutting down"),
        ({"error": "text"}, 500, "lnd: error 2"),
        ({"message": 5}, 500, "HTTP status 500"),
    ],
)
async def test_an_answer_that_is_none_is_unavailability(
    answer: Any, status: int, why: str, macaroon: Path, tmp_path: Path
) -> None:
    async def lnd(asked: Asked) -> Reply:
        await trio.lowlevel.checkpoint()
        return Reply(NODE) if asked.path == "/v1/getinfo" else Reply(answer, status)

    async with serving(lnd, tmp_path) as (url, trusted):
        with pytest.raises(WalletUnavailable, match=why):
            await look(url, macaroon, trusted)


async def test_an_lnd_that_says_nothing_is_given_up(
    macaroon: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silence(asked: Asked) -> Reply:
        await trio.sleep_forever()
        return Reply()

    monkeypatch.setattr(rest, "ANSWER_SECONDS", 0.1)
    async with serving(silence, tmp_path) as (url, trusted):
        with pytest.raises(WalletUnavailable, match=r"does not answer at .* for 0\.1 s"):
            await look(url, macaroon, trusted)


async def lines_of(*lines: Any) -> AsyncGenerator[Any, None]:
    for line in lines:
        await trio.lowlevel.checkpoint()
        yield line


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ({},),
        ({"result": {}},),
        ({"result": {"payment_hash": "AB" * 32, "status": "SUCCEEDED"}},),
        ({"result": {"payment_hash": UNKNOWN, "status": "WELL"}},),
        ({"result": {"payment_hash": UNKNOWN, "status": "IN_FLIGHT"}},),
        ("x" * (2 << 20),),
    ],
)
async def test_a_story_without_an_end_is_not_a_failure(
    lines: tuple[Any, ...], town: LndTown, macaroon: Path, tmp_path: Path
) -> None:
    made = await invoice(town)

    async def lnd(asked: Asked) -> Reply:
        await trio.lowlevel.checkpoint()
        is_send = asked.path == "/v2/router/send"
        return Reply(lines=lines_of(*lines)) if is_send else Reply(NODE)

    async with (
        serving(lnd, tmp_path) as (url, trusted),
        open_lnd(
            url,
            certificate=trusted,
            macaroon=macaroon,
            network=Network.REGTEST,
            clock=town.clock,
        ) as wallet,
    ):
        with pytest.raises(WalletUnavailable):
            await pay(wallet, made.bolt11)


async def test_what_lnd_refuses_and_does_not_know_was_not_paid(town: LndTown) -> None:
    made = await invoice(town, expiry=60)
    town.clock.jump(62)
    failed = await pay(town.payer, made.bolt11)
    assert isinstance(failed, PaymentFailed)
    assert failed.reason.startswith("invoice expired. Valid until")
    assert await town.payer.payment(made.payment_hash) is None


async def test_a_node_that_is_going_down_has_not_failed_to_pay(town: LndTown) -> None:
    made = await invoice(town)
    town.nodes["payer"].refuses["/v2/router/send"] = (UNAVAILABLE, "router shutting down")
    with pytest.raises(WalletUnavailable, match="router shutting down"):
        await pay(town.payer, made.bolt11)


async def test_a_hold_that_lnd_will_not_settle_is_not_taken_for_settled(town: LndTown) -> None:
    made = await town.payee.make_hold_invoice(
        HASH, AMOUNT, description="", expiry_seconds=600, hold_seconds=HOLD_SECONDS
    )
    await start_paying(town, made.bolt11)
    town.nodes["payee"].refuses["/v2/invoices/settle"] = (2, "out of luck")
    with pytest.raises(WalletUnavailable, match="lnd: out of luck"):
        await town.payee.settle_hold(PREIMAGE)
    town.nodes["payee"].refuses.clear()
    assert (await town.payee.settle_hold(PREIMAGE)).state is InvoiceState.SETTLED


async def test_a_refusal_that_cannot_be_looked_into_is_not_a_failure(town: LndTown) -> None:
    made = await invoice(town, expiry=60)
    town.clock.jump(62)
    town.nodes["payer"].allowed = ("info:read", "offchain:write")
    with pytest.raises(PylonError) as caught:
        await pay(town.payer, made.bolt11)
    assert isinstance(caught.value, Misconfigured)


async def test_the_end_of_a_stream_ends_the_watch(town: LndTown) -> None:
    town.nodes["payee"].stopping = True
    async with town.payee.watch(after=1) as watch:
        with trio.fail_after(30), pytest.raises(WalletUnavailable, match="ended the stream"):
            await anext(watch)
