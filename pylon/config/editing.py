"""Changing keys of a config.toml that people edit too: all else in it stays as it is."""

import re
from collections.abc import Mapping

from pylon.config.writing import literal

_HEADER = re.compile(r"\s*\[")


def with_values(text: str, section: str, values: Mapping[str, object]) -> str:
    """Return the text with keys of a section set, each where the section has it, live or commented.

    What the section does not mention is added at its end; a section that is not there, at the end
    of the file. A key must stand alone on its line, as `render` writes it.
    """
    lines = text.removesuffix("\n").split("\n")  # as TOML ends lines; splitlines knows more ends
    for key, value in values.items():
        _set(lines, section, key, f"{key} = {literal(value)}")
    return "\n".join(lines) + "\n"


def _set(lines: list[str], section: str, key: str, line: str) -> None:
    start, end = _span(lines, section)
    for mark in ("", "#"):  # a live key is the one that counts; its commented default may stay
        setting = re.compile(rf"\s*{mark}\s*{re.escape(key)}\s*=")
        for place in range(start, end):
            if setting.match(lines[place]):
                lines[place] = line
                return
    while end > start and not lines[end - 1].strip():
        end -= 1
    lines.insert(end, line)


def _span(lines: list[str], section: str) -> tuple[int, int]:
    """Find the lines of a section, its header apart; make the section if there is none."""
    header = re.compile(rf"\s*\[\s*{re.escape(section)}\s*\]")
    found = next((place for place, line in enumerate(lines) if header.match(line)), None)
    if found is None:
        lines += ["", f"[{section}]"] if lines[-1].strip() else [f"[{section}]"]
        return len(lines), len(lines)
    start = found + 1
    end = next((p for p in range(start, len(lines)) if _HEADER.match(lines[p])), len(lines))
    return start, end
