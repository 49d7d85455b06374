"""The real SDK: that it is the one we know, and that without a network nothing hangs."""

import asyncio
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

sdk = pytest.importorskip("breez_sdk_spark", reason="the extra `spark` is not installed")

from pylon.adapters.lightning.spark import open_spark  # noqa: E402 - the SDK decides if we go on
from pylon.adapters.lightning.spark import sdk as ours  # noqa: E402
from pylon.adapters.lightning.spark.bell import Bell, Listener  # noqa: E402
from pylon.adapters.lightning.spark.bridge import on_the_loop  # noqa: E402
from pylon.adapters.lightning.spark.wallet import SparkWallet  # noqa: E402
from pylon.adapters.memory.clock import MemoryClock  # noqa: E402
from pylon.errors import Misconfigured, WalletUnavailable  # noqa: E402
from pylon.model.ids import PaymentHash  # noqa: E402
from pylon.model.money import ZERO, Network, from_sats  # noqa: E402
from pylon.ports.wallet_extras import Addressed, Faucet  # noqa: E402

WORDS = "abandon " * 11 + "about"
KEY = "an API key"


@pytest.fixture
async def unplugged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Spark's operators be where nobody answers, whatever network there is."""
    usual: Callable[..., Any] = sdk.default_config
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    nowhere = f"https://127.0.0.1:{listener.socket.getsockname()[1]}"
    await listener.aclose()

    def default_config(network: Any) -> Any:
        config = usual(network=network)
        for operator in config.spark_config.signing_operators:
            operator.address = nowhere
        config.spark_config.ssp_config.base_url = nowhere
        return config

    monkeypatch.setattr(sdk, "default_config", default_config)


def opening(folder: Path, network: Network = Network.REGTEST, key: str | None = None) -> Any:
    return open_spark(WORDS, network=network, storage=folder, api_key=key, clock=MemoryClock())


# --- without a network


@pytest.mark.usefixtures("unplugged")
async def test_without_a_network_every_call_ends_in_one_clear_line(tmp_path: Path) -> None:
    with trio.fail_after(120):
        async with opening(tmp_path) as wallet:
            assert await wallet.balance() == ZERO
            assert (await wallet.info()).network is Network.REGTEST
            assert await wallet.history(limit=9) == []
            assert await wallet.lookup(PaymentHash("ab" * 32)) is None
            assert await wallet.payment(PaymentHash("ab" * 32)) is None
            for order in (
                wallet.make_invoice(from_sats(1), description="x", expiry_seconds=600),
                wallet.fund(from_sats(1000)),
            ):
                with pytest.raises(WalletUnavailable) as caught:
                    await order
                said = str(caught.value)
                assert said == "Spark: its operators are out of reach: is there a network?"


@pytest.mark.usefixtures("unplugged")
async def test_a_wallet_opens_again_and_two_open_at_once(tmp_path: Path) -> None:
    with trio.fail_after(60):
        for _ in range(2):
            async with opening(tmp_path) as one, opening(tmp_path / "other") as other:
                assert await one.balance() == await other.balance() == ZERO
    kept = [path.name for path in await trio.Path(tmp_path).glob("*.db")]
    assert len(kept) == 1
    assert kept[0].startswith("regtest-")


@pytest.mark.usefixtures("unplugged")
async def test_the_words_show_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    async with opening(tmp_path) as wallet:
        assert "abandon" not in repr(wallet)

    async def refuse(request: Any) -> Any:
        raise sdk.SdkError.Generic(f"invalid mnemonic {request.seed.mnemonic}")

    monkeypatch.setattr(sdk, "connect", refuse)
    with pytest.raises(Misconfigured) as caught:
        async with opening(tmp_path):
            pass
    assert "abandon" not in f"{caught.value}{caught.value.__cause__}{caplog.text}"


