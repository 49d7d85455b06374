"""What a wallet shows: its state, its past, its invoices, and all that is not decided yet."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pylon.adapters.home import find_home
from pylon.adapters.wallet_secrets import WalletSecret, store_secret
from pylon.cli.exit_codes import ExitCode
from pylon.model.ids import PaymentHash
from pylon.model.invoice import Fallback, RouteHop
from pylon.model.money import ZERO, Msat, from_sats
from pylon.model.wallet import (
    Capabilities,
    Direction,
    HistoryEntry,
    InvoiceState,
    InvoiceStatus,
)
from tests.cli.conftest import Pylon, Ran
from tests.cli.wallet.elsewhere import SECRET, Elsewhere
from tests.cli.wallet.invoices import HASH, KEY, written

Wallet = Callable[..., Ran]


@pytest.fixture
def wallet(pylon: Pylon, buyer: str) -> Wallet:
    return lambda *tokens: pylon("--home", buyer, "wallet", *tokens)


@pytest.fixture
def plain(buyer: str, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    """The buyer's wallet is one that can do nothing beyond plain invoices."""
    monkeypatch.setenv("PYLON_WALLET_BACKEND", "nwc")
    store_secret(find_home({}, asked=Path(buyer)), WalletSecret.NWC_URI, SECRET)
    return elsewhere


def entry(state: str, direction: Direction = Direction.OUTGOING, *, at: int = 0) -> HistoryEntry:
    return HistoryEntry(direction, state, from_sats(7), ZERO, HASH, f"was {state}", at)


# --- decode


def test_all_that_an_invoice_says_is_shown_offline(pylon: Pylon) -> None:
    hop = RouteHop(KEY.node_key, 66051 << 40 | 263430 << 16 | 1800, Msat(1), 20, 3)
    bolt11 = written(
        created_at=1_496_314_658,
        expiry_seconds=60,
        routes=((hop,),),
        fallbacks=(Fallback(17, b"\x04" * 20),),
        metadata=b"\x01\xfa",
    )

    shown, value = (
        pylon("wallet", "decode", bolt11).out,
        pylon("wallet", "decode", bolt11, "--json"),
    )

    assert json.loads(value.out) == {
        "network": "regtest",
        "amount_msat": 12_500,
        "description": "tea",
        "description_hash": None,
        "payee": KEY.node_key,
        "payment_hash": HASH,
        "payment_secret": "cd" * 32,
        "created_at": 1_496_314_658,
        "expires_at": 1_496_314_718,
        "expired": True,
        "min_final_cltv": 18,
        "features": [8, 14],
        "metadata": "01fa",
        "fallbacks": [{"version": 17, "program": "04" * 20}],
        "routes": [
            [
                {
                    "node_key": KEY.node_key,
                    "short_channel_id": "66051x263430x1800",
                    "fee_base_msat": 1,
                    "fee_ppm": 20,
                    "cltv_delta": 3,
                }
            ]
        ],
    }
    for said in ("12.5 sat", "'tea'", "2017-06-01", " ago", HASH, "66051x263430x1800", "01fa"):
        assert said in shown


def test_a_strangers_description_cannot_touch_the_terminal(pylon: Pylon) -> None:
    bolt11 = written(description="\x1b[2J\r\nnetwork  mainnet\u202e")

    shown = pylon("wallet", "decode", bolt11).out

    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert [line for line in shown.splitlines() if line.startswith("network")] == [
        "network         regtest"
    ]


@pytest.mark.parametrize("text", ["", "lnbcrt", "hello", "\x00", "lnbc" + "q" * 8000, "½"])
def test_what_is_no_invoice_is_one_line(pylon: Pylon, text: str) -> None:
    ran = pylon("wallet", "decode", text)

    assert (ran.status, ran.out, ran.err.count("\n")) == (ExitCode.USAGE, "", 1)
    assert ran.err.startswith("pylon: this is no invoice: ")


# --- invoice


def test_an_invoice_in_parts_of_a_satoshi_where_the_wallet_counts_them(
    wallet: Wallet, plain: Elsewhere
) -> None:
    refused = wallet("invoice", "0.5")
    plain.able = Capabilities(msat=True)
    made = wallet("invoice", "0.5 sat", "--json")

    assert refused.status == ExitCode.USAGE
    assert refused.err == (
        "pylon: 0.5 sat cannot be asked for: this wallet counts in whole satoshi\n"
    )
    assert json.loads(made.out)["amount_msat"] == 500


