"""Electrum's daemon as it may also answer: refusing, shut, broken, or something else altogether."""

from base64 import b64encode
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from pylon.adapters.lightning.electrum import rpc
from pylon.adapters.lightning.electrum.answers import Expected, incoming
from pylon.adapters.lightning.electrum.rpc import from_btc, to_btc
from pylon.errors import BadInvoice, Misconfigured, WalletUnavailable
from pylon.model.money import Msat, from_sats
from pylon.wire.bolt11 import MAX_AMOUNT
from tests.adapters.inference.scripted import Cut, Forever, Reply, scripted
from tests.adapters.lightning.electrum_double import (
    NODE,
    PASSWORD,
    USER,
    daemon,
    error,
    new_error,
    opened,
    result,
    wallet_of,
)


@given(st.integers(1, MAX_AMOUNT // 1000))
def test_an_amount_is_the_same_in_bitcoin_and_back(sats: int) -> None:
    assert from_btc(to_btc(from_sats(sats))) == from_sats(sats)


@pytest.mark.parametrize(
    ("text", "msat"), [("0", 0), ("1.2E-7", 12_000), ("0.00000000001", 1), ("0.1", 10**10)]
)
def test_an_amount_is_read_as_electrum_writes_it(text: str, msat: int) -> None:
    assert from_btc(text) == msat


@pytest.mark.parametrize(
    "text", ["", "x", "NaN", "Infinity", "-1", "1E+999999", "0.000000000001", "21000001"]
)
def test_an_amount_that_is_none_is_not_believed(text: str) -> None:
    with pytest.raises(WalletUnavailable):
        from_btc(text)


@pytest.mark.parametrize("amount", [0, -1000, 1, 999, 1001, MAX_AMOUNT + 1000])
def test_an_amount_that_electrum_cannot_ask_for_is_refused(amount: int) -> None:
    with pytest.raises(BadInvoice):
        to_btc(Msat(amount))


def test_what_is_expected_is_read_in_the_tables_of_all_versions() -> None:
    paid, unpaid = Expected(Msat(12_000), is_paid=True), Expected(Msat(0), is_paid=False)
    old: dict[str, list[Any]] = {"aa": [12_000, 1, 3], "bb": [12_000, 0, 3], "cc": [None, 1, 0]}
    new: dict[str, list[Any]] = {
        "aa:1": [12_000, 3, 144],
        "bb:0": [12_000, 3, 144],
        "cc:1": [None, 0, 144],
    }
    assert incoming(old) == incoming(new) == {"aa": paid, "cc": unpaid}


@pytest.mark.parametrize("row", [[], [1, 1]])
def test_a_table_of_another_shape_is_not_guessed_at(row: list[int]) -> None:
    with pytest.raises(WalletUnavailable):
        incoming({"aa": row})


async def test_user_and_password_are_sent_and_shown_nowhere() -> None:
    double = daemon()
    async with scripted(double.script) as server, opened(server.url) as wallet:
        sent = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        assert {r.headers["authorization"] for r in server.requests} == {f"Basic {sent}"}
        assert PASSWORD not in repr(wallet)
        info = await wallet.info()
    assert (info.backend, info.node_key) == ("electrum", NODE)


@pytest.mark.parametrize(
    ("reply", "error_is", "says"),
    [
        (Reply(status=401), Misconfigured, "user and password"),
        (Reply(status=403), Misconfigured, "user and password"),
        (Reply(status=500), WalletUnavailable, "500"),
        (Reply((b"<html>",)), WalletUnavailable, "another way"),
        (Reply((b"[" * 100_000,)), WalletUnavailable, "another way"),
        (Reply((b"\xff",)), WalletUnavailable, "another way"),
        (Reply((b'{"result": 7}',)), WalletUnavailable, "another way"),
        (Reply((Cut(),)), WalletUnavailable, "does not answer at 127.0.0.1:"),
        (error("Lightning not enabled in this wallet"), Misconfigured, "no Lightning"),
        (error("something else"), WalletUnavailable, "something else"),
        (new_error("AssertionError('no')"), WalletUnavailable, "AssertionError('no')"),
        (result({"network": "mainnet", "version": "4"}), Misconfigured, "mainnet"),
    ],
)
async def test_a_daemon_that_is_no_use_is_told_in_one_line(
    reply: Reply, error_is: type[Exception], says: str
) -> None:
    async with scripted(daemon(getinfo=reply).script) as server:
        with pytest.raises(error_is) as caught:
            async with opened(server.url):
                pass
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert PASSWORD not in str(caught.value)


async def test_an_answer_without_end_is_not_read_to_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rpc, "MAX_BODY_BYTES", 1 << 16)
    endless = daemon(getinfo=Reply((Forever(b" " * 4096),)))
    async with scripted(endless.script) as server:
        with trio.fail_after(30), pytest.raises(WalletUnavailable, match="too large"):
            async with opened(server.url):
                pass


@pytest.mark.parametrize("url", ["http://", "http://127.0.0.1:x", "http://[", "nonsense"])
async def test_an_address_that_is_none_is_misconfigured(url: str) -> None:
    with pytest.raises((Misconfigured, WalletUnavailable)):
        async with opened(url):
            pass


async def test_a_wallet_that_is_not_open_is_opened_and_asked_again() -> None:
    double = daemon()

    def balance(_: object) -> object:
        return {"lightning": "0.5"} if double.asked("load_wallet") else error("wallet not loaded")

    double.answers["getbalance"] = balance
    async with wallet_of(double) as wallet:
        assert await wallet.balance() == 5 * 10**10
    assert [method for method, _ in double.calls[-3:]] == [
        "getbalance",
        "load_wallet",
        "getbalance",
    ]


async def test_a_wallet_that_cannot_be_opened_is_left_to_its_owner() -> None:
    double = daemon(
        getbalance=new_error("wallet not loaded"), load_wallet=error("Incorrect password")
    )
    async with wallet_of(double) as wallet:
        with pytest.raises(WalletUnavailable, match="electrum load_wallet"):
            await wallet.balance()