async def test_an_sdk_that_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(request: Any) -> Any:
        await asyncio.sleep(3600)

    monkeypatch.setattr(sdk, "connect", hang)
    monkeypatch.setattr("pylon.adapters.lightning.spark.opening.ANSWER_SECONDS", 0.05)
    with pytest.raises(WalletUnavailable, match=r"does not open for 0\.05 s"):
        async with opening(tmp_path):
            pass


# --- opening


async def test_spark_has_no_testnet(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="Spark has no testnet"):
        async with opening(tmp_path, Network.TESTNET):
            pass


async def test_mainnet_wants_a_key(tmp_path: Path) -> None:
    for key in (None, ""):
        with pytest.raises(Misconfigured, match="API key"):
            async with opening(tmp_path, Network.MAINNET, key):
                pass


async def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "breez_sdk_spark", None)
    with pytest.raises(Misconfigured, match=r"pip install 'pylon\[spark\]'"):
        async with opening(tmp_path):
            pass


def test_the_sdk_installed_is_the_one_we_know() -> None:
    ours.check(sdk)


def without(module: Any, name: str) -> SimpleNamespace:
    """Copy what we look at of the SDK, without one name."""
    copy = SimpleNamespace(**{key: getattr(module, key) for key in dir(module)})
    top, _, inner = name.partition(".")
    if not inner:
        delattr(copy, top)
        return copy
    group = getattr(module, top)
    members = {key: getattr(group, key) for key in dir(group) if not key.startswith("_")}
    del members[inner]
    setattr(copy, top, SimpleNamespace(**members))
    return copy


@pytest.mark.parametrize(
    "name", ["connect", "ClaimHtlcPaymentRequest", "SdkError.InvalidInput", "BreezSdk.send_payment"]
)
def test_an_sdk_without_what_we_use_is_named(name: str) -> None:
    with pytest.raises(Misconfigured, match=rf"another {name} .*'breez-sdk-spark==0\.27"):
        ours.check(without(sdk, name))


def test_an_sdk_with_a_new_argument_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class ConnectRequest:
        def __init__(self, *, config: Any, seed: Any, storage_dir: str, account: int) -> None: ...

    monkeypatch.setattr(sdk, "ConnectRequest", ConnectRequest)
    with pytest.raises(Misconfigured, match="another ConnectRequest"):
        ours.check(sdk)


# --- the bridge


async def test_an_error_of_asyncio_arrives_in_trio() -> None:
    async def fail() -> None:
        raise ValueError("there")

    with pytest.raises(ValueError, match="there"):
        await on_the_loop(fail)


async def test_a_call_given_up_goes_on_by_itself() -> None:
    token, ended = trio.lowlevel.current_trio_token(), trio.Event()
    begun, go_on = trio.Event(), asyncio.Event()

    async def long() -> None:
        token.run_sync_soon(begun.set)
        await go_on.wait()
        token.run_sync_soon(ended.set)

    async def release() -> None:
        go_on.set()

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(on_the_loop, long)
            await begun.wait()
            nursery.cancel_scope.cancel()
        assert not ended.is_set()
        await on_the_loop(release)
        await ended.wait()


async def test_an_event_of_the_sdk_rings_a_bell_in_trio() -> None:
    bell = Bell()
    listener = Listener(bell)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bell.wait, 0)
            await on_the_loop(lambda: listener.on_event(sdk.SdkEvent.SYNCED()))
    assert bell.rung == 1


def test_an_event_after_the_end_is_nobodys() -> None:
    kept = list[Listener]()

    async def short() -> None:
        await trio.lowlevel.checkpoint()
        kept.append(Listener(Bell()))

    trio.run(short)
    asyncio.run(kept[0].on_event(sdk.SdkEvent.SYNCED()))


async def test_a_bell_not_rung_is_heard_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pylon.adapters.lightning.spark.bell.POLL_SECONDS", 0.01)
    with trio.fail_after(30):
        await Bell().wait(0)


def test_the_wallet_can_be_funded_and_has_an_address() -> None:
    assert issubclass(SparkWallet, Faucet)
    assert issubclass(SparkWallet, Addressed)
