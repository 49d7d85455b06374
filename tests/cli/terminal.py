"""A terminal with a person at it."""

import os
import pty
import select
import subprocess
import sys
import time
from codecs import getincrementaldecoder
from collections.abc import Generator, Mapping
from contextlib import contextmanager

PATIENCE_SECONDS = 30


class Terminal:
    """Runs `python -m pylon` on a pseudo-terminal; what was shown so far is in `shown`."""

    def __init__(self, process: "subprocess.Popen[bytes]", handle: int) -> None:
        self._process = process
        self._handle = handle
        self.process_id = process.pid
        self.shown = ""
        self._seen = 0
        self._decoder = getincrementaldecoder("utf-8")()  # a read may end inside a character

    def expect(self, text: str) -> str:
        """Read until `text` is shown; return what was shown since the last expected text."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (found := self.shown.find(text, self._seen)) < 0:
            assert self._read(deadline), f"no {text!r} in {self.shown[self._seen :]!r}"
        start, self._seen = self._seen, found + len(text)
        return self.shown[start : self._seen]

    def type(self, line: str) -> None:
        os.write(self._handle, f"{line}\n".encode())

    def end(self) -> int:
        """Read to the end; return the exit status."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._read(deadline):
            pass
        return self._process.wait(timeout=PATIENCE_SECONDS)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._handle], [], [], max(0, deadline - time.monotonic()))
        try:
            piece = os.read(self._handle, 4096) if ready else b""
        except OSError:  # how Linux says that the other end is closed
            return False
        self.shown += self._decoder.decode(piece)
        return bool(piece)


@contextmanager
def terminal(*tokens: str, environ: Mapping[str, str] | None = None) -> Generator[Terminal]:
    """Run a command on a terminal of its own."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "pylon", *tokens],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", **(environ or {})},
        start_new_session=True,  # so that a passphrase is asked for here, not on the tester's screen
    )
    os.close(theirs)
    with process:
        try:
            yield Terminal(process, ours)
        finally:
            process.kill()
            os.close(ours)
