"""A home is found where it was asked for, is closed to others, and is written in one step."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pylon.adapters.home import Home, find_home, make_private_folder, read_secret, write_private
from pylon.errors import Misconfigured, StoreFull


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", tmp_path / "home", tmp_path / "data")


def test_the_option_wins_over_the_variable_and_the_variable_over_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    environ = {"PYLON_HOME": "~/b"}

    assert find_home(environ, asked=Path("~/a")).root == tmp_path / "a"
    assert find_home(environ).root == tmp_path / "b"
    assert find_home({}).root == tmp_path / ".pylon"


def test_the_configuration_and_what_is_shared_can_lie_elsewhere(tmp_path: Path) -> None:
    environ = {"PYLON_CONFIG_DIR": str(tmp_path / "etc"), "XDG_DATA_HOME": str(tmp_path / "share")}

    found = find_home(environ, asked=tmp_path / "home")

    assert found.config_file == tmp_path / "etc" / "config.toml"
    assert found.database == tmp_path / "home" / "pylon.db"
    assert found.ledger == tmp_path / "share" / "pylon" / "regtest-ledger.db"
    assert found.models == tmp_path / "share" / "pylon" / "models"


@pytest.mark.parametrize(
    ("platform", "usual"),
    [("linux", ".local/share"), ("darwin", "Library/Application Support")],
)
def test_what_is_shared_lies_where_the_system_has_it(
    platform: str, usual: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", platform)

    assert find_home({}).data_dir == tmp_path / usual / "pylon"


def test_every_folder_is_its_owners_alone(home: Home) -> None:
    home.create()

    folders = [home.root, home.data_dir, home.logs, home.root / "locks"]
    assert [mode(folder) for folder in folders] == [0o700] * 4


def test_a_home_left_open_is_closed(home: Home) -> None:
    home.create()
    write_private(home.config_file, b"")
    home.root.chmod(0o755)

    home.create()

    assert mode(home.root) == 0o700


def test_a_folder_with_other_things_is_left_open_and_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    folder = tmp_path / "projects"
    folder.mkdir(mode=0o755)
    (folder / "letter.txt").touch()

    with pytest.raises(Misconfigured, match=f"chmod 700 {folder}"):
        make_private_folder(folder)

    assert mode(folder) == 0o755


def test_a_home_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(Misconfigured, match="file/home cannot be written: not a directory"):
        make_private_folder(tmp_path / "file" / "home")


def test_a_written_file_is_its_owners_alone_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "identity.enc"
    path.write_bytes(b"old")
    path.chmod(0o644)

    write_private(path, b"new")

    assert path.read_bytes() == b"new"
    assert mode(path) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["identity.enc"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(StoreFull, match=f"{path}: the disk is full"):
        write_private(path, b"new")

    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.toml"]


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pass.txt"
    path.write_bytes(b"secret")
    path.chmod(0o640)

    with pytest.raises(Misconfigured, match=f"chmod 600 {path}"):
        read_secret(path)

    path.chmod(0o600)
    assert read_secret(path) == b"secret"


def test_a_lock_is_held_once_and_names_its_holder(home: Home) -> None:
    with (
        home.lock("node"),
        pytest.raises(
            Misconfigured, match=rf"node is in use by another pylon \(process {os.getpid()}\)"
        ),
        home.lock("node"),
    ):
        pass

    with home.lock("node"):
        pass


def test_a_lock_is_held_on_a_full_disk_as_well(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)

    with (
        home.lock("node"),
        pytest.raises(Misconfigured, match=r"in use by another pylon$"),
        home.lock("node"),
    ):
        pass


def test_a_lock_that_cannot_be_made_is_one_line(home: Home) -> None:
    (home.root / "locks" / "node.lock").mkdir(parents=True)

    with (
        pytest.raises(Misconfigured, match=r"node\.lock cannot be written: is a directory"),
        home.lock("node"),
    ):
        pass


def test_a_folder_that_cannot_be_closed_to_others_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def frozen(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    folder = tmp_path / "home"
    folder.mkdir(mode=0o755)
    monkeypatch.setattr(Path, "chmod", frozen)

    with pytest.raises(Misconfigured, match=f"{folder} cannot be written: read-only"):
        make_private_folder(folder)


def test_a_home_knows_how_its_commands_are_called(tmp_path: Path) -> None:
    assert find_home({"PYLON_HOME": str(tmp_path)}).command == "pylon"
    assert find_home({}, asked=tmp_path / "my home").command == f"pylon --home '{tmp_path}/my home'"


def test_locks_of_other_names_and_homes_do_not_meet(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other", tmp_path / "other", tmp_path / "data")

    with home.lock("node"), home.lock("wallet"), other.lock("node"):
        pass


def test_a_killed_process_leaves_no_lock(home: Home) -> None:
    program = (
        "import sys, time, pathlib\n"
        "from pylon.adapters.home import Home\n"
        "root = pathlib.Path(sys.argv[1])\n"
        "with Home(root, root, root).lock('node'):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(home.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:  # noqa: S603 - our own
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Misconfigured, match=f"process {holder.pid}"), home.lock("node"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=10)

    with home.lock("node"):
        pass
