"""What opens a wallet, ours or one elsewhere: a file a secret, 0600, in the home's `secrets/`, 0700.

Nothing of them is in config.toml, in arguments or in messages.
"""

from enum import StrEnum

from pylon.adapters.home import Home, make_private_folder, read_secret, write_private
from pylon.errors import Misconfigured

MAX_BYTES = 4096


class WalletSecret(StrEnum):
    """The file of each secret."""

    NWC_URI = "nwc.uri"
    ELECTRUM_PASSWORD = "electrum.password"  # noqa: S105 - a file's name; in it is user:password
    SPARK_KEY = "spark.key"  # of the Spark service; mainnet asks for one
    NWC_SERVICE = "nwc-service.key"  # 64 hex: from it follows the string of `pylon wallet serve`


def load_secret(home: Home, secret: WalletSecret) -> str | None:
    """Read a secret; None where there is none.

    Raises `Misconfigured` for a file that others may read, or whose text is no secret.
    """
    path = home.secrets / secret
    try:
        text = as_secret(read_secret(path))
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise Misconfigured(f"{path} cannot be read: {exc.strerror}") from exc
    if text is None:
        raise Misconfigured(f"{path} must hold one line of text, and no more")
    return text


def store_secret(home: Home, secret: WalletSecret, text: str) -> None:
    """Write a secret, 0600, in the place of the one before."""
    make_private_folder(home.secrets)
    write_private(home.secrets / secret, f"{text}\n".encode())


def as_secret(raw: bytes) -> str | None:
    """Take one line of printable ASCII, without the space around it; None for all else."""
    try:
        text = raw.decode("ascii").strip()
    except UnicodeDecodeError:
        return None
    return text if text and len(raw) <= MAX_BYTES and text.isprintable() else None
