"""Two homes on one machine pay each other from the command line."""

import json
from pathlib import Path

import pytest

from pylon.cli.exit_codes import ExitCode
from tests.cli.conftest import Pylon, Ran
from tests.cli.terminal import terminal


@pytest.fixture
def homes(pylon: Pylon, machine: Path) -> tuple[str, str]:
    """The homes of a buyer with 10,000 sat and a seller with none."""
    buyer, seller = str(machine / "buyer"), str(machine / "seller")
    for home in (buyer, seller):
        assert pylon("--home", home, "init").status == ExitCode.OK
    assert pylon("--home", buyer, "wallet", "fund").status == ExitCode.OK
    return buyer, seller


def wallet(pylon: Pylon, home: str, *tokens: str) -> Ran:
    return pylon("--home", home, "wallet", *tokens, "--json")


def balance(pylon: Pylon, home: str) -> int:
    value = json.loads(wallet(pylon, home, "balance").out)
    assert set(value) == {"balance_msat"}
    return int(value["balance_msat"])


def invoice(pylon: Pylon, home: str, sats: int) -> str:
    made = json.loads(wallet(pylon, home, "invoice", str(sats), "--memo", "tea").out)
    assert set(made) == {"bolt11", "payment_hash", "amount_msat", "expires_at"}
    return str(made["bolt11"])


def test_money_moves_once_and_the_books_balance(pylon: Pylon, homes: tuple[str, str]) -> None:
    buyer, seller = homes
    asked = invoice(pylon, seller, 100)

    first = wallet(pylon, buyer, "pay", asked, "--yes")
    second = wallet(pylon, buyer, "pay", asked, "--yes")

    paid = json.loads(first.out)
    assert (first.status, paid["state"], paid["amount_msat"]) == (0, "settled", 100_000)
    assert second.out == first.out
    assert balance(pylon, seller) == 100_000
    assert balance(pylon, buyer) == 10_000_000 - 100_000 - paid["fee_msat"]
    assert wallet(pylon, buyer, "audit").status == ExitCode.OK


def test_the_faucet_adds_up_and_has_an_end(pylon: Pylon, homes: tuple[str, str]) -> None:
    _, seller = homes

    assert pylon("--home", seller, "wallet", "fund", "7").out == "7 sat\n"
    assert pylon("--home", seller, "wallet", "fund", "5").out == "12 sat\n"
    greedy = pylon("--home", seller, "wallet", "fund", "1000000000")
    assert greedy.status == ExitCode.USAGE
    assert "the faucet has only" in greedy.err


def test_a_payment_nobody_is_there_to_confirm_needs_a_yes(
    pylon: Pylon, homes: tuple[str, str]
) -> None:
    buyer, seller = homes
    asked = invoice(pylon, seller, 100)

    ran = wallet(pylon, buyer, "pay", asked)

    assert ran.status == ExitCode.USAGE
    assert "--yes" in ran.err
    assert balance(pylon, seller) == 0


@pytest.mark.parametrize(("answer", "status", "received"), [("y", 0, 100_000), ("n", 2, 0)])
def test_a_person_is_shown_the_price_and_asked(
    pylon: Pylon, homes: tuple[str, str], answer: str, status: int, received: int
) -> None:
    buyer, seller = homes
    asked = invoice(pylon, seller, 100)

    with terminal("--home", buyer, "wallet", "pay", asked) as person:
        person.expect("Pay 100 sat for 'tea' to 0")
        person.type(answer)
        assert person.end() == status

    assert balance(pylon, seller) == received


