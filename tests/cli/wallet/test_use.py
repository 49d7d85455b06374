"""Choosing a wallet: tried before it is kept, its secret nowhere but in its file."""

import io
import json
import os
import stat
from pathlib import Path

import pytest
import trio

from pylon.adapters.home import find_home
from pylon.app.store import open_store
from pylon.cli.exit_codes import ExitCode
from pylon.model import order as orders
from pylon.model.money import Network
from pylon.model.order import Order, OrderState
from pylon.ports.records import Change
from tests.adapters.stores import samples
from tests.cli.conftest import Pylon, Ran
from tests.cli.terminal import terminal
from tests.cli.wallet.elsewhere import SECRET, Elsewhere


@pytest.fixture
def given(machine: Path) -> Path:
    """The connection string in a file of its owner's."""
    path = machine / "connection.txt"
    path.write_text(f"{SECRET}\n")
    path.chmod(0o600)
    return path


def use(pylon: Pylon, home: str, *tokens: str) -> Ran:
    return pylon("--home", home, "wallet", "use", *tokens)


def backend(pylon: Pylon, home: str) -> str:
    return str(
        json.loads(pylon("--home", home, "config", "show", "--json").out)["wallet"]["backend"]
    )


def files(home: str) -> dict[str, bytes]:
    root = Path(home)
    kept = (path for path in root.rglob("*") if path.is_file() and "lock" not in path.name)
    return {str(path.relative_to(root)): path.read_bytes() for path in kept}


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.mark.usefixtures("elsewhere")
def test_a_wallet_is_tried_kept_and_used_from_then_on(
    pylon: Pylon, buyer: str, given: Path
) -> None:
    ran = use(pylon, buyer, "nwc", "--secret-file", str(given), "--json")

    told = json.loads(ran.out)
    assert (ran.status, told["backend"], told["answered"]) == (0, "nwc", True)
    assert (told["network"], told["balance_msat"]) == ("regtest", 10_000_000)
    assert told["selling_modes"] == ["free", "prepay"]
    assert backend(pylon, buyer) == "nwc"
    assert json.loads(pylon("--home", buyer, "wallet", "status", "--json").out)["backend"] == "nwc"


@pytest.mark.usefixtures("elsewhere")
def test_a_secret_is_in_its_file_for_its_owner_and_nowhere_else(
    pylon: Pylon, buyer: str, given: Path
) -> None:
    ran = use(pylon, buyer, "nwc", "--secret-file", str(given))
    shown = pylon("--home", buyer, "config", "show")

    kept = Path(buyer, "secrets", "nwc.uri")
    assert kept.read_text() == f"{SECRET}\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert [name for name, data in files(buyer).items() if b"cdcdcd" in data] == ["secrets/nwc.uri"]
    assert "cdcdcd" not in ran.out + ran.err + shown.out


@pytest.mark.usefixtures("elsewhere")
def test_a_secret_comes_from_stdin_too(
    pylon: Pylon, buyer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, f"{SECRET}\nand more\n")
    assert use(pylon, buyer, "nwc").status == ExitCode.OK
    type_in(monkeypatch, f"  {SECRET}")
    assert use(pylon, buyer, "nwc", "--secret-file", "-").status == ExitCode.OK
    assert Path(buyer, "secrets", "nwc.uri").read_text() == f"{SECRET}\n"


