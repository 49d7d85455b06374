"""`pylon version`."""

import platform

from pylon import __version__
from pylon.cli.context import AsJson
from pylon.cli.output import emit


def version(*, json: AsJson = False) -> None:
    """Show the version.

    $ pylon version
    $ pylon version --json
    """
    value = {"version": __version__, "python": platform.python_version()}
    emit(value, as_json=json, text=f"pylon {__version__}")
