"""What every command may ask for: the home it was called for, and the configuration there.

A command takes it as a keyword argument, and the launcher passes it in:

    def balance(*, json: AsJson = False, context: InContext) -> None: ...
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

from attrs import frozen
from cyclopts import Parameter

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from pylon.adapters.home import Home
    from pylon.app.store import Store
    from pylon.config import Config


@frozen
class Context:
    """The global options and the environment. Nothing is read before it is asked for."""

    environ: Mapping[str, str]
    asked_home: Path | None = None
    passphrase_file: Path | None = None

    def home(self) -> "Home":
        """Resolve the home directory; it need not exist."""
        from pylon.adapters.home import find_home

        return find_home(self.environ, asked=self.asked_home)

    def config(self) -> "Config":
        """Read the configuration; raise `Misconfigured` with the line to mend."""
        from pylon.adapters.config_file import load_config

        return load_config(self.home(), self.environ)

    def store(self) -> "AbstractAsyncContextManager[Store]":
        """Open the home's memory, for looking; raise `Misconfigured` where there is no home."""
        from pylon.app.store import open_store
        from pylon.errors import Misconfigured

        home = self.home()
        if not (home.database.exists() or home.identity_file.exists()):
            raise Misconfigured(f"no identity in {home.root}: run `{home.command} init`")
        return open_store(home.database)


AsJson: TypeAlias = Annotated[
    bool, Parameter(negative="", show_default=False, help="Print JSON for programs.")
]
InContext: TypeAlias = Annotated[Context, Parameter(parse=False)]
