"""A Ctrl-C while a program ends anyway makes no traceback."""

import signal

import pytest

from pylon.cli.signals import no_interrupts


def test_a_late_interrupt_changes_nothing_and_the_next_program_hears_its_own() -> None:
    with no_interrupts():
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
