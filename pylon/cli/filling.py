"""Text that arrives in pieces, broken into lines under a margin, between words."""

import re

from attrs import define, field


@define
class Filling:
    """Lines of at most `width` characters, the margin included; a word that is longer stays whole.

    What is shown cannot be taken back: a word whose beginning is on a line stays on it.
    """

    width: int
    margin: int
    _column: int = field(init=False)
    _between: bool = field(default=True, init=False)  # no word has been begun

    def __attrs_post_init__(self) -> None:
        self._column = self.margin

    def add(self, piece: str) -> str:
        """Return a piece as it is to be shown after all that was shown before."""
        shown = ""
        for part in re.findall(r"\n| |[^ \n]+", piece):
            too_long = self._column + len(part) > self.width
            if part == "\n":
                shown += self._new_line()
            elif too_long and self._between and part != " ":
                shown += self._new_line() + part
                self._column += len(part)
            else:
                shown += part
                self._column += len(part)
            self._between = part in "\n "
        return shown

    def _new_line(self) -> str:
        self._column = self.margin
        return "\n" + " " * self.margin
