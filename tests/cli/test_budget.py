"""`pylon budget` limits what this home spends, and stops it."""

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from pylon.app.store import open_store
from pylon.cli.exit_codes import ExitCode
from pylon.model.budget import Purpose
from pylon.model.money import Msat
from tests.adapters.stores.samples import NOW, job_id, payment_hash
from tests.cli.conftest import Pylon, Ran
from tests.cli.orders import NPUB, SELLER

CAPS = ("per_job", "per_provider", "per_hour", "per_day", "total")


@pytest.fixture
def seller(pylon: Pylon, machine: Path) -> str:
    """Make this home, with 500 sat, and another; return the other."""
    other = str(machine / "seller")
    for tokens in (("init",), ("wallet", "fund", "500"), ("--home", other, "init")):
        assert pylon(*tokens).status == ExitCode.OK
    return other


def pay(pylon: Pylon, seller: str, sats: int) -> Ran:
    made = json.loads(pylon("--home", seller, "wallet", "invoice", str(sats), "--json").out)
    return pylon("wallet", "pay", made["bolt11"], "--yes", "--json")


def shown(pylon: Pylon) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(pylon("budget", "show", "--json").out)
    return value


def test_every_cap_is_shown_with_what_is_spent_set_aside_and_left(
    pylon: Pylon, seller: str
) -> None:
    assert pay(pylon, seller, 10).status == ExitCode.OK
    value = shown(pylon)

    assert set(value) == {"paused_since", "caps"}
    assert value["paused_since"] is None
    caps = {cap.pop("cap"): cap for cap in value["caps"]}
    assert tuple(caps) == CAPS
    nothing = {"spent_msat": 0, "reserved_msat": 0, "of": None}
    spent = nothing | {"spent_msat": 10_101}
    assert caps == {
        "per_job": nothing | {"limit_msat": 1_000_000, "left_msat": 1_000_000},
        "per_provider": nothing | {"limit_msat": None, "left_msat": None},
        "per_hour": spent | {"limit_msat": None, "left_msat": None},
        "per_day": spent | {"limit_msat": 10_000_000, "left_msat": 9_989_899},
        "total": spent | {"limit_msat": None, "left_msat": None},
    }
    lines = [line.split("\t") for line in pylon("budget", "show").out.splitlines()]
    assert lines[0] == ["CAP", "LIMIT", "SPENT", "SET ASIDE", "LEFT", "OF"]
    assert lines[4] == ["per day", "10,000 sat", "10.101 sat", "0 sat", "9,989.899 sat", ""]


def test_the_job_and_the_provider_that_cost_most_are_named(pylon: Pylon, machine: Path) -> None:
    pylon("init")

    async def spend() -> None:
        async with open_store(machine / ".pylon" / "pylon.db") as store:
            purpose = Purpose(job_id(1), SELLER)
            amount, fee = Msat(12_000), Msat(5_000)
            await store.budget.reserve(
                payment_hash(1), purpose, amount=amount, fee=fee, limits={}, now=NOW
            )

    trio.run(spend)

    job, provider = shown(pylon)["caps"][:2]
    assert (job["of"], provider["of"]) == (job_id(1), SELLER)
    assert job["reserved_msat"] == provider["reserved_msat"] == 17_000
    lines = [line.split("\t") for line in pylon("budget", "show").out.splitlines()]
    assert lines[1] == ["per job", "1,000 sat", "0 sat", "17 sat", "983 sat", job_id(1)]
    assert lines[2] == ["per provider", "-", "0 sat", "17 sat", "-", NPUB]


def test_a_cap_that_is_set_holds_for_the_next_payment(pylon: Pylon, seller: str) -> None:
    ran = pylon("budget", "set", "--per-hour", "14", "--total", "0")
    assert ran.out == "per_hour_sats: 14 sat, was no cap\ntotal_sats: no cap, was no cap\n"

    over = pay(pylon, seller, 10)
    assert over.status == ExitCode.OVER_BUDGET
    assert over.err.endswith(
        "pylon: 15 sat with fees is over the limit of 14 sat for one hour, "
        "of which 0 sat are spent or set aside\n"
    )
    changed = json.loads(pylon("budget", "set", "--per-hour", "15", "--json").out)
    assert changed == {"per_hour_sats": {"old": 14, "new": 15}}
    assert pay(pylon, seller, 10).status == ExitCode.OK