def test_receive_is_invoice_by_another_name(wallet: Wallet) -> None:
    made = json.loads(wallet("receive", "1,500", "--memo", "for tea", "--json").out)

    assert set(made) == {"bolt11", "payment_hash", "amount_msat", "expires_at"}
    assert json.loads(wallet("decode", made["bolt11"], "--json").out)["description"] == "for tea"


def test_an_invoice_is_waited_for_until_it_is_paid(pylon: Pylon, buyer: str, seller: str) -> None:
    command = [sys.executable, "-m", "pylon", "--home", seller, "wallet", "receive", "21"]
    command += ["--expiry", "120", "--wait", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as waiting:  # noqa: S603 - our own program
        assert waiting.stdout
        made = json.loads(waiting.stdout.readline())
        pylon("--home", buyer, "wallet", "pay", made["bolt11"], "--yes")
        ending = json.loads(waiting.stdout.readline())
        assert waiting.wait(30) == ExitCode.OK

    assert ending == {"state": "settled", "payment_hash": made["payment_hash"], "paid_msat": 21_000}


def test_an_invoice_nobody_pays_ends_with_its_time(wallet: Wallet) -> None:
    ran = wallet("invoice", "21", "--expiry", "1", "--wait")

    assert ran.status == ExitCode.TIMEOUT
    assert ran.err.endswith("pylon: not paid in time: the invoice has expired\n")


def test_an_invoice_is_waited_for_while_the_wallet_comes_and_goes(
    wallet: Wallet, plain: Elsewhere
) -> None:
    plain.hiccups = 2

    ran = wallet("invoice", "21", "--expiry", "2", "--wait")

    assert (ran.status, plain.hiccups) == (ExitCode.TIMEOUT, 0)


@pytest.mark.usefixtures("plain")
def test_an_invoice_that_is_withdrawn_is_waited_for_no_more(
    wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def withdrawn(_self: object, payment_hash: PaymentHash) -> InvoiceStatus:
        return InvoiceStatus(payment_hash, InvoiceState.CANCELLED)

    monkeypatch.setattr("tests.cli.wallet.elsewhere._Plain.lookup", withdrawn)

    ran = wallet("invoice", "21", "--wait", "--json")

    assert (ran.status, json.loads(ran.out.splitlines()[1])["state"]) == (1, "cancelled")
    assert ran.err.endswith("pylon: not paid: the invoice is cancelled\n")


def test_a_memo_no_invoice_can_carry_is_one_line(wallet: Wallet) -> None:
    ran = wallet("invoice", "21", "--memo", "x" * 2000)

    assert (ran.status != 0, ran.out, ran.err.count("\n")) == (True, "", 1)


# --- history and status


def test_a_wallet_without_a_past_says_how_to_get_one(pylon: Pylon, seller: str) -> None:
    ran = pylon("--home", seller, "wallet", "history")

    assert (ran.status, ran.out) == (0, "")
    assert ran.err == f"nothing yet: pylon --home {seller} wallet invoice 100\n"
    assert pylon("--home", seller, "wallet", "history", "--completed", "--json").out == "[]\n"


def test_what_is_not_decided_comes_first_however_old(wallet: Wallet, plain: Elsewhere) -> None:
    settled = [entry("settled", at=1000 - number) for number in range(50)]
    plain.past = [*settled, entry("pending", at=5), entry("accepted", Direction.INCOMING, at=4)]

    rows = json.loads(wallet("history", "--limit", "3", "--json").out)
    shown = wallet("history", "--limit", "1").out.splitlines()

    assert [(row["state"], row["at"]) for row in rows] == [
        ("pending", 5),
        ("accepted", 4),
        ("settled", 1000),
    ]
    assert [line.split("\t")[2] for line in shown] == ["STATE", "pending", "accepted"]


def test_the_completed_past_has_only_what_moved_and_tells_of_the_rest(
    wallet: Wallet, plain: Elsewhere
) -> None:
    plain.past = [entry(state) for state in ("open", "settled", "failed", "expired", "unknown")]

    ran = wallet("history", "--completed", "--json")

    assert [row["state"] for row in json.loads(ran.out)] == ["settled"]
    assert ran.err.startswith("not decided yet: 1; `pylon --home ")
    assert ran.err.endswith("wallet history` shows them\n")


def test_a_status_tells_what_is_not_decided_and_for_how_long(
    wallet: Wallet, plain: Elsewhere
) -> None:
    plain.past = [entry("settled"), entry("pending", at=int(time.time()) - 7200)]

    shown = wallet("status").out
    value = json.loads(wallet("status", "--json").out)

    assert f"pending   outgoing 7 sat, 2 h old: {HASH}" in shown
    ((pending,), path) = value["pending"], value["path"]
    assert (pending["state"], pending["payment_hash"], path) == ("pending", HASH, None)
    assert 7200 <= pending["age_seconds"] < 10_000


def test_a_status_tells_what_is_set_aside_where_the_wallet_lists_nothing(
    pylon: Pylon, wallet: Wallet, seller: str, plain: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYLON_WALLET_BACKEND")
    wallet("fault", "stuck")
    asked = json.loads(pylon("--home", seller, "wallet", "invoice", "100", "--json").out)
    assert wallet("pay", asked["bolt11"], "--yes", "--timeout", "0.1").status == 9
    monkeypatch.setenv("PYLON_WALLET_BACKEND", "nwc")
    plain.lists = False

    shown, value = wallet("status").out, json.loads(wallet("status", "--json").out)

    assert "pending    this wallet lists no payments\n" in shown
    assert shown.endswith(f"set aside  105 sat for an invoice: {asked['payment_hash']}\n")
    assert value["pending"] is None
    assert value["set_aside"] == [
        {
            "payment_hash": asked["payment_hash"],
            "amount_msat": 100_000,
            "fee_msat": 5_000,
            "job": None,
        }
    ]


@pytest.mark.parametrize(
    ("able", "modes", "said"),
    [
        (Capabilities(), ["free", "prepay"], "plain invoices only"),
        (Capabilities(tells_preimage=True), ["free", "prepay", "locked"], "tells its preimages"),
        (
            Capabilities(hold=True, max_fee=True),
            ["free", "prepay", "hold", "locked", "hold+locked"],
            "holds payments, obeys a fee limit",
        ),
    ],
)
def test_a_status_says_by_which_modes_such_a_wallet_sells(
    wallet: Wallet, plain: Elsewhere, able: Capabilities, modes: list[str], said: str
) -> None:
    plain.able = able

    value, shown = json.loads(wallet("status", "--json").out), wallet("status").out

    assert value["selling_modes"] == modes
    assert f"sells by  {', '.join(modes)}\n" in shown
    assert f"can       {said}\n" in shown


# --- what only some wallets can


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("fund", "the wallet nwc has no faucet; it is paid by invoices: pylon --home"),
        ("address", "the wallet nwc has no address here; it is paid by invoices: pylon --home"),
        ("audit", "the wallet nwc keeps its books itself"),
        ("fault", "this is for the embedded ledger; the wallet is nwc"),
    ],
)
@pytest.mark.usefixtures("plain")
def test_what_a_wallet_cannot_do_it_says_with_what_to_do_instead(
    wallet: Wallet, command: str, said: str
) -> None:
    ran = wallet(command, *(["stuck"] if command == "fault" else []))

    assert (ran.status, ran.out) == (ExitCode.USAGE, "")
    assert ran.err.startswith(f"pylon: {said}")


def test_a_wallet_that_can_be_paid_on_chain_shows_where(wallet: Wallet, plain: Elsewhere) -> None:
    plain.address = "bcrt1qxyz"

    assert wallet("address").out == "bcrt1qxyz\n"
    assert json.loads(wallet("address", "--json").out) == {"address": "bcrt1qxyz"}


def test_a_wallet_that_never_answers_is_one_line_in_time(
    wallet: Wallet, plain: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pylon.ports.wallet.ANSWER_SECONDS", 0.1)
    plain.silent = True

    ran = wallet("balance")

    assert (ran.status, ran.err) == (1, "pylon: the wallet does not answer for 0.1 s\n")


def test_a_wallet_that_is_away_is_one_line_for_every_command(
    wallet: Wallet, plain: Elsewhere
) -> None:
    plain.away = True

    for tokens in (("status",), ("balance",), ("history",), ("invoice", "5"), ("pay", written())):
        ran = wallet(*tokens, *(["--yes"] if tokens[0] == "pay" else []))
        assert (ran.status, ran.out) == (ExitCode.FAILURE, "")
        assert ran.err == "pylon: the wallet is away\n"
