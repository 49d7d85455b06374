"""What a run leaves behind: how often each thing happened, a digest of every step, and the logs."""

import logging
from collections import Counter
from hashlib import sha256
from typing import Any

import trio
from attrs import define, field


@define(eq=False)
class Chronicle:
    """Everything that passed between the nodes and the world."""

    faults: Counter[str] = field(factory=Counter)
    logs: list[str] = field(factory=list)
    _trace: Any = field(factory=sha256)

    def note(self, *words: str) -> None:
        """Make one step a part of the trace."""
        line = f"{trio.current_time():.6f} {' '.join(words)}\n"
        self._trace.update(line.encode())

    def count(self, fault: str) -> None:
        """Note that something went wrong on purpose."""
        self.faults[fault] += 1
        self.note("fault", fault)

    def digest(self) -> str:
        """Return the same for two runs in which the same happened at the same times."""
        digest: str = self._trace.hexdigest()
        return digest


class LogKeeper(logging.Handler):
    """Keeps every line that would be written to a log."""

    def __init__(self, chronicle: Chronicle) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self._chronicle = chronicle

    def emit(self, record: logging.LogRecord) -> None:
        self._chronicle.logs.append(self.format(record))
