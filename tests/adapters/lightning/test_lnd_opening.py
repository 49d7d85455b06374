"""Opening an lnd: what is trusted, what is shown, and what is refused before anything is asked."""

from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path

import pytest
import trio

from pylon.errors import Misconfigured, WalletUnavailable
from tests.adapters.lightning.https_double import Asked, Reply, certificate, serving
from tests.adapters.lightning.lnd_double import BAKED
from tests.adapters.lightning.lnd_town import LndTown, lnd_town
from tests.adapters.lightning.lnd_visit import keep, look, saying_well
from tests.adapters.wallet_contract import (
    AMOUNT,
    HASH,
    HOLD_SECONDS,
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
