"""A second process that uses the store as we do, and can be killed."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from attrs import frozen

ROOT = Path(__file__).parents[3]

# A child that hangs ends by itself, and its parent reads the end of its output.
LIMIT = "import faulthandler; faulthandler.dump_traceback_later(30, exit=True)\n"


@frozen
class Child:
    """A running script, spoken with line by line."""

    _process: subprocess.Popen[str]
    _stdin: IO[str]
    _stdout: IO[str]

    def hear(self) -> str:
        """Wait for its next line; empty once it has ended."""
        return self._stdout.readline().strip()

    def hear_all(self) -> list[str]:
        """Wait for the end, and return the lines that were written before it."""
        return self._stdout.read().split("\n")[:-1]

    def say(self, line: str) -> None:
        self._stdin.write(f"{line}\n")
        self._stdin.flush()

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL."""
        self._process.kill()
        self._process.wait()


@contextmanager
def run(script: str, *args: object) -> Generator[Child, None, None]:
    """Run a Python script; it is gone when the block is left."""
    command = [sys.executable, "-c", LIMIT + script, *map(str, args)]
    with subprocess.Popen(  # noqa: S603 - our own interpreter and our own script
        command, stdin=-1, stdout=-1, text=True, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Child(process, process.stdin, process.stdout)
        finally:
            process.kill()
