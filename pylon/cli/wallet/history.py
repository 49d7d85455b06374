"""`pylon wallet history`."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from pylon.cli.context import AsJson, InContext
from pylon.cli.output import emit, say, table, when
from pylon.cli.wallet.opening import with_wallet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pylon.model.wallet import HistoryEntry

LOOK_BACK = 200  # how many of the latest entries are looked through for what is not decided
_UNDECIDED = ("pending", "unknown", "accepted")


def history(
    *,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 20,
    completed: bool = False,
    json: AsJson = False,
    context: InContext,
) -> None:
    """Show what came in and went out: first what is not decided yet, then the newest.

    $ pylon wallet history
    $ pylon wallet history --limit 100 --completed --json

    Parameters
    ----------
    limit
        How many lines; what is not decided is always shown.
    completed
        Only what has really moved. What is not decided is then told beside it.
    """
    home, reach = context.home(), max(limit, LOOK_BACK)
    entries = with_wallet(context, lambda wallet: wallet.history(limit=reach))
    open_ = undecided(entries)
    if completed:
        shown = [entry for entry in entries if entry.state == "settled"][:limit]
        if open_:
            say(f"not decided yet: {len(open_)}; `{home.command} wallet history` shows them")
    else:
        rest = [entry for entry in entries if entry not in open_]
        shown = [*open_, *rest[: max(0, limit - len(open_))]]
    if json:
        emit([as_json(entry) for entry in shown], as_json=True, text="")
    elif not shown:
        say(f"nothing yet: {home.command} wallet invoice 100")
    else:
        _draw(shown)


def undecided(entries: "Sequence[HistoryEntry]") -> "list[HistoryEntry]":
    """Pick the payments that may still arrive or come back, and what is held."""
    return [entry for entry in entries if entry.state in _UNDECIDED]


def as_json(entry: "HistoryEntry") -> dict[str, object]:
    """Lay an entry out for programs."""
    return {
        "at": entry.at,
        "direction": entry.direction.value,
        "state": entry.state,
        "amount_msat": entry.amount,
        "fee_msat": entry.fee,
        "payment_hash": entry.payment_hash,
        "description": entry.description,
        "bolt11": entry.bolt11 or None,
        "preimage": entry.preimage,
        "expires_at": entry.expires_at,
        "settled_at": entry.settled_at,
    }


def _draw(entries: "Sequence[HistoryEntry]") -> None:
    from pylon.model.money import show_sats

    table(
        ("WHEN", "WAY", "STATE", "AMOUNT", "FEE", "WHAT"),
        [
            (
                when(entry.at),
                entry.direction.value,
                entry.state,
                show_sats(entry.amount),
                show_sats(entry.fee),
                entry.description,
            )
            for entry in entries
        ],
    )
