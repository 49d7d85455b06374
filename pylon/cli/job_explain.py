"""`pylon job explain`."""

from typing import TYPE_CHECKING, Any

from pylon.cli.context import AsJson, Context, InContext
from pylon.cli.exit_codes import ExitCode
from pylon.cli.following import short
from pylon.cli.order_view import named
from pylon.cli.output import clean, data, emit, fields, to_the_second

if TYPE_CHECKING:
    from pylon.core.explain.story import Explanation, Line
    from pylon.model.ids import JobId

SHORT = 8  # characters of an id that are shown


def explain(job: str, /, *, json: AsJson = False, context: InContext) -> int:
    """Say what happened to a job, where its money is, and what comes next.

    $ pylon job explain 3fe2a9c1
    $ pylon job explain 3fe2a9c1 --json

    It tells of jobs bought from here and of jobs sold here, from what this node remembers and from
    the signed events it has kept; a line signed by somebody is at the time they say.

    Parameters
    ----------
    job
        The job's id, or the beginning of it.
    """
    import trio

    found = trio.run(_explain, context, job)
    if json:
        value = {side: _as_json(id_, told) for side, id_, told in found}
        emit(value, as_json=True, text="")
    else:
        for side, id_, told in found:
            _show(side, id_, told)
    return ExitCode.OK


async def _explain(context: Context, job: str) -> "list[tuple[str, JobId, Explanation]]":
    from pylon.adapters.clock import SystemClock
    from pylon.app.explaining import explain as explain_from

    async with context.store() as store:
        return await explain_from(store, job, now=int(SystemClock().now()))


def _as_json(id_: str, told: "Explanation") -> dict[str, Any]:
    return {
        "id": id_,
        "state": named(told.state),
        "money": told.money,
        "next": told.next,
        "facts": dict(told.facts),
        "timeline": [
            {"at": line.at, "words": line.words, "author": line.author, "event": line.event}
            for line in told.timeline
        ],
    }


def _show(side: str, id_: str, told: "Explanation") -> None:
    data(f"job {id_[:SHORT]}, {side} here: {named(told.state)}", style="bold")
    data(f"\n{fields([('money', told.money), ('next', told.next)])}\n")
    for line in told.timeline:
        data(f"  {to_the_second(line.at)}  {_who(line)}{clean(line.words)}")
    data(f"\n{fields([_fact(name, value) for name, value in told.facts])}")


def _who(line: "Line") -> str:
    return "" if line.author is None else f"{short(line.author)} "


def _fact(name: str, value: str) -> tuple[str, str]:
    """Show people as every other command does; programs are told their keys in hex."""
    from pylon.model.ids import PublicKey
    from pylon.wire import entities

    known = name in ("provider", "customer")
    return name, entities.npub(PublicKey(value)) if known else clean(value)
