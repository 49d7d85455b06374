"""What the exit status of every command means."""

from enum import IntEnum

from pylon.errors import GenerationFailed, Misconfigured, OverBudget, PylonError, RelayLost


class ExitCode(IntEnum):
    """The exit status of a command; `pylon --help` lists them."""

    OK = 0
    FAILURE = 1  # something else went wrong; the line on stderr says what
    USAGE = 2  # the command line, the configuration or the home needs mending
    DAEMON_DOWN = 3
    NETWORK = 4  # no relay could be reached
    FUNDS = 5  # the wallet holds too little
    OVER_BUDGET = 6
    TIMEOUT = 7
    PROVIDER_FAILURE = 8  # the provider answered with an error, or not with what was paid for
    PAYMENT_UNKNOWN = 9  # the payment may or may not have happened: `pylon job status` will tell
    INTERRUPTED = 130
    READER_GONE = 141  # as the shell says it: `pylon … | head` closed the pipe


def exit_code_of(error: PylonError) -> ExitCode:
    """Choose the status for an error that no command dealt with."""
    match error:
        case OverBudget():
            return ExitCode.OVER_BUDGET
        case Misconfigured():
            return ExitCode.USAGE
        case RelayLost():
            return ExitCode.NETWORK
        case GenerationFailed():
            return ExitCode.PROVIDER_FAILURE
        case _:
            return ExitCode.FAILURE
