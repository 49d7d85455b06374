"""What is wrong with a command line, in a line that says where to look it up."""

import shlex

from cyclopts import CycloptsError, MissingArgumentError, UnknownCommandError, UnusedCliTokensError


def explain(error: CycloptsError) -> str:
    """Say what could not be read, and whose `--help` tells more."""
    command = " ".join(("pylon", *(error.command_chain or ())))
    return f"{_what(error, command)} See `{command} --help`."


def _what(error: CycloptsError, command: str) -> str:
    unused = shlex.join(error.unused_tokens or ())
    match error:
        case UnusedCliTokensError():
            return f"{unused} is too much for `{command}`; text with spaces needs quotes."
        case UnknownCommandError() if unused.startswith("-"):
            return f"Unknown option: {unused.split()[0]}."
        case UnknownCommandError():
            return str(error).partition(" Available commands:")[0]
        case MissingArgumentError(keyword=None, argument=argument) if argument is not None:
            return f"`{command}` needs {argument.name.lstrip('-').upper()}."
        case _:
            return str(error)
