"""config.toml on disk."""

from collections.abc import Mapping

from pylon.adapters.home import Home, write_private
from pylon.config import Config
from pylon.config.reading import parse
from pylon.config.writing import render
from pylon.errors import Misconfigured


def load_config(home: Home, environ: Mapping[str, str]) -> Config:
    """Read the home's configuration; without a file the defaults hold.

    Raises `Misconfigured`, in one line that says what to mend.
    """
    path = home.config_file
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    except OSError as exc:
        raise Misconfigured(f"{path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise Misconfigured(f"{path} cannot be read: it is not UTF-8 text") from exc
    return parse(text, source=str(path), environ=environ)


def save_config(home: Home, config: Config) -> None:
    """Write the configuration with its comments."""
    write_private(home.config_file, render(config).encode())