def test_what_is_lowered_below_what_is_spent_leaves_nothing(pylon: Pylon, seller: str) -> None:
    assert pay(pylon, seller, 10).status == ExitCode.OK
    pylon("budget", "set", "--total", "5")

    assert shown(pylon)["caps"][-1]["left_msat"] == 0
    assert pay(pylon, seller, 1).status == ExitCode.OVER_BUDGET


def test_the_rest_of_config_toml_stays_as_it_is(pylon: Pylon, machine: Path) -> None:
    pylon("init")
    path = machine / ".pylon" / "config.toml"
    text = "# mine\n[budget]\nper_day_sats = 7 # a week's\n\n[node]\nname = 'me'\n"
    path.write_text(text)

    assert pylon("budget", "set", "--per-day", "9").status == ExitCode.OK
    assert path.read_text() == text.replace("per_day_sats = 7 # a week's", "per_day_sats = 9")


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ((), "name a cap to set"),
        (("--per-day", "-1"), "--per-day"),
        (("--per-day", "many"), "--per-day"),
        (("--per-day", "99999999999999999"), "per_day_sats: must be from 0 to"),
    ],
)
def test_a_cap_that_is_none_is_refused_and_nothing_changes(
    pylon: Pylon, tokens: tuple[str, ...], said: str
) -> None:
    pylon("init")
    before = shown(pylon)
    ran = pylon("budget", "set", *tokens)

    assert ran.status == ExitCode.USAGE
    assert said in ran.err
    assert shown(pylon) == before


def test_a_cap_that_the_environment_overrides_is_told(
    pylon: Pylon, monkeypatch: pytest.MonkeyPatch
) -> None:
    pylon("init")
    monkeypatch.setenv("PYLON_PER_DAY_SATS", "3")

    ran = pylon("budget", "set", "--per-day", "9")
    assert ran.err == "pylon: warning: the environment sets per_day_sats to 3\n"


def test_a_pause_stops_spending_until_it_is_lifted(pylon: Pylon, seller: str) -> None:
    paused = json.loads(pylon("budget", "pause", "--json").out)
    assert set(paused) == {"paused_since", "reserved_msat"}
    assert paused["reserved_msat"] == 0

    refused = pay(pylon, seller, 10)
    assert refused.status == ExitCode.OVER_BUDGET
    assert "paused" in refused.err
    assert shown(pylon)["paused_since"] == paused["paused_since"]
    assert pylon("budget", "show").out.startswith("spending is paused since ")

    assert json.loads(pylon("budget", "resume", "--json").out) == {"paused_since": None}
    assert shown(pylon)["paused_since"] is None
    assert pay(pylon, seller, 10).status == ExitCode.OK


def test_a_pause_tells_what_is_under_way_and_keeps_it(pylon: Pylon, seller: str) -> None:
    pylon("wallet", "fault", "stuck")
    made = json.loads(pylon("--home", seller, "wallet", "invoice", "10", "--json").out)
    again = ("wallet", "pay", made["bolt11"], "--yes", "--timeout", "0.2")
    assert pylon(*again).status == ExitCode.PAYMENT_UNKNOWN

    assert pylon("budget", "pause").out.startswith("15 sat are set aside for payments under way\n")
    assert pylon(*again).status == ExitCode.PAYMENT_UNKNOWN
    assert shown(pylon)["caps"][-1]["reserved_msat"] == 15_000

    pylon("wallet", "fault", "clear")
    assert pylon(*again).status == ExitCode.OK, "what arrived is told, pause or not"
    assert shown(pylon)["caps"][-1]["spent_msat"] == 10_101


def test_there_is_no_budget_without_a_home(pylon: Pylon) -> None:
    for verb in ("show", "pause", "resume"):
        ran = pylon("budget", verb)
        assert ran.status == ExitCode.USAGE
        assert "pylon init" in ran.err


def test_real_money_is_not_spent_without_a_cap(
    pylon: Pylon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLON_PASSPHRASE", "p")
    monkeypatch.setenv("PYLON_MAINNET", "true")
    monkeypatch.setenv("PYLON_PER_DAY_SATS", "0")
    pylon("init", "--network", "mainnet")

    ran = pylon("job", "submit", "2+2?", "--yes")
    assert ran.status == ExitCode.USAGE
    assert len(ran.err.splitlines()) == 1
    assert "no cap limits" in ran.err
    assert "pylon budget set" in ran.err
