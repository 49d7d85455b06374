"""`pylon init` makes an identity that `pylon whoami` shows, and never loses one."""

import io
import json
import re
import tomllib
from pathlib import Path

import pytest

from pylon.cli.exit_codes import ExitCode
from tests.cli.conftest import Pylon
from tests.cli.terminal import terminal

# NIP-06's first test vector.
WORDS = "leader monkey parrot ring guide accident before fence cannon height naive bean"
NPUB = "npub1zutzeysacnf9rru6zqwmxd54mud0k44tst6l70ja5mhv8jjumytsd2x7nu"


def typed(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.fixture(autouse=True)
def _nobody_at_the_keyboard(monkeypatch: pytest.MonkeyPatch) -> None:
    typed("", monkeypatch)


def numbered_words_in(shown: str) -> str:
    found = dict(re.findall(r"(\d+) ([a-z]+)", shown))
    return " ".join(found[str(number)] for number in range(1, len(found) + 1))


def words_in(shown: str) -> str:
    (line,) = [line for line in shown.splitlines() if line.startswith("    ")]
    return line.strip()


def test_a_new_identity_is_made_for_play_money(pylon: Pylon, machine: Path) -> None:
    made = pylon("init", "--json")
    shown = pylon("whoami", "--json")

    home = machine / ".pylon"
    value = json.loads(made.out)
    assert set(value) == {
        *("home", "npub", "pubkey", "node_key", "network", "encrypted_with", "backups"),
    }
    assert value["home"] == str(home)
    assert (value["network"], value["encrypted_with"], value["backups"]) == (
        "regtest",
        "keyfile",
        [],
    )
    assert json.loads(shown.out) == {
        name: value[name] for name in ("npub", "pubkey", "node_key", "network")
    }
    assert "For play money only." in made.err
    assert len(words_in(made.err).split()) == 12
    assert tomllib.loads((home / "config.toml").read_text())["node"] == {}
    assert {path.stat().st_mode & 0o077 for path in home.rglob("*")} == {0}


def test_the_words_shown_are_the_identity(
    pylon: Pylon, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pylon("init", "--words", "24", "--json")
    words = words_in(made.err)
    typed(words, monkeypatch)
    again = pylon("--home", str(machine / "b"), "init", "--import", "--json")

    assert len(words.split()) == 24
    assert words not in again.err
    assert json.loads(again.out)["npub"] == json.loads(made.out)["npub"]


def test_imported_words_give_the_published_key(
    pylon: Pylon, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(f"  {WORDS.upper()}  \n", monkeypatch)

    assert NPUB in pylon("init", "--import").out
    assert pylon("wallet", "whoami").out == pylon("whoami").out
    assert f"npub      {NPUB}\n" in pylon("whoami").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (WORDS.replace("parrot", "parott"), "word 3, 'parott', is not in the English list"),
        (WORDS.replace("parrot", "monkey"), "the checksum of the mnemonic is wrong"),
        ("leader monkey", "not 2"),
        ("", "the input had ended"),
    ],
)
def test_wrong_words_are_refused_and_nothing_is_written(
    pylon: Pylon, machine: Path, words: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(words, monkeypatch)

    ran = pylon("init", "--import")

    assert ran.status == ExitCode.USAGE
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert not (machine / ".pylon" / "identity.enc").exists()


def test_an_identity_is_not_replaced_unasked(pylon: Pylon) -> None:
    made = pylon("init")
    again = pylon("init")

    assert again.status == ExitCode.USAGE
    assert "--force replaces it" in again.err
    assert pylon("whoami").out.split()[1] in made.out


def test_a_replaced_identity_is_kept_and_can_come_back(pylon: Pylon, machine: Path) -> None:
    first = json.loads(pylon("init", "--json").out)
    second = json.loads(pylon("init", "--force", "--json").out)

    assert second["npub"] != first["npub"]
    for backup in map(Path, second["backups"]):
        backup.rename(machine / ".pylon" / ".".join(backup.name.split(".")[:2]))
    assert json.loads(pylon("whoami", "--json").out)["npub"] == first["npub"]


@pytest.mark.parametrize("network", ["signet", "testnet", "mainnet"])
def test_other_networks_want_a_passphrase(pylon: Pylon, machine: Path, network: str) -> None:
    ran = pylon("init", "--network", network)

    assert ran.status == ExitCode.USAGE
    assert f"on {network} the identity needs a passphrase" in ran.err
    assert not (machine / ".pylon" / "identity.enc").exists()


def test_a_passphrase_from_a_file_opens_what_it_closed(pylon: Pylon, machine: Path) -> None:
    secret, wrong = machine / "secret", machine / "wrong"
    for path in (secret, wrong):
        path.write_text(f"{path.name} words\n")
        path.chmod(0o600)

    made = pylon("init", "--network", "signet", "--passphrase-file", str(secret), "--json")

    assert json.loads(made.out)["encrypted_with"] == "passphrase"
    opened = pylon("whoami", "--passphrase-file", str(secret), "--json")
    assert json.loads(opened.out)["network"] == "signet"
    assert "needs its passphrase" in pylon("whoami").err
    assert "does not open" in pylon("whoami", "--passphrase-file", str(wrong)).err


def test_a_passphrase_file_must_be_private_and_full(pylon: Pylon, machine: Path) -> None:
    path = machine / "secret"
    path.write_text("\n")
    path.chmod(0o600)
    empty = pylon("init", "--passphrase-file", str(path))
    path.chmod(0o644)
    public = pylon("init", "--passphrase-file", str(path))
    missing = pylon("init", "--passphrase-file", str(machine / "none"))

    assert "is empty" in empty.err
    assert "chmod 600" in public.err
    assert "cannot be read" in missing.err
    assert {ran.status for ran in (empty, public, missing)} == {ExitCode.USAGE}


def test_published_words_hold_no_real_money(
    pylon: Pylon, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLON_PASSPHRASE", "p")
    typed(WORDS, monkeypatch)
    refused = pylon("init", "--import", "--network", "mainnet")
    typed(WORDS, monkeypatch)
    played = pylon("init", "--import")
    monkeypatch.setenv("PYLON_NETWORK", "mainnet")
    moved = pylon("whoami")

    assert refused.status == moved.status == ExitCode.USAGE
    assert "published" in refused.err
    assert "published" in moved.err
    assert played.status == ExitCode.OK


def test_a_configuration_that_is_there_is_kept(pylon: Pylon, machine: Path) -> None:
    home = machine / ".pylon"
    home.mkdir(mode=0o700)
    mine = '# mine\n[node]\nname = "me"\n'
    (home / "config.toml").write_text(mine)

    other = pylon("init", "--network", "signet")
    made = pylon("init", "--network", "regtest")

    assert 'write network = "signet" there' in other.err
    assert made.status == ExitCode.OK
    assert (home / "config.toml").read_text() == mine


def test_the_network_asked_for_is_written_down_and_the_environment_is_not(
    pylon: Pylon, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLON_PASSPHRASE", "p")
    monkeypatch.setenv("PYLON_PORT", "7001")

    pylon("init", "--network", "signet")

    written = tomllib.loads((machine / ".pylon" / "config.toml").read_text())
    assert written["node"] == {"network": "signet"}
    assert written["relay"] == {}


def test_no_identity_says_what_to_run(pylon: Pylon) -> None:
    ran = pylon("whoami")

    assert ran.status == ExitCode.USAGE
    assert ran.err.endswith("run `pylon init`\n")


def test_a_person_writes_the_words_down_and_repeats_them(machine: Path) -> None:
    with terminal("init", environ={"NO_COLOR": "1"}) as person:
        person.expect("New passphrase (empty: none):")
        person.type("secret")
        person.expect("The same again:")
        person.type("secret")
        words = numbered_words_in(person.expect("Type them again:"))
        assert len(words.split()) == 12
        wrong = words.split()
        wrong[4] = "zoo" if wrong[4] != "zoo" else "able"
        person.type(" ".join(wrong))
        person.expect("look at word 5")
        person.expect("Type them again:")
        person.type(f"{words.upper()} ")
        status = person.end()

    assert status == ExitCode.OK
    assert "secret" not in person.shown
    assert "npub1" in person.shown
    with terminal("whoami") as later:
        later.expect("Passphrase:")
        later.type("secret")
        assert later.end() == ExitCode.OK


def test_words_that_are_not_repeated_are_no_identity(machine: Path) -> None:
    with terminal("init", environ={"PYLON_PASSPHRASE": "p"}) as person:
        for missing in ("", "abandon", "no idea"):
            person.expect("Type them again:")
            person.type(missing)
        status = person.end()

    assert status == ExitCode.USAGE
    assert "nothing was written" in person.shown
    assert not (machine / ".pylon" / "identity.enc").exists()


def test_two_passphrases_that_differ_are_no_passphrase(machine: Path) -> None:
    with terminal("init") as person:
        person.expect("New passphrase (empty: none):")
        person.type("secret")
        person.expect("The same again:")
        person.type("sceret")
        status = person.end()

    assert status == ExitCode.USAGE
    assert "the two passphrases differ" in person.shown
