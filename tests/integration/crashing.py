"""The real program, killed by itself at one commit: `python -m tests.integration.crashing ...`.

    crashing before|after FILE QUERY pylon's own arguments

The process sends itself SIGKILL right before, or right after, the first commit to the database
called FILE with which QUERY finds a row. Nothing in the program knows of this.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import apsw

from pylon.cli import main

BEFORE, AFTER = "before", "after"


def arm(when: str, name: str, query: str) -> None:
    """Make every connection to `name` opened from now on watch its commits."""
    plain = apsw.Connection

    class Watched(plain):  # type: ignore[misc, valid-type]
        def execute(self, statements: str, *bindings: Any, **options: Any) -> Any:
            if statements != "COMMIT" or Path(self.filename).name != name:
                return super().execute(statements, *bindings, **options)
            if when == BEFORE and self._reached():
                _die()
            done = super().execute(statements, *bindings, **options)
            if when == AFTER and self._reached():
                _die()
            return done

        def _reached(self) -> bool:
            try:
                return super().execute(query).fetchone() is not None
            except apsw.SQLError:  # its tables are still being made
                return False

    apsw.Connection = Watched  # type: ignore[misc]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    arm(*sys.argv[1:4])
    main(sys.argv[4:])
