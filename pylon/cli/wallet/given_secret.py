"""A wallet's secret as a person hands it over: from a prompt, a file or stdin, never an argument."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pylon.cli.output import ask_secret, is_interactive
from pylon.errors import Misconfigured

if TYPE_CHECKING:
    from pylon.adapters.home import Home
    from pylon.adapters.wallet_secrets import WalletSecret


def given_secret(home: "Home", which: "WalletSecret", what: str, *, file: Path | None) -> str:
    """Get a secret; where none is given, the one that is stored already.

    Raises `Misconfigured` where there is none, or what was given is no line of text.
    """
    from pylon.adapters.wallet_secrets import MAX_BYTES, as_secret, load_secret

    raw = _given(what, file, MAX_BYTES)
    if raw.strip():
        text = as_secret(raw)
        if text is None:
            raise Misconfigured(f"that is not {what}: one line of plain text is wanted")
        return text
    stored = load_secret(home, which)
    if stored is None:
        raise Misconfigured(
            f"{what} is needed: at the prompt, on stdin, or with --secret-file FILE, 0600"
        )
    return stored


def _given(what: str, file: Path | None, most: int) -> bytes:
    from pylon.adapters.home import read_secret

    if file is not None and str(file) != "-":
        try:
            return read_secret(file.expanduser())
        except OSError as exc:
            raise Misconfigured(f"{file} cannot be read: {exc.strerror}") from exc
    if file is None and is_interactive():
        return ask_secret(f"{what[0].upper()}{what[1:]} (not shown):").encode()
    return sys.stdin.readline(most + 1).encode("utf-8", "surrogateescape")