@pytest.mark.usefixtures("elsewhere")
def test_a_secret_that_is_kept_need_not_be_given_again(
    pylon: Pylon, buyer: str, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(pylon, buyer, "nwc", "--secret-file", str(given))
    assert use(pylon, buyer, "ledger").status == ExitCode.OK
    assert backend(pylon, buyer) == "ledger"

    type_in(monkeypatch, "")
    assert use(pylon, buyer, "nwc").status == ExitCode.OK
    assert backend(pylon, buyer) == "nwc"


def test_a_person_types_a_secret_that_is_not_shown(buyer: str) -> None:
    with terminal("--home", buyer, "wallet", "use", "nwc") as person:
        person.expect("The connection string of the wallet (not shown):")
        person.type("nostr+walletconnect://hunter2")
        assert person.end() == ExitCode.USAGE

    assert "hunter2" not in person.shown
    assert not Path(buyer, "secrets").exists()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    "secret",
    [b"", b" \n", b"two\nlines", b"\x1b[2J", "ключ".encode(), b"\xff\xfe", b"x" * 5000, b"a\0b"],
)
def test_what_is_no_secret_is_one_line_and_changes_nothing(
    pylon: Pylon, buyer: str, given: Path, secret: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    given.write_bytes(secret)
    before = files(buyer)

    ran = use(pylon, buyer, "nwc", "--secret-file", str(given))

    assert (ran.status, ran.out, ran.err.count("\n")) == (ExitCode.USAGE, "", 1)
    assert "the connection string of the wallet" in ran.err
    assert files(buyer) == before


@pytest.mark.usefixtures("elsewhere")
def test_a_secret_of_another_shape_is_refused_by_the_wallet(
    pylon: Pylon, buyer: str, given: Path
) -> None:
    given.write_text("something else")
    before = files(buyer)

    ran = use(pylon, buyer, "nwc", "--secret-file", str(given))

    assert ran.status == ExitCode.USAGE
    assert ran.err == ("pylon: not a connection string of this wallet; nothing was changed\n")
    assert files(buyer) == before


@pytest.mark.usefixtures("elsewhere")
def test_a_secret_that_others_may_read_is_refused(pylon: Pylon, buyer: str, given: Path) -> None:
    given.chmod(0o640)
    refused = use(pylon, buyer, "nwc", "--secret-file", str(given))
    given.chmod(0o600)
    use(pylon, buyer, "nwc", "--secret-file", str(given))
    kept = Path(buyer, "secrets", "nwc.uri")
    kept.chmod(0o604)
    ran = pylon("--home", buyer, "wallet", "balance")

    assert refused.err == f"pylon: {given} may be read by others: run: chmod 600 {given}\n"
    assert ran.err == f"pylon: {kept} may be read by others: run: chmod 600 {kept}\n"
    assert refused.status == ran.status == ExitCode.USAGE


def test_a_secret_file_that_is_not_there_is_one_line(pylon: Pylon, buyer: str) -> None:
    ran = use(pylon, buyer, "nwc", "--secret-file", "/nowhere/at.all")

    assert (ran.status, ran.err) == (
        ExitCode.USAGE,
        "pylon: /nowhere/at.all cannot be read: No such file or directory\n",
    )


def test_a_wallet_that_is_away_is_kept_only_by_force(
    pylon: Pylon, buyer: str, given: Path, elsewhere: Elsewhere
) -> None:
    elsewhere.away = True
    before = files(buyer)

    refused = use(pylon, buyer, "nwc", "--secret-file", str(given))
    assert (refused.status, files(buyer)) == (ExitCode.FAILURE, before)
    assert refused.err == (
        "pylon: the wallet is away; nothing was changed (--force changes it even so)\n"
    )
    forced = use(pylon, buyer, "nwc", "--secret-file", str(given), "--force", "--json")
    assert json.loads(forced.out)["answered"] is False
    assert (forced.status, backend(pylon, buyer)) == (0, "nwc")


def test_a_wallet_on_another_network_is_refused(
    pylon: Pylon, buyer: str, given: Path, elsewhere: Elsewhere
) -> None:
    elsewhere.network = Network.MAINNET
    before = files(buyer)

    ran = use(pylon, buyer, "nwc", "--secret-file", str(given), "--force")

    assert ran.status == ExitCode.USAGE
    assert "that wallet is on mainnet, and this node on regtest; nothing was changed" in ran.err
    assert files(buyer) == before


def test_a_warning_of_the_wallet_is_passed_on(
    pylon: Pylon, buyer: str, given: Path, elsewhere: Elsewhere
) -> None:
    elsewhere.warning = "this macaroon can do everything"

    assert "Mind: this macaroon" in use(pylon, buyer, "nwc", "--secret-file", str(given)).err
    status = pylon("--home", buyer, "wallet", "status")
    assert status.out.startswith("this macaroon can do everything\nwallet")


@pytest.mark.parametrize("program", ["node", "wallet service"])
def test_what_is_running_keeps_its_wallet(pylon: Pylon, buyer: str, program: str) -> None:
    with find_home(os.environ, asked=Path(buyer)).lock(program):
        refused = use(pylon, buyer, "ledger")
        forced = use(pylon, buyer, "ledger", "--force")

    assert refused.status == ExitCode.USAGE
    assert "in use by another pylon" in refused.err
    assert "stop it first; --force changes the wallet of its next start" in refused.err
    assert forced.status == ExitCode.OK


@pytest.mark.usefixtures("elsewhere")
def test_open_jobs_keep_the_wallet_their_money_is_in(pylon: Pylon, buyer: str, given: Path) -> None:
    async def begin_an_order() -> None:
        async with open_store(Path(buyer, "pylon.db")) as store:
            order = samples.order(1)
            change: Change[Order, OrderState] = Change(
                order.id, orders.Draft(), samples.NOW, facts=order
            )
            await store.orders.save([change])

    trio.run(begin_an_order)
    refused = use(pylon, buyer, "nwc", "--secret-file", str(given))
    assert refused.status == ExitCode.USAGE
    assert refused.err == (
        "pylon: not ended yet, and in need of the wallet ledger: 1 order; "
        "wait for them, or give --force\n"
    )
    assert backend(pylon, buyer) == "ledger"

    assert use(pylon, buyer, "nwc", "--secret-file", str(given), "--force").status == ExitCode.OK
    assert backend(pylon, buyer) == "nwc"


@pytest.mark.usefixtures("elsewhere")
def test_a_payment_nobody_knows_the_outcome_of_keeps_its_wallet(
    pylon: Pylon, buyer: str, seller: str, given: Path
) -> None:
    made = json.loads(pylon("--home", seller, "wallet", "invoice", "100", "--json").out)
    pylon("--home", buyer, "wallet", "fault", "stuck")
    pylon("--home", buyer, "wallet", "pay", made["bolt11"], "--yes", "--timeout", "0.1")

    refused = use(pylon, buyer, "nwc", "--secret-file", str(given))
    pylon("--home", buyer, "wallet", "fault", "clear")
    arrived = use(pylon, buyer, "nwc", "--secret-file", str(given))

    assert (refused.status, arrived.status) == (ExitCode.USAGE, ExitCode.OK)
    assert "in need of the wallet ledger: 1 payment;" in refused.err


@pytest.mark.usefixtures("elsewhere")
def test_what_an_operator_wrote_in_the_configuration_stays(
    pylon: Pylon, buyer: str, given: Path
) -> None:
    file = Path(buyer, "config.toml")
    file.write_text('# mine\n[wallet]\n# the backend\nbackend = "ledger"\n\n[node]\nname = "n"\n')

    use(pylon, buyer, "nwc", "--secret-file", str(given))

    assert file.read_text() == (
        '# mine\n[wallet]\n# the backend\nbackend = "nwc"\n\n[node]\nname = "n"\n'
    )


@pytest.mark.usefixtures("elsewhere")
def test_a_variable_that_overrides_the_choice_is_told(
    pylon: Pylon, buyer: str, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLON_WALLET_BACKEND", "ledger")

    ran = use(pylon, buyer, "nwc", "--secret-file", str(given))

    assert "Mind: the environment overrides wallet.backend = nwc" in ran.err


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (("lnd",), "lnd needs a macaroon"),
        (("lnd", "--url", "http://10.0.0.1", "--macaroon", "m"), "wallet.lnd_url: must be https"),
        (("electrum", "--url", "http://u:p@127.0.0.1"), "must not have a password in it"),
        (("electrum", "--url", "ftp://a"), "must start with http:// or https://"),
    ],
)
def test_options_that_cannot_work_are_one_line(
    pylon: Pylon, buyer: str, tokens: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "user:pass\n")
    before = files(buyer)

    ran = use(pylon, buyer, *tokens)

    assert (ran.status, ran.err.count("\n")) == (ExitCode.USAGE, 1)
    assert said in ran.err
    assert "pass\n" not in ran.err
    assert files(buyer) == before


