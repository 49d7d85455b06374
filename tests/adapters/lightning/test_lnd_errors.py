"""What goes wrong between Pylon and an lnd ends in one clear line, and shows no secret."""

from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from pylon.adapters.lightning.lnd import open_lnd, rest
from pylon.adapters.memory.clock import MemoryClock
from pylon.errors import Misconfigured, PylonError, WalletUnavailable
from pylon.model.money import Network
from pylon.model.wallet import InvoiceState, PaymentFailed
from pylon.ports.wallet import Wallet
from tests.adapters.lightning.https_double import Asked, Reply, certificate, serving
from tests.adapters.lightning.lnd_double import BAKED, UNAVAILABLE
from tests.adapters.lightning.lnd_town import LndTown, lnd_town
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

NODE = {
    "identity_pubkey": "02" + "11" * 32,
    "block_height": 1,
    "chains": [{"chain": "bitcoin", "network": "regtest"}],
}


@pytest.fixture
async def town(tmp_path: Path) -> AsyncGenerator[LndTown, None]:
    async with lnd_town(tmp_path) as town:
        yield town


def keep(path: Path, raw: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(raw)
    path.chmod(mode)
    return path


@pytest.fixture
def macaroon(tmp_path: Path) -> Path:
    return keep(tmp_path / "pylon.macaroon", bake(*BAKED))


@pytest.fixture
def trusted(tmp_path: Path) -> Path:
    path = tmp_path / "tls.cert"
    path.write_bytes(certificate("lnd")[0])
    return path


async def look(
    url: str, macaroon: Path, trusted: Path | None, *, network: Network = Network.REGTEST
) -> Wallet:
    """Open a wallet and ask something."""
    with trio.fail_after(30):
        async with open_lnd(
            url, certificate=trusted, macaroon=macaroon, network=network, clock=MemoryClock()
        ) as wallet:
            await wallet.balance()
            return wallet


async def saying_well(asked: Asked) -> Reply:
    await trio.lowlevel.checkpoint()
    is_info = asked.path == "/v1/getinfo"
    return Reply(NODE if is_info else {"local_balance": {"msat": "5"}})


# --- opening


async def test_an_lnd_that_is_not_there_is_said_to_be_not_there(
    macaroon: Path, trusted: Path
) -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(WalletUnavailable, match=f"127.0.0.1:{port}: is lnd running"):
        await look(f"https://127.0.0.1:{port}", macaroon, trusted)


async def test_another_certificate_is_not_trusted(macaroon: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.cert"
    other.write_bytes(certificate("other")[0])
    asked = list[Asked]()

    async def answer(question: Asked) -> Reply:
        asked.append(question)
        await trio.lowlevel.checkpoint()
        return Reply({})

    async with serving(answer, tmp_path) as (url, _):
        for trusted in (other, None):
            with pytest.raises(Misconfigured, match=r"not trusted .* give the tls\.cert"):
                await look(url, macaroon, trusted)
    assert asked == []  # the macaroon was not shown to a stranger


async def test_what_the_system_trusts_counts_only_without_a_certificate(
    macaroon: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = keep(tmp_path / "other.cert", certificate("other")[0])
    async with serving(saying_well, tmp_path) as (url, certificate_there):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate_there))
        await look(url, macaroon, None)
        with pytest.raises(Misconfigured, match="not trusted"):
            await look(url, macaroon, other)


async def test_a_certificate_is_pinned_whoever_has_signed_it(
    macaroon: Path, tmp_path: Path
) -> None:
    async with serving(saying_well, tmp_path, name="leaf") as (url, pinned):
        await look(url, macaroon, pinned)


async def test_a_handshake_that_is_given_up_leaves_nothing_open(
    macaroon: Path, trusted: Path
) -> None:
    connected, let_go = trio.Event(), trio.Event()

    async def silent(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            connected.set()
            while await stream.receive_some():
                pass
            let_go.set()

    async with trio.open_nursery() as nursery:
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        nursery.start_soon(partial(trio.serve_listeners, silent, [listener]))
        port = listener.socket.getsockname()[1]
        with trio.fail_after(30):
            async with trio.open_nursery() as asking:
                asking.start_soon(look, f"https://127.0.0.1:{port}", macaroon, trusted)
                await connected.wait()
                asking.cancel_scope.cancel()
            await let_go.wait()
        nursery.cancel_scope.cancel()


async def test_a_port_without_tls_is_named(macaroon: Path, trusted: Path) -> None:
    async def plain(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with trio.open_nursery() as nursery:
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        nursery.start_soon(partial(trio.serve_listeners, plain, [listener]))
        port = listener.socket.getsockname()[1]
        with pytest.raises(Misconfigured, match="does not speak TLS"):
            await look(f"https://127.0.0.1:{port}", macaroon, trusted)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("url", ["http://lnd.example:8080", "ftp://127.0.0.1", "127.0.0.1:8080"])
async def test_a_macaroon_is_not_sent_in_the_clear(url: str, macaroon: Path) -> None:
    with pytest.raises(Misconfigured, match="https://127"):
        await look(url, macaroon, None)


async def test_a_certificate_that_is_none_is_named(macaroon: Path, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.cert"
    garbage.write_text("no certificate")
    for path in (garbage, tmp_path / "missing.cert"):
        with pytest.raises(Misconfigured, match=f"{path.name} is no certificate"):
            await look("https://127.0.0.1:1", macaroon, path)


async def test_a_macaroon_that_others_may_read_is_refused(tmp_path: Path) -> None:
    macaroon = keep(tmp_path / "open.macaroon", bake(*BAKED), 0o644)
    with pytest.raises(Misconfigured, match="chmod 600"):
        await look("https://127.0.0.1:1", macaroon, None)


async def test_a_file_that_holds_no_macaroon_is_named(tmp_path: Path) -> None:
    macaroon = keep(tmp_path / "hello.macaroon", b"hello")
    with pytest.raises(Misconfigured, match="no macaroon of format 2: bake one with: lncli"):
        await look("https://127.0.0.1:1", macaroon, None)
    with pytest.raises(Misconfigured, match="missing cannot be read: bake it with: lncli"):
        await look("https://127.0.0.1:1", tmp_path / "missing", None)


async def test_another_network_is_refused(town: LndTown) -> None:
    town.nodes["payee"].network = "mainnet"
    with pytest.raises(Misconfigured, match="this lnd is on mainnet, and this node is on regtest"):
        async with town.opening("payee"):
            pass


# --- the macaroon


async def test_a_macaroon_that_may_too_much_is_warned_of(town: LndTown) -> None:
    assert (await town.payee.info()).warning == ""
    node = town.nodes["payee"]
    node.macaroon = bake(*BAKED, "onchain:read", "onchain:write", "macaroon:generate")
    async with town.opening("payee") as wallet:
        warning = (await wallet.info()).warning
    assert "(macaroon:generate, onchain:write)" in warning
    assert "lncli bakemacaroon" in warning


async def test_a_macaroon_that_lnd_does_not_know_is_refused_and_not_shown(town: LndTown) -> None:
    town.nodes["payee"].macaroon = bake(*BAKED, nonce=b"\1" * 16)
    shown = bake(*BAKED).hex()
    for order in (town.payee.balance(), town.payee.lookup(HASH)):
        with pytest.raises(Misconfigured, match="does not accept the macaroon") as caught:
            await order
        assert shown not in "".join(map(str, (caught.value, caught.value.__cause__)))
    assert shown not in repr(town.payee)


async def test_what_a_macaroon_does_not_allow_is_said_with_what_would(town: LndTown) -> None:
    town.nodes["payer"].allowed = ("info:read", "invoices:read", "invoices:write")
    made = await invoice(town)
    with pytest.raises(Misconfigured, match=r"does not allow this: .* offchain:write"):
        await pay(town.payer, made.bolt11)


async def test_a_wallet_opens_without_leave_to_look_at_the_node(town: LndTown) -> None:
    town.nodes["payee"].allowed = tuple(power for power in BAKED if power != "info:read")
    async with town.opening("payee") as wallet:
        assert (await wallet.info()).node_key is None
        made = await wallet.make_hold_invoice(
            HASH, AMOUNT, description="", expiry_seconds=600, hold_seconds=HOLD_SECONDS
        )
        await start_paying(town, made.bolt11)
        held = await wallet.lookup(HASH)

    assert held is not None
    assert held.settle_deadline == pytest.approx(town.clock.now() + town.hold_seconds, abs=10)


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
