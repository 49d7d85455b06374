"""The words come back with the right passphrase, and otherwise one clear line does."""

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pylon.adapters import identity_file
from pylon.adapters.home import Home, write_private
from pylon.errors import Misconfigured

WORDS = "leader monkey parrot ring guide accident before fence cannon height naive bean"
NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)

save = partial(identity_file.save, scrypt_n=1024)  # as the real cost, only quicker
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, tmp_path, tmp_path)


def refusal(home: Home, passphrase: str | None) -> str:
    with pytest.raises(Misconfigured) as refused:
        identity_file.load(home, passphrase=passphrase)
    said = str(refused.value)
    assert "\n" not in said
    assert "monkey" not in said
    return said


@in_one_folder
@given(words=st.text(st.characters(exclude_categories=["Cs"])), passphrase=st.text(min_size=1))
def test_what_is_sealed_under_a_passphrase_comes_back(
    home: Home, words: str, passphrase: str
) -> None:
    save(home, words, passphrase=passphrase)

    assert identity_file.needs_passphrase(home)
    assert identity_file.load(home, passphrase=passphrase) == words


def test_what_is_sealed_under_a_key_file_comes_back_without_a_passphrase(home: Home) -> None:
    save(home, WORDS, passphrase=None)

    assert not identity_file.needs_passphrase(home)
    assert identity_file.load(home, passphrase=None) == WORDS
    assert home.identity_key.stat().st_mode & 0o777 == 0o600


def test_the_real_cost_is_two_to_the_sixteen(home: Home) -> None:
    identity_file.save(home, WORDS, passphrase="p")

    assert json.loads(home.identity_file.read_bytes())["scrypt_n"] == 65_536
    assert identity_file.load(home, passphrase="p") == WORDS


def test_the_words_are_not_in_the_file(home: Home) -> None:
    save(home, WORDS, passphrase="p")

    assert b"monkey" not in home.identity_file.read_bytes()
    assert home.identity_file.stat().st_mode & 0o777 == 0o600


def test_the_same_words_never_make_the_same_file(home: Home) -> None:
    save(home, WORDS, passphrase="p")
    first = json.loads(home.identity_file.read_bytes())
    save(home, WORDS, passphrase="p")
    second = json.loads(home.identity_file.read_bytes())

    assert all(first[name] != second[name] for name in ("salt", "nonce", "sealed"))


def test_an_accent_is_the_same_however_it_was_typed(home: Home) -> None:
    save(home, WORDS, passphrase="caf\u00e9")

    assert identity_file.load(home, passphrase="cafe\u0301") == WORDS


def test_a_wrong_passphrase_is_one_line(home: Home) -> None:
    save(home, WORDS, passphrase="right")

    assert refusal(home, "wrong") == (
        f"the passphrase does not open {home.identity_file}, or the file was altered"
    )
    assert refusal(home, None) == f"{home.identity_file} needs its passphrase"


def test_a_foreign_or_missing_key_file_is_one_line(home: Home) -> None:
    save(home, WORDS, passphrase=None)
    write_private(home.identity_key, b"00" * 32)
    foreign = refusal(home, None)
    write_private(home.identity_key, b"no hex")
    damaged = refusal(home, None)
    home.identity_key.unlink()
    missing = refusal(home, None)

    assert foreign.startswith("identity.key does not open")
    assert "is damaged or cut short" in damaged
    assert missing.startswith(f"{home.identity_key}, the key to the identity, is missing: ")


def test_no_identity_says_what_to_run(home: Home) -> None:
    assert refusal(home, None) == f"no identity in {home.root}: run `pylon init`"


def test_a_newer_file_is_left_to_a_newer_program(home: Home) -> None:
    write_private(home.identity_file, b'{"version": 2, "lock": {"new": "shape"}}')

    assert refusal(home, None) == (
        f"{home.identity_file} was written by a newer pylon (version 2): upgrade this one"
    )


def test_a_file_open_to_others_is_refused(home: Home) -> None:
    save(home, WORDS, passphrase="p")
    home.identity_file.chmod(0o644)

    assert f"chmod 600 {home.identity_file}" in refusal(home, "p")


@in_one_folder
@given(st.data())
def test_no_shortened_file_is_opened(home: Home, data: st.DataObject) -> None:
    save(home, WORDS, passphrase="p")
    whole = home.identity_file.read_bytes().rstrip()

    write_private(home.identity_file, whole[: data.draw(st.integers(0, len(whole) - 1))])

    assert "is damaged or cut short" in refusal(home, "p")


@in_one_folder
@given(st.data())
def test_no_altered_file_is_opened(home: Home, data: st.DataObject) -> None:
    save(home, WORDS, passphrase="p")
    fields = json.loads(home.identity_file.read_bytes())
    name = data.draw(st.sampled_from(sorted(fields)))
    fields[name] = data.draw(
        st.one_of(st.integers(), st.text(), st.sampled_from(["keyfile", "00" * 16, 2048])).filter(
            lambda value: value != fields[name]
        )
    )

    write_private(home.identity_file, json.dumps(fields).encode())

    assert refusal(home, "p")


@in_one_folder
@given(st.binary())
def test_any_bytes_are_refused_in_one_line(home: Home, raw: bytes) -> None:
    write_private(home.identity_file, raw)

    assert refusal(home, "p")


def test_a_header_that_asks_for_all_memory_is_refused(home: Home) -> None:
    save(home, WORDS, passphrase="p")
    fields = json.loads(home.identity_file.read_bytes()) | {"scrypt_n": 2**40}
    write_private(home.identity_file, json.dumps(fields).encode())

    assert "is damaged or cut short" in refusal(home, "p")


def test_what_is_set_aside_is_kept_and_still_opens(home: Home, tmp_path: Path) -> None:
    save(home, WORDS, passphrase=None)

    kept = identity_file.set_aside(home, NOW)
    save(home, "other words", passphrase=None)

    assert [path.name for path in kept] == [
        "identity.enc.2026-01-02T03-04-05.000678.bak",
        "identity.key.2026-01-02T03-04-05.000678.bak",
    ]
    old = tmp_path / "old"
    old.mkdir()
    kept[0].rename(old / "identity.enc")
    kept[1].rename(old / "identity.key")
    assert identity_file.load(Home(old, old, old), passphrase=None) == WORDS
    assert identity_file.load(home, passphrase=None) == "other words"


def test_what_is_put_back_opens_as_before(home: Home) -> None:
    save(home, WORDS, passphrase=None)
    kept = identity_file.set_aside(home, NOW)
    save(home, "other words", passphrase=None)

    identity_file.put_back(home, kept)

    assert identity_file.load(home, passphrase=None) == WORDS
    assert sorted(path.name for path in home.root.iterdir()) == ["identity.enc", "identity.key"]


def test_nothing_to_set_aside_is_nothing_done(home: Home) -> None:
    assert identity_file.set_aside(home, NOW) == []
    assert not identity_file.exists(home)
