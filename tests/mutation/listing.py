"""docs/mutants.md: what was tried, what survived, and why that is no hole."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.mutation.mutants import Mutant

_ROW = re.compile(r"^\| `(?P<change>[^`]*)` \| (?P<reason>.*) \|$", re.MULTILINE)
_INTRODUCTION = """# Mutants of the money code

`just mutants` makes every small mistake it knows of in the modules that decide about money (a comparison
turned, a guard or a whole case dropped, an act or an argument left out, a number one too high), one at a
time, and runs the tests that know the module. A mistake that no test notices survives, and is listed here.
Texts, annotations and the named numbers at the top of a module are left alone. The table is written by the
program; the reasons are written by hand, and kept from one run to the next.

| module | mutants | killed | |
|---|---:|---:|---:|
"""


def write_listing(
    path: Path, counts: Mapping[str, Sequence[int]], survivors: Sequence[Mutant]
) -> None:
    """Write the page anew, with the reasons that are in it."""
    old = path.read_text() if path.exists() else ""
    reasons = {row["change"]: row["reason"] for row in _ROW.finditer(old)}
    rows = [
        f"| `{module}` | {made} | {killed} | {killed / made:.1%} |"
        for module, (made, killed) in sorted(counts.items())
    ]
    made, killed = (sum(count[at] for count in counts.values()) for at in (0, 1))
    rows.append(f"| all | {made} | {killed} | **{killed / made:.1%}** |")
    lines = ["", "## Survivors", "", "| what survives | why |", "|---|---|"]
    for mutant in survivors:
        change = _name(mutant)
        lines.append(f"| `{change}` | {reasons.get(change, '')} |")
    path.write_text(_INTRODUCTION + "\n".join([*rows, *lines]) + "\n")


def _name(mutant: Mutant) -> str:
    """Name a mutant so that it keeps its name when lines above it come and go."""
    return f"{Path(mutant.path).stem}.{mutant.place}: {mutant.what}".replace("|", "\\|").replace(
        "`", "'"
    )