def test_electrum_wants_a_user_and_a_password(
    pylon: Pylon, buyer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "hunter2\n")

    ran = use(pylon, buyer, "electrum")

    assert (ran.status, ran.err) == (ExitCode.USAGE, "pylon: the secret is not user:password\n")


def test_real_money_needs_a_word_of_its_own(
    pylon: Pylon, machine: Path, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLON_PASSPHRASE", "p")
    made = pylon("init", "--network", "mainnet")

    assert "next, a wallet for mainnet: pylon wallet use --help\n" in made.err
    ran = pylon("wallet", "use", "nwc", "--secret-file", str(given))

    assert ran.status == ExitCode.USAGE
    assert "write mainnet = true under [wallet]" in ran.err


def test_a_missing_secret_says_how_to_give_it(
    pylon: Pylon, buyer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLON_WALLET_BACKEND", "nwc")

    ran = pylon("--home", buyer, "wallet", "balance")

    assert ran.status == ExitCode.USAGE
    assert f"is missing: pylon --home {buyer} wallet use nwc" in ran.err


@pytest.mark.parametrize("kept", [b"two\nlines\n", b"", "ключ".encode()])
def test_a_kept_secret_that_was_damaged_is_refused(
    pylon: Pylon, buyer: str, given: Path, kept: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLON_WALLET_BACKEND", "nwc")
    path = Path(buyer, "secrets", "nwc.uri")
    path.parent.mkdir(mode=0o700)
    given.rename(path)
    path.write_bytes(kept)

    ran = pylon("--home", buyer, "wallet", "balance")

    assert ran.err == f"pylon: {path} must hold one line of text, and no more\n"


def test_a_kept_secret_that_cannot_be_read_is_one_line(
    pylon: Pylon, buyer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLON_WALLET_BACKEND", "nwc")
    path = Path(buyer, "secrets", "nwc.uri")
    path.mkdir(mode=0o700, parents=True)

    ran = pylon("--home", buyer, "wallet", "balance")

    assert ran.err == f"pylon: {path} cannot be read: Is a directory\n"
