"""Where a passphrase comes from: --passphrase-file, PYLON_PASSPHRASE, or a person."""

from pylon.cli.context import Context
from pylon.cli.output import ask_secret, is_interactive
from pylon.errors import Misconfigured


def current(context: Context) -> str:
    """Get the passphrase of an identity that has one; raise `Misconfigured` if nobody tells."""
    given = _given(context)
    if given is not None:
        return given
    if is_interactive():
        return ask_secret("Passphrase:")
    raise Misconfigured(
        "the identity needs its passphrase: give --passphrase-file or PYLON_PASSPHRASE"
    )


def chosen(context: Context) -> str | None:
    """Get the passphrase for a new identity; None if nobody gave one."""
    given = _given(context)
    if given is not None or not is_interactive():
        return given
    first = ask_secret("New passphrase (empty: none):")
    if first and ask_secret("The same again:") != first:
        raise Misconfigured("the two passphrases differ; nothing was written")
    return first or None


def _given(context: Context) -> str | None:
    from pylon.adapters.home import read_secret

    path = context.passphrase_file
    if path is None:
        return context.environ.get("PYLON_PASSPHRASE") or None
    try:
        text = read_secret(path.expanduser()).decode("utf-8")
    except OSError as exc:
        raise Misconfigured(f"{path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise Misconfigured(f"{path} cannot be read: it is not UTF-8 text") from exc
    passphrase = text.rstrip("\r\n")
    if not passphrase:
        raise Misconfigured(f"{path} is empty")
    return passphrase
