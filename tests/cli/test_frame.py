"""Every way a command can end: one line where a person can mend it, a traceback where not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pylon import cli
from pylon.cli.exit_codes import ExitCode
from pylon.cli.output import ReaderGone
from pylon.errors import (
    BadInvoice,
    GenerationFailed,
    Misconfigured,
    PylonError,
    RelayLost,
    StoreBusy,
    WalletUnavailable,
)
from tests.cli.conftest import Pylon
from tests.cli.terminal import terminal


def ends_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(cli, "_dispatch", fail)
    return cli.run(["version"])


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Misconfigured("mend it"), ExitCode.USAGE),
        (RelayLost("ws://a", "gone"), ExitCode.NETWORK),
        (GenerationFailed("stalled"), ExitCode.PROVIDER_FAILURE),
        (StoreBusy("locked"), ExitCode.FAILURE),
        (WalletUnavailable("lost"), ExitCode.FAILURE),
        (BadInvoice("odd"), ExitCode.FAILURE),
    ],
)
def test_an_error_is_one_line_and_its_status(
    error: PylonError,
    status: ExitCode,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ends_with(error, monkeypatch) == status
    assert capsys.readouterr() == ("", f"pylon: {error}\n")


def test_an_error_in_a_group_is_still_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    group = BaseExceptionGroup("", [ExceptionGroup("", [Misconfigured("first")]), StoreBusy("b")])

    assert ends_with(group, monkeypatch) == ExitCode.USAGE
    assert capsys.readouterr().err == "pylon: first\n"


def test_a_message_from_outside_stays_one_harmless_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ends_with(RelayLost("ws://a", "\x1b[2Jgone\nand\rmore"), monkeypatch)

    assert capsys.readouterr().err == "pylon: ws://a: \\x1b[2Jgone and\\x0dmore\n"


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), BaseExceptionGroup("", [KeyboardInterrupt(), StoreBusy("cut")])],
)
def test_an_interrupt_is_quiet(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends_with(error, monkeypatch) == ExitCode.INTERRUPTED
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "bug", [ValueError("bug"), ExceptionGroup("", [Misconfigured("x"), ValueError("bug")])]
)
def test_a_bug_is_not_hidden(bug: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(type(bug)) as raised:
        ends_with(bug, monkeypatch)

    assert raised.value is bug


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (["versoin"], 'Unknown command "versoin". Did you mean "version"?'),
        (["version", "--jsn"], "Unknown option: --jsn. Did you mean --json?"),
        (["--home"], "--home requires an argument"),
        (["init", "--words", "13"], 'Invalid value "13" for --words'),
        (["wallet", "invoice"], "`pylon wallet invoice` needs AMOUNT. See `pylon wallet invoice"),
        (["--bogus"], "Unknown option: --bogus. See `pylon --help`."),
        (["job", "submit", "two", "words"], "words is too much for `pylon job submit`; text with"),
    ],
)
def test_a_wrong_command_line_is_one_line(pylon: Pylon, tokens: list[str], said: str) -> None:
    ran = pylon(*tokens)

    assert ran.status == ExitCode.USAGE
    assert ran.out == ""
    assert said in ran.err
    assert ran.err.count("\n") == 1


def test_a_configuration_mistake_reaches_the_person(pylon: Pylon, machine: Path) -> None:
    home = machine / ".pylon"
    home.mkdir()
    (home / "config.toml").write_text("[relay]\nprot = 1\n")

    ran = pylon("config", "show")

    assert ran.status == ExitCode.USAGE
    assert ran.err == (
        f"pylon: {home}/config.toml:2: unknown key relay.prot; did you mean relay.port?\n"
    )


def test_the_home_may_be_named_before_or_after_the_command(pylon: Pylon, machine: Path) -> None:
    asked = str(machine / "a")

    assert pylon("--home", asked, "config", "path").out == f"{asked}/config.toml\n"
    assert pylon("config", "path", "--home", asked).out == f"{asked}/config.toml\n"


def test_the_console_script_ends_the_process_with_the_status() -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["versoin"])

    assert ended.value.code == ExitCode.USAGE


def python(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_reader_that_leaves_is_no_error(machine: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen(
        [sys.executable, "-m", "pylon", "config", "show"], stdout=writing, stderr=subprocess.PIPE
    ) as process:
        os.close(writing)
        _, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (ExitCode.READER_GONE, b"")


def test_the_reader_that_left_is_told_from_other_errors(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert ends_with(ExceptionGroup("", [ReaderGone()]), monkeypatch) == ExitCode.READER_GONE


def test_control_c_at_a_prompt_ends_without_a_traceback(machine: Path) -> None:
    with terminal("init", environ={"PYLON_PASSPHRASE": "p"}) as person:
        person.expect("Type them again:")
        os.killpg(person.process_id, signal.SIGINT)
        status = person.end()

    assert status == ExitCode.INTERRUPTED
    assert "Traceback" not in person.shown
    assert not (machine / ".pylon" / "identity.enc").exists()


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from pylon.cli import run\n"
        "run(['--help'])\n"
        "heavy = {'trio', 'bip_utils', 'httpx', 'apsw', 'cattrs', 'msgspec', 'secp256k1'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )

    ran = python("-c", program)

    assert "Sell and buy inference" in ran.stdout
    assert ran.stderr == "[]\n"


@pytest.mark.parametrize("version", [(3, 10), (3, 14)])
def test_an_unsupported_python_is_told_in_one_line(version: tuple[int, int]) -> None:
    ran = python("-c", f"import sys; sys.version_info = {(*version, 0)}; import pylon.cli")

    assert ran.returncode == 1
    assert ran.stderr.startswith("pylon: Python 3.11, 3.12 or 3.13 is needed, and this is 3.1")
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize("tokens", [["version"], ["nonsense"]])
def test_a_library_with_threads_of_its_own_is_not_wound_up(tokens: list[str]) -> None:
    script = f"""
import atexit, sys, types
sys.modules["breez_sdk_spark"] = types.ModuleType("its threads call into Python at any time")
atexit.register(print, "winding up")
from pylon.cli import main
sys.argv = ["pylon", *{tokens!r}]
main()
"""
    ran = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert ran.returncode == (ExitCode.OK if tokens == ["version"] else ExitCode.USAGE)
    assert len((ran.stdout + ran.stderr).splitlines()) == 1
    assert "winding up" not in ran.stdout
