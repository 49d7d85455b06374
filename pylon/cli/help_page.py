"""How `--help` is laid out: sections under plain headings, filled to the width of the terminal."""

import textwrap
from typing import TYPE_CHECKING

from attrs import frozen

from pylon.cli.output import columns

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

_EXAMPLE = "$ "
_WIDEST = 100  # columns; longer lines are hard to read
_LABEL = 24  # columns; a longer label has a line of its own


@frozen
class HelpPage:
    """A cyclopts help formatter without boxes, so that what is shown can be searched and copied."""

    def __call__(self, console: "Console", options: "ConsoleOptions", panel: "HelpPanel") -> None:
        """Draw one section."""
        if not panel.entries:
            return
        rows = [(_label(entry), _meaning(entry)) for entry in panel.entries]
        widest = max((len(label) for label, _ in rows if len(label) <= _LABEL), default=_LABEL)
        _print(console, str(panel.title), style="bold")
        for label, meaning in rows:
            _print(console, _row(label, meaning, widest, _width()))
        _print(console)

    def render_usage(self, console: "Console", options: "ConsoleOptions", usage: object) -> None:
        """Draw the first line."""
        _print(console, f"Usage: {usage}".strip(), style="bold")
        _print(console)

    def render_description(
        self, console: "Console", options: "ConsoleOptions", description: object
    ) -> None:
        """Draw what the command is for: paragraphs filled, examples as they are."""
        for line in paragraphs(_text(description)):
            example = line.startswith(_EXAMPLE)
            _print(
                console,
                line if example else textwrap.fill(line, _width()),
                style="cyan" if example else "",
            )
        _print(console)


def paragraphs(text: str) -> list[str]:
    """Make one line of each paragraph; an example stays the line it is."""
    lines: list[str] = []
    joining = False
    for line in text.strip().splitlines():
        prose = bool(line) and not line.startswith(_EXAMPLE)
        if prose and joining:
            lines[-1] += f" {line}"
        else:
            lines.append(line)
        joining = prose
    return lines


def _row(label: str, meaning: str, widest: int, width: int) -> str:
    indent = " " * (widest + 4)
    filled = textwrap.fill(
        meaning,
        width,
        initial_indent=f"  {label:<{widest}}  " if len(label) <= widest else indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
    return filled if len(label) <= widest else f"  {label}\n{filled}"


def _label(entry: "HelpEntry") -> str:
    return ", ".join(entry.display_labels_with_metavar)


def _meaning(entry: "HelpEntry") -> str:
    """Say what an option means, what it may be, and what it is when it is not given."""
    meaning = " ".join(_text(entry.description).split())
    if entry.choices:
        meaning += f" One of: {', '.join(entry.choices)}."
    return meaning if entry.default is None else f"{meaning} (default: {entry.default})"


def _text(described: object) -> str:
    """Take the text out of what cyclopts would draw."""
    return str(getattr(described, "primary_renderable", ""))


def _width() -> int:
    return min(columns(), _WIDEST)


def _print(console: "Console", text: str = "", *, style: str = "") -> None:
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
