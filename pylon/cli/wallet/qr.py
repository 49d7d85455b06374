"""QR codes on a terminal, two modules a character."""

from collections.abc import Sequence

from pylon.cli.output import columns, draws, say

QUIET = 4  # light modules around the code (ISO 18004)
_HALVES = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}  # (upper, lower); 1 is dark


def show_qr(bolt11: str) -> None:
    """Draw an invoice on stderr, where a terminal is there and wide enough."""
    drawn = render(modules(bolt11)) if draws("".join(_HALVES.values())) else []
    if drawn and len(drawn[0]) <= columns():
        # Light is drawn, dark is left out: the colours are for terminals with a light ground.
        say("\n".join(drawn), style="bright_white on black", as_is=True)


def modules(bolt11: str) -> list[list[int]]:
    """Encode an invoice, in capitals, which take half the space; nothing if it is too long."""
    import segno

    try:
        code = segno.make_qr(bolt11.upper(), error="l", boost_error=False)
    except segno.DataOverflowError:
        return []
    return [list(row) for row in code.matrix]


def render(matrix: Sequence[Sequence[int]]) -> list[str]:
    """Draw modules with the quiet zone around them; 1 is dark."""
    if not matrix:
        return []
    width = len(matrix[0]) + 2 * QUIET
    light = [[0] * width] * QUIET
    rows = [*light, *([*[0] * QUIET, *row, *[0] * QUIET] for row in matrix), *light]
    rows.append([1] * width)  # a code has an odd number of rows; the last half line stays dark
    return [
        "".join(_HALVES[halves] for halves in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    ]
