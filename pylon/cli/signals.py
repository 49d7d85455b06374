"""Programs that end when they are told to: the signals are theirs from the first line to the last."""

import signal
from collections.abc import Generator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def no_interrupts() -> Generator[None, None, None]:
    """Keep Ctrl-C from raising `KeyboardInterrupt`; inside, a signal receiver hears of it.

    One that comes after the receiver has closed, while the program ends anyway, changes nothing.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
