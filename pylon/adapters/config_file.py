"""config.toml on disk."""

from collections.abc import Mapping

from pylon.adapters.home import Home, write_private
from pylon.config import Config
from pylon.config.editing import with_values
from pylon.config.reading import parse
from pylon.config.writing import render
from pylon.errors import Misconfigured


def load_config(home: Home, environ: Mapping[str, str]) -> Config:
    """Read the home's configuration; without a file the defaults hold.

    Raises `Misconfigured`, in one line that says what to mend.
    """
    return parse(_read(home) or "", source=str(home.config_file), environ=environ)


def save_config(home: Home, config: Config) -> None:
    """Write the configuration with its comments."""
    write_private(home.config_file, render(config).encode())


def change_config(home: Home, section: str, values: Mapping[str, object]) -> None:
    """Set keys of a section in config.toml and leave all else there as it is.

    Raises `Misconfigured` for a value that cannot work, and where the file is written in a way that
    these keys cannot be set in; nothing has changed then.
    """
    source, old = str(home.config_file), _read(home) or render(Config())
    parse(old, source=source)  # so that what is wrong from here on is the change
    parse(with_values(render(Config()), section, values), source=source)
    new = with_values(old, section, values)
    if not _says(new, section, values):
        raise Misconfigured(f"{source}: set {', '.join(values)} under [{section}] by hand")
    write_private(home.config_file, new.encode())


def _says(text: str, section: str, values: Mapping[str, object]) -> bool:
    try:
        found = getattr(parse(text, source=""), section)
    except Misconfigured:
        return False
    return all(getattr(found, key) == value for key, value in values.items())


def _read(home: Home) -> str | None:
    path = home.config_file
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise Misconfigured(f"{path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise Misconfigured(f"{path} cannot be read: it is not UTF-8 text") from exc
