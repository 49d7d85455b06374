"""`pylon job receipt` and `pylon receipt verify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pylon.cli.commands import subcommands
from pylon.cli.context import AsJson, Context, InContext
from pylon.cli.exit_codes import ExitCode
from pylon.cli.output import clean, data, emit, say
from pylon.errors import Malformed, Misconfigured

if TYPE_CHECKING:
    from pylon.core.receipt import Claim, Receipt

app = subcommands("receipt")

_MARKS = {"holds": ("yes", "green"), "fails": ("NO", "bold red"), "open": ("?", "yellow")}


def of_job(
    job: str,
    /,
    *,
    out: Path | None = None,
    with_answer: Annotated[bool, Parameter(negative="")] = False,
    context: InContext,
) -> int:
    """Print the receipt of a paid job: all that proves it, as one JSON document.

    $ pylon job receipt 3fe2a9c1
    $ pylon job receipt 3fe2a9c1 --with-answer --out receipt.json

    Anybody can check it, without us: `pylon receipt verify FILE`. Whoever has it can read the
    question, unless that was encrypted; the answer is in it only with --with-answer.

    Parameters
    ----------
    job
        The job's id, or the beginning of it.
    out
        Write it to this file, for your eyes only, instead of to the screen.
    with_answer
        Tell the answer too, which proves that it is the one that was sold.
    """
    import trio

    from pylon.core import receipt

    text = receipt.write(trio.run(_make, context, job, with_answer))
    if out is None:
        data(text)
    else:
        from pylon.adapters.home import write_private

        write_private(out.absolute(), text.encode() + b"\n")
        say(f"the receipt is in {out}; check it with `pylon receipt verify {out}`")
    return ExitCode.OK


@app.command
def verify(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)], /, *, json: AsJson = False
) -> int:
    """Check every claim of a receipt, here and without a network; exit status 1 if one is false.

    $ pylon receipt verify receipt.json
    $ pylon job receipt 3fe2a9c1 | pylon receipt verify -

    Parameters
    ----------
    file
        The receipt; - reads it from standard input.
    """
    from pylon.core import receipt

    text = _bytes_of(file)
    try:
        read = receipt.read(text)
    except Malformed as why:
        raise Malformed(f"{file} is no receipt that can be checked: {why}") from why
    found = receipt.claims(read)
    holds = receipt.holds(found)
    value = {
        "holds": holds,
        "job": read.request.id,
        "claims": [
            {"claim": claim.name, "verdict": claim.verdict, "detail": claim.detail}
            for claim in found
        ],
    }
    if json:
        emit(value, as_json=True, text="")
    else:
        _show(found, holds=holds)
    return ExitCode.OK if holds else ExitCode.FAILURE


async def _make(context: Context, job: str, with_answer: bool) -> "Receipt":
    from pylon.app.receipts import make_receipt

    reader = None
    if with_answer:
        from pylon.cli.job_driving import opened_home

        reader = opened_home(context).identity.signer
    async with context.store() as store:
        return await make_receipt(store, job, reader=reader)


def _bytes_of(file: Path) -> bytes:
    """Read no more than a receipt can have; raise `Misconfigured` or `Malformed`."""
    import sys

    from pylon.core.receipt import MAX_SIZE

    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as source:
            text = source.read(MAX_SIZE + 1)
    except OSError as why:
        raise Misconfigured(f"{file} cannot be read: {why.strerror}") from why
    if len(text) > MAX_SIZE:
        raise Malformed(f"{file} is too large to be a receipt")
    return text


def _show(found: "list[Claim]", *, holds: bool) -> None:
    for claim in found:
        mark, style = _MARKS[claim.verdict]
        detail = f" ({clean(claim.detail)})" if claim.detail else ""
        data(f"{mark:>4}  {claim.name}{detail}", style=style)
    data("the receipt holds" if holds else "THE RECEIPT IS FALSE", style="bold")
