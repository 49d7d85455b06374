"""Paying: what is shown before, what is refused, and what is said when nobody knows."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pylon.adapters.home import find_home
from pylon.adapters.wallet_secrets import WalletSecret, store_secret
from pylon.cli.exit_codes import ExitCode
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.money import ZERO, Msat, Network, from_sats
from pylon.model.wallet import Capabilities, PaymentSettled
from tests.cli.conftest import Pylon, Ran
from tests.cli.terminal import terminal
from tests.cli.wallet.elsewhere import SECRET, Elsewhere
from tests.cli.wallet.invoices import KEY, written

Wallet = Callable[..., Ran]


@pytest.fixture
def wallet(pylon: Pylon, buyer: str) -> Wallet:
    return lambda *tokens: pylon("--home", buyer, "wallet", *tokens)


@pytest.fixture
def asked(pylon: Pylon, seller: str) -> str:
    """An invoice of the seller over 100 sat."""
    made = pylon("--home", seller, "wallet", "invoice", "100", "--memo", "tea", "--json")
    return str(json.loads(made.out)["bolt11"])


def balance(wallet: Wallet) -> int:
    return int(json.loads(wallet("balance", "--json").out)["balance_msat"])


def test_a_dry_run_shows_everything_and_pays_nothing(wallet: Wallet, asked: str) -> None:
    shown = wallet("pay", asked, "--dry-run", "--max-fee", "2")
    value = json.loads(wallet("pay", asked, "--dry-run", "--json").out)

    assert (shown.status, shown.err) == (0, "Nothing was paid.\n")
    for said in ("100 sat", "2 sat at most", "'tea'", "regtest", "10,000 sat"):
        assert said in shown.out
    assert re.search(r"expires .*Z, in 5\d min\n", shown.out)
    assert value["payee"] in shown.out
    assert value["payment_hash"] in shown.out
    assert (value["state"], value["earlier_attempt"]) == ("dry-run", None)
    assert (value["amount_msat"], value["max_fee_msat"]) == (100_000, 5_000)
    assert balance(wallet) == 10_000_000


def test_a_wallet_that_obeys_no_fee_limit_is_not_said_to(
    wallet: Wallet, buyer: str, elsewhere: Elsewhere, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLON_WALLET_BACKEND", "nwc")
    store_secret(find_home({}, asked=Path(buyer)), WalletSecret.NWC_URI, SECRET)

    shown = wallet("pay", asked, "--dry-run").out
    assert "as the wallet likes: it obeys no limit, and 5 sat are set aside" in shown
    elsewhere.able = Capabilities(max_fee=True)
    value = json.loads(wallet("pay", asked, "--dry-run", "--json").out)
    assert value["obeys_max_fee"] is True


def test_a_dry_run_knows_what_was_paid_already(wallet: Wallet, asked: str) -> None:
    assert wallet("send", asked, "--yes").status == ExitCode.OK

    ran = wallet("pay", asked, "--dry-run", "--json")

    assert (ran.status, json.loads(ran.out)["earlier_attempt"]) == (0, "settled")


def test_a_dry_run_says_what_would_be_in_the_way(wallet: Wallet) -> None:
    dear = wallet("pay", written(amount=from_sats(20_000)), "--dry-run")
    late = wallet("pay", written(created_at=1_600_000_000), "--dry-run")

    assert (dear.status, dear.err) == (ExitCode.FUNDS, "pylon: the balance is too small\n")
    assert (late.status, late.err) == (ExitCode.FAILURE, "pylon: the invoice has expired\n")


@pytest.mark.parametrize(
    ("bolt11", "said"),
    [
        (written(created_at=1_600_000_000), "the invoice expired "),
        (
            written(network=Network.MAINNET),
            "the invoice is for mainnet, and this node is on regtest",
        ),
        (written(amount=None), "the invoice names no amount"),
    ],
    ids=["expired", "another network", "no amount"],
)
def test_an_invoice_that_should_not_be_paid_is_refused_before_anybody_is_asked(
    wallet: Wallet, bolt11: str, said: str
) -> None:
    ran = wallet("pay", bolt11, "--yes")

    assert (ran.status, ran.out) == (ExitCode.USAGE, "")
    assert ran.err.startswith(f"pylon: {said}")
    assert balance(wallet) == 10_000_000


def test_what_is_paid_is_shown_before_also_with_a_yes(wallet: Wallet, asked: str) -> None:
    ran = wallet("pay", f"LIGHTNING:{asked.upper()}", "--yes")

    assert ran.status == ExitCode.OK
    assert ran.out.startswith("paid 100 sat and ")
    lines = dict(line.split("  ", 1) for line in ran.err.splitlines())
    assert {name: lines[name].strip() for name in ("amount", "fee", "for", "network")} == {
        "amount": "100 sat",
        "fee": "5 sat at most",
        "for": "'tea'",
        "network": "regtest",
    }


def test_a_person_sees_a_hostile_description_as_what_it_is(buyer: str) -> None:
    bolt11 = written(description="\x1b[2J tea\r\nPay 1 sat")

    with terminal("--home", buyer, "wallet", "pay", bolt11) as person:
        person.expect(f"to {KEY.node_key}?")
        person.type("no")
        assert person.end() == ExitCode.USAGE

    assert "\x1b[2J" not in person.shown
    assert "\\x1b[2J tea\\r\\nPay 1 sat" in person.shown


def test_an_outcome_nobody_knows_says_what_to_do_next(wallet: Wallet, asked: str) -> None:
    wallet("fault", "stuck")

    ran = wallet("pay", asked, "--yes", "--timeout", "0.1")
    shown, rows = wallet("status"), json.loads(wallet("history", "--json").out)

    assert (ran.status, ran.out) == (ExitCode.PAYMENT_UNKNOWN, "")
    assert "not known yet: the payment may still arrive" in ran.err
    assert "do not pay for the same thing with another invoice" in ran.err
    assert "wallet status` shows it until then" in ran.err
    assert "\npending   outgoing 100 sat, " in shown.out
    assert rows[0]["state"] == "pending"

    wallet("fault", "clear")
    again = wallet("pay", asked, "--yes")
    assert (again.status, again.err) == (0, "")


def test_a_payment_without_its_preimage_is_not_believed(
    wallet: Wallet, buyer: str, elsewhere: Elsewhere, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLON_WALLET_BACKEND", "nwc")
    store_secret(find_home({}, asked=Path(buyer)), WalletSecret.NWC_URI, SECRET)
    hash_ = PaymentHash(json.loads(wallet("decode", asked, "--json").out)["payment_hash"])
    elsewhere.lies = PaymentSettled(hash_, Preimage("00" * 32), Msat(100_000), ZERO)

    ran = wallet("pay", asked, "--yes", "--json")

    assert (ran.status, json.loads(ran.out)["state"]) == (ExitCode.PAYMENT_UNKNOWN, "pending")


@pytest.mark.parametrize("fee", ["-1", "x", "1.2345"])
def test_a_fee_that_is_no_amount_is_one_line(wallet: Wallet, asked: str, fee: str) -> None:
    ran = wallet("pay", asked, "--yes", f"--max-fee={fee}")

    assert (ran.status, ran.out, ran.err.count("\n")) == (ExitCode.USAGE, "", 1)
    assert balance(wallet) == 10_000_000


def test_a_passphrase_is_asked_for_once(
    pylon: Pylon, machine: Path, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = str(machine / "guarded")
    monkeypatch.setenv("PYLON_PASSPHRASE", "open")
    pylon("--home", home, "init")
    pylon("--home", home, "wallet", "fund")
    monkeypatch.delenv("PYLON_PASSPHRASE")

    with terminal("--home", home, "wallet", "pay", asked, "--yes") as person:
        person.expect("Passphrase:")
        person.type("open")
        assert person.end() == ExitCode.OK

    assert person.shown.count("Passphrase:") == 1
