"""The only place that prints: data on stdout, talk on stderr, nothing hostile on either.

Text from outside passes through `clean` here, so no command can forget it. Colour appears only on
a terminal, and NO_COLOR turns it off. rich is imported when something is drawn with it.
"""

import getpass
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from pylon.errors import Misconfigured, PylonError

if TYPE_CHECKING:
    from rich.progress import Progress

_SPACE = "\n\t"
_REORDERING = "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_UNSAFE = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in _SPACE
} | {ord(mark): f"\\u{ord(mark):04x}" for mark in _REORDERING}


class ReaderGone(Exception):
    """Whoever read our output has closed it: `pylon … | head`."""


class OutputLost(PylonError):
    """What was to be printed could not be: a full disk behind `>`, for example."""


def clean(text: str) -> str:
    r"""Make text from outside safe to show: no control character reaches the terminal.

    Escapes, carriage returns, backspaces and marks that reorder text become visible, as `\x1b`.
    """
    return text.translate(_UNSAFE)


def say(text: str, *, style: str = "", hang: int | None = None, as_is: bool = False) -> None:
    """Tell a person something, on stderr. `style` is rich's, for a terminal.

    There a line that is too long goes on in the next, `hang` columns in (by default two more than
    it begins with). Nothing is broken inside a word. A command that is to be copied goes `as_is`.
    """
    shown = clean(text)
    if sys.stderr.isatty() and not as_is:
        shown = "\n".join(_filled(line, hang) for line in shown.split("\n"))
    if style and _may_style(sys.stderr):
        _draw(shown, style, stderr=True)
    else:
        _write(sys.stderr, f"{shown}\n")


def columns() -> int:
    """Return the width of the terminal, in characters."""
    return shutil.get_terminal_size().columns


def when(moment: int) -> str:
    """Show a moment, in unix seconds, to a person."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%MZ")


def to_the_second(at: int) -> str:
    """Show a moment to the second, where a minute holds many."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def fields(rows: Sequence[tuple[str, str]]) -> str:
    """Lay labels and values out, a line each."""
    width = max(len(label) for label, _ in rows) + 2
    return "\n".join(f"{label:<{width}}{' '.join(value.split())}" for label, value in rows)


def _filled(line: str, hang: int | None) -> str:
    lead = len(line) - len(line.lstrip()) + 2 if hang is None else hang
    return textwrap.fill(
        line,
        columns(),
        subsequent_indent=" " * lead,
        break_long_words=False,
        break_on_hyphens=False,
    )


def data(text: str, *, style: str = "") -> None:
    """Print what was asked for, on stdout."""
    if style and _may_style(sys.stdout):
        _draw(clean(text), style, stderr=False)
    else:
        _write(sys.stdout, f"{clean(text)}\n")


def stream(piece: str) -> None:
    """Print a piece of an answer as it comes, without a new line."""
    _write(sys.stdout, clean(piece))
    flush()


def emit(value: object, *, as_json: bool, text: str) -> None:
    """Print a result: `value` as one JSON document for programs, or `text` for people."""
    if as_json:
        # Everything but ASCII is escaped, so what was hostile in there is so no more.
        _write(sys.stdout, json.dumps(value, indent=2 if sys.stdout.isatty() else None) + "\n")
    else:
        data(text)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows: drawn on a terminal, separated by tabs for programs."""
    lines = [[clean(cell) for cell in row] for row in (columns, *rows)]
    if sys.stdout.isatty():
        _draw_table(lines)
        return
    for line in lines:
        _write(sys.stdout, "\t".join(cell.translate(_ONE_CELL) for cell in line) + "\n")


_GAP = "  "  # between columns
_LAST_COLUMN = 12  # characters it is given even where there is no room
_ONE_CELL = {ord("\t"): " ", ord("\n"): " "}


@contextmanager
def byte_progress(label: str) -> Generator[Callable[[int, int | None], None]]:
    """Show a download on a terminal; yields what to call with the bytes so far and in all.

    Nothing is drawn before the first call, nor after the last byte.
    """
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    bar = _Bar(label)
    try:
        yield bar.show
    finally:
        bar.stop()


class _Bar:
    """A progress bar that appears when there is progress."""

    def __init__(self, label: str) -> None:
        self._label = clean(label)
        self._progress: Progress | None = None

    def show(self, done: int, total: int | None) -> None:
        if self._progress is None:
            self._progress = self._start()
        self._progress.update(self._progress.task_ids[0], completed=done, total=total)
        if total is not None and done >= total:
            self.stop()

    def stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _start(self) -> "Progress":
        from rich.console import Console
        from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

        columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
        progress = Progress(*columns, console=Console(stderr=True), transient=True)
        progress.add_task(self._label, total=None)
        progress.start()
        return progress


def draws(glyphs: str) -> bool:
    """Say whether stderr is a terminal that can show these characters."""
    try:
        glyphs.encode(sys.stderr.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return sys.stderr.isatty()


def is_interactive() -> bool:
    """Say whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str) -> str:
    """Read one line, having asked for it on a terminal; raise `Misconfigured` at the input's end."""
    if sys.stdin.isatty():
        _write(sys.stderr, f"{clean(question)} ")
        sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise Misconfigured("an answer was needed, and the input had ended")
    return line.strip()


def ask_secret(question: str) -> str:
    """Ask on the terminal without showing the answer."""
    try:
        return getpass.getpass(f"{clean(question)} ", stream=sys.stderr)
    except EOFError:
        raise Misconfigured("an answer was needed, and the input had ended") from None


def confirm(question: str) -> bool:
    """Ask for a yes; anything else is a no."""
    return ask(f"{question} [y/N]").lower() in ("y", "yes")


def flush() -> None:
    """Hand on what is buffered; raise `ReaderGone` when nobody reads."""
    _write(sys.stdout, "", flush=True)


def _write(file: TextIO, text: str, *, flush: bool = False) -> None:
    try:
        file.write(text)
        if flush:
            file.flush()
    except BrokenPipeError:
        raise ReaderGone from None
    except OSError as exc:
        raise OutputLost(f"the output cannot be written: {exc.strerror or exc}") from exc
    except UnicodeEncodeError:  # a terminal that knows less than UTF-8
        file.write(text.encode("ascii", "backslashreplace").decode("ascii"))


def _may_style(file: TextIO) -> bool:
    return file.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _draw(text: str, style: str, *, stderr: bool) -> None:
    from rich.console import Console

    Console(stderr=stderr, highlight=False, soft_wrap=True).print(text, style=style, markup=False)


def _draw_table(lines: list[list[str]]) -> None:
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    head, *rows = lines
    *others, last = (max(map(cell_len, column)) for column in zip(*lines, strict=True))
    needed = sum(others) + len(_GAP) * len(others) + min(last, _LAST_COLUMN)
    drawn = Table(box=None, header_style="bold", pad_edge=False, padding=(0, len(_GAP), 0, 0))
    for name in head:  # the last column takes what the others leave, and loses nothing of it
        drawn.add_column(name, no_wrap=name != head[-1], overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    # A terminal too narrow for it breaks its lines: an amount that is cut off would be another one.
    Console(width=max(columns(), needed)).print(drawn, soft_wrap=False)
