"""The `pylon` command: arguments in, exit status out."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Group, Parameter

from pylon import __version__
from pylon.cli.commands import COMMANDS, OPTIONS, register
from pylon.cli.context import Context
from pylon.cli.exit_codes import ExitCode, exit_code_of
from pylon.cli.help_page import HelpPage
from pylon.cli.output import OutputLost, ReaderGone, clean, flush, say
from pylon.cli.usage import explain
from pylon.errors import PylonError

_HELP = """\
Sell and buy inference over Nostr and Lightning.

$ pylon demo                        one paid job, start to end
$ pylon init                        make this node's identity
$ pylon wallet fund                 get play money
$ pylon run                         sell answers
$ pylon job submit "What is 2+2?"   buy one

Exit status: 0 done, 1 failed, 2 usage or configuration, 3 daemon down,
4 network, 5 funds, 6 over budget, 7 timeout, 8 provider failure,
9 payment unknown, 130 interrupted. `pylon COMMAND --help` explains a command.
"""


def _worth_telling(default: object) -> str | None:
    """Show a default in the help unless it is a switch's, or empty."""
    return None if isinstance(default, bool) or default in (None, (), "") else str(default)


_WITH_ITS_OWN_THREADS = "breez_sdk_spark"

_GLOBAL_OPTIONS = Group("Global options", sort_key=9)

app = App(
    name="pylon",
    help=_HELP,
    help_format="plaintext",
    help_formatter=HelpPage(),
    version=__version__,
    default_parameter=Parameter(
        negative_bool=(), negative_iterable=(), show_default=_worth_telling
    ),
    group_parameters=OPTIONS,
    group_arguments=OPTIONS,
    group_commands=Group("Commands", sort_key=8),
)
app.meta.group_parameters = _GLOBAL_OPTIONS
app.meta.default_parameter = app.default_parameter
register(app)
for flag, meaning in (("--help", "Explain a command."), ("--version", "Show the version.")):
    app[flag].group, app[flag].help = _GLOBAL_OPTIONS, meaning


@app.meta.default
def launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    home: Path | None = None,
    passphrase_file: Path | None = None,
) -> int | None:
    """Run a command with the options that all of them have.

    Parameters
    ----------
    tokens
        The command and its own options.
    home
        The node's directory (default: PYLON_HOME, then ~/.pylon).
    passphrase_file
        A file, 0600, with the passphrase of the identity (default: PYLON_PASSPHRASE, then a prompt).
    """
    command, bound, wants = app.parse_args(tokens, print_error=False, exit_on_error=False)
    context = Context(os.environ, asked_home=home, passphrase_file=passphrase_file)
    status: int | None = command(*bound.args, **bound.kwargs, **dict.fromkeys(wants, context))
    return status


def main(tokens: Sequence[str] | None = None) -> None:
    """Run the command line and end with its exit status: the process, if `tokens` are its own."""
    status = run(sys.argv[1:] if tokens is None else tokens)
    if tokens is None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # there is nothing left to interrupt
    if tokens is None and _WITH_ITS_OWN_THREADS in sys.modules:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(status)  # its threads call into Python, and abort where it is winding up
    sys.exit(status)


def run(tokens: Sequence[str]) -> int:
    """Run the command line; return its exit status (`ExitCode`).

    What a person can mend ends in one line on stderr. A bug ends in its traceback.
    """
    try:
        status = _dispatch(tokens)
        flush()
    except CycloptsError as exc:
        say(f"pylon: {_one_line(explain(exc))}", style="red")
        return ExitCode.USAGE
    except (PylonError, ReaderGone, KeyboardInterrupt, BaseExceptionGroup) as exc:
        return _explain(exc)
    return status or ExitCode.OK


def _dispatch(tokens: Sequence[str]) -> int | None:
    for command in COMMANDS:
        if command.name in tokens and (called := app[command.name]).default_command:
            called.help = None  # the listed line gives way to the docstring with its examples
    status: int | None = app.meta(
        tokens,
        print_error=False,
        exit_on_error=False,
        verbose=False,
        result_action="return_value",
    )
    return status


def _explain(error: BaseException) -> int:
    """Say what ended the command in one line, and choose the exit status."""
    leaves = list(_leaves(error))
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        return ExitCode.INTERRUPTED
    for leaf in leaves:
        if not isinstance(leaf, PylonError | ReaderGone):
            raise error
    if any(isinstance(leaf, ReaderGone | OutputLost) for leaf in leaves):
        # Python flushes stdout once more on its way out; let that find nobody quietly.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if any(isinstance(leaf, ReaderGone) for leaf in leaves):
        return ExitCode.READER_GONE
    first = next(leaf for leaf in leaves if isinstance(leaf, PylonError))
    say(f"pylon: {_one_line(str(first))}", style="red")
    return exit_code_of(first)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _one_line(text: str) -> str:
    return " ".join(clean(text).split())