def test_too_little_money_has_its_own_status(
    pylon: Pylon, homes: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLON_PER_DAY_SATS", "0")  # no cap
    buyer, seller = homes
    asked = invoice(pylon, seller, 20_000)

    shown = pylon("--home", buyer, "wallet", "pay", asked, "--yes")
    ran = wallet(pylon, buyer, "pay", asked, "--yes")

    assert shown.status == ran.status == ExitCode.FUNDS
    assert shown.err.endswith("\npylon: not paid: insufficient funds\n")
    assert json.loads(ran.out)["state"] == "failed"


def test_a_fee_above_the_limit_is_not_paid(pylon: Pylon, homes: tuple[str, str]) -> None:
    buyer, seller = homes
    asked = invoice(pylon, seller, 100)

    ran = wallet(pylon, buyer, "pay", asked, "--yes", "--max-fee-sats", "0")

    assert (ran.status, json.loads(ran.out)["state"]) == (ExitCode.FAILURE, "failed")
    assert balance(pylon, buyer) == 10_000_000


def test_a_payment_on_its_way_is_unknown_until_it_arrives(
    pylon: Pylon, homes: tuple[str, str]
) -> None:
    buyer, seller = homes
    asked = invoice(pylon, seller, 100)
    pylon("--home", buyer, "wallet", "fault", "stuck")

    stuck = wallet(pylon, buyer, "pay", asked, "--yes", "--timeout", "0.2")
    pylon("--home", buyer, "wallet", "fault", "clear")
    arrived = wallet(pylon, buyer, "pay", asked, "--yes")

    assert (stuck.status, json.loads(stuck.out)["state"]) == (ExitCode.PAYMENT_UNKNOWN, "pending")
    assert (arrived.status, json.loads(arrived.out)["state"]) == (0, "settled")
    assert balance(pylon, seller) == 100_000


def test_a_lost_answer_is_looked_up_and_not_paid_again(
    pylon: Pylon, homes: tuple[str, str]
) -> None:
    buyer, seller = homes
    asked = invoice(pylon, seller, 100)
    pylon("--home", buyer, "wallet", "fault", "lose-payment", "--times", "1")

    ran = wallet(pylon, buyer, "pay", asked, "--yes")

    assert (ran.status, json.loads(ran.out)["state"]) == (0, "settled")
    assert balance(pylon, seller) == 100_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lnbc1xx", "this is no invoice"),
        ("\x1b[2J", "this is no invoice"),
    ],
)
def test_what_is_no_invoice_is_not_paid(
    pylon: Pylon, homes: tuple[str, str], text: str, said: str
) -> None:
    ran = wallet(pylon, homes[0], "pay", text, "--yes")

    assert ran.status == ExitCode.USAGE
    assert said in ran.err
    assert "\x1b" not in ran.err


def test_history_is_newest_first_with_a_stable_shape(pylon: Pylon, homes: tuple[str, str]) -> None:
    buyer, seller = homes
    wallet(pylon, buyer, "pay", invoice(pylon, seller, 100), "--yes")

    rows = json.loads(wallet(pylon, buyer, "history").out)
    shown = pylon("--home", buyer, "wallet", "history", "--limit", "1").out.splitlines()

    assert [row["direction"] for row in rows] == ["outgoing", "funding"]
    assert all(
        set(row)
        == {
            *("at", "direction", "state", "amount_msat", "fee_msat"),
            *("payment_hash", "description", "bolt11", "preimage", "expires_at", "settled_at"),
        }
        for row in rows
    )
    assert shown[0] == "WHEN\tWAY\tSTATE\tAMOUNT\tFEE\tWHAT"
    assert shown[1].split("\t")[1:4] == ["outgoing", "settled", "100 sat"]
    assert len(shown) == 2


def test_status_says_that_this_is_play_money(pylon: Pylon, homes: tuple[str, str]) -> None:
    buyer, _ = homes

    shown = pylon("--home", buyer, "wallet", "status").out
    value = json.loads(wallet(pylon, buyer, "status").out)

    assert shown.startswith("embedded regtest ledger: not Lightning, no value\n")
    assert set(value) == {
        *("backend", "warning", "network", "node_key", "balance_msat", "capabilities"),
        *("selling_modes", "pending", "set_aside", "path"),
    }


def test_another_network_has_no_play_money(
    pylon: Pylon, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLON_PASSPHRASE", "p")
    pylon("init", "--network", "signet")

    ran = pylon("wallet", "fund")

    assert ran.status == ExitCode.USAGE
    assert "this node is on signet" in ran.err
    assert not (machine / ".local/share/pylon/regtest-ledger.db").exists()


def test_the_ledger_lies_where_the_environment_says(
    pylon: Pylon, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLON_LEDGER", "~/money/here.db")
    pylon("init")

    assert pylon("wallet", "fund").status == ExitCode.OK
    assert (machine / "money" / "here.db").stat().st_mode & 0o777 == 0o600
