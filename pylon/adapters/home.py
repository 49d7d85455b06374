"""The home directory: where everything of one node lives, for its owner's eyes only."""

import errno
import fcntl
import os
import shlex
import stat
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import frozen

from pylon.errors import InUse, Misconfigured, PylonError, StoreFull

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OURS = ("config.toml", "identity.enc", "pylon.db")  # a folder with one of these is a home already


@frozen
class Home:
    """The paths of one node. Nothing is touched until `create`, `write_private` or `lock`."""

    root: Path
    config_dir: Path
    data_dir: Path  # the user's, shared by all homes: models, the regtest ledger
    command: str = "pylon"  # how its owner calls a command for this home

    @property
    def config_file(self) -> Path:
        return self.config_dir / "config.toml"

    @property
    def identity_file(self) -> Path:
        return self.root / "identity.enc"

    @property
    def identity_key(self) -> Path:
        """The key file that stands in for a passphrase on regtest."""
        return self.root / "identity.key"

    @property
    def secrets(self) -> Path:
        """What opens the wallet, where that is not the identity; see `adapters.wallet_secrets`."""
        return self.root / "secrets"

    @property
    def spark(self) -> Path:
        """What the Spark wallet keeps."""
        return self.root / "spark"

    @property
    def database(self) -> Path:
        return self.root / "pylon.db"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def models(self) -> Path:
        return self.data_dir / "models"

    @property
    def ledger(self) -> Path:
        return self.data_dir / "regtest-ledger.db"

    def create(self) -> None:
        """Make the folders, 0700, and tighten those of ours that are open to others.

        Raises `Misconfigured` rather than shut others out of a folder that is not a home.
        """
        for folder in (self.root, self.logs, self._locks):
            make_private_folder(folder)
        for folder in (self.config_dir, self.data_dir):  # these may be shared on purpose
            make_folder(folder)

    @contextmanager
    def lock(self, name: str) -> Generator[None]:
        """Hold a lock of this home; the system lets go of it however the process ends.

        Raises `InUse` when another process holds it.
        """
        make_private_folder(self.root)
        make_private_folder(self._locks)
        path = self._locks / f"{name}.lock"
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise unwritable(path, exc) from exc
        try:
            _lock_or_refuse(handle, f"{self.root}: {name}")
            yield
        finally:
            os.close(handle)

    @property
    def _locks(self) -> Path:
        return self.root / "locks"


def find_home(environ: Mapping[str, str], *, asked: Path | None = None) -> Home:
    """Resolve the home: `--home`, then PYLON_HOME, then ~/.pylon.

    PYLON_CONFIG_DIR moves config.toml, XDG_DATA_HOME what all homes share.
    """
    root = asked or _path(environ, "PYLON_HOME") or Path.home() / ".pylon"
    root = root.expanduser().absolute()
    config_dir = _path(environ, "PYLON_CONFIG_DIR") or root
    command = f"pylon --home {shlex.quote(str(asked))}" if asked else "pylon"
    return Home(root, config_dir.absolute(), _user_data_dir(environ), command)


def _path(environ: Mapping[str, str], name: str) -> Path | None:
    value = environ.get(name)
    return Path(value).expanduser() if value else None


def _user_data_dir(environ: Mapping[str, str]) -> Path:
    if base := _path(environ, "XDG_DATA_HOME"):
        return base.absolute() / "pylon"
    on_a_mac = sys.platform == "darwin"
    usual = "Library/Application Support" if on_a_mac else ".local/share"
    return Path.home() / usual / "pylon"


def make_private_folder(folder: Path) -> None:
    """Make a folder that only its owner may enter, or see to it that an existing one is.

    Raises `Misconfigured` when it cannot be made, or is open to others and not ours to close.
    """
    make_folder(folder)
    if not _open_to_others(folder):
        return
    if not _is_ours(folder):
        raise Misconfigured(
            f"{folder} is open to other users and holds other things: "
            f"choose another folder, or run: chmod 700 {folder}"
        )
    try:
        folder.chmod(0o700)
    except OSError as exc:
        raise unwritable(folder, exc) from exc


def make_folder(folder: Path) -> None:
    """Make a folder, 0700, with its parents; raise `Misconfigured` when it cannot be made."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise unwritable(folder, exc) from exc


def unwritable(path: Path, why: OSError) -> PylonError:
    """Say what keeps a file or folder of ours from being made, and what to do about it."""
    reason = (why.strerror or str(why)).lower()
    if why.errno == errno.ENOSPC:
        return StoreFull(f"{path}: the disk is full")
    return Misconfigured(f"{path} cannot be written: {reason}")


def _is_ours(folder: Path) -> bool:
    """Tell a folder that may be closed without hurting anybody: empty, a home, or inside one."""
    names = {entry.name for entry in folder.iterdir()}
    return not names or bool(names.intersection(_OURS)) or not _open_to_others(folder.parent)


def _open_to_others(path: Path) -> bool:
    return bool(path.stat().st_mode & _OTHERS)


def read_secret(path: Path) -> bytes:
    """Read a file that only its owner may read.

    Raises `FileNotFoundError`, and `Misconfigured` when others may read it too: a secret that was
    open is for its owner to judge, not for us to cover up.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & _OTHERS:
            raise Misconfigured(f"{path} may be read by others: run: chmod 600 {path}")
        return file.read()


def write_private(path: Path, data: bytes) -> None:
    """Replace a file in one step, 0600: after a crash it holds the old bytes or the new ones.

    Raises `StoreFull`, and `Misconfigured` when it cannot be written for another reason.
    """
    try:
        _replace(path, data)
    except OSError as exc:
        raise unwritable(path, exc) from exc


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _lock_or_refuse(handle: int, what: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
        process = f" (process {owner})" if owner else ""
        raise InUse(f"{what} is in use by another pylon{process}") from None
    with suppress(OSError):  # who holds it is only for the message; a full disk may lock as well
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
