"""`pylon wallet fault`: trouble on order, for tests and drills."""

from typing import Literal

from pylon.cli.context import InContext
from pylon.cli.output import say
from pylon.cli.wallet.opening import with_ledger

Kind = Literal[
    "fail", "no-route", "latency", "lose-payment", "lose-invoice", "stuck", "duplicate", "clear"
]


def fault(
    kind: Kind,
    /,
    *,
    value: int = 0,
    reason: str = "",
    times: int | None = None,
    context: InContext,
) -> None:
    """Order trouble for this wallet, in whichever program uses it.

    $ pylon wallet fault fail --reason "no liquidity" --times 1
    $ pylon wallet fault latency --value 1500
    $ pylon wallet fault stuck
    $ pylon wallet fault clear

    Parameters
    ----------
    kind
        What goes wrong; clear ends all of it, and stuck payments arrive.
    value
        Milliseconds for latency; for no-route the largest amount that passes, in millisatoshi.
    reason
        What a failed payment says.
    times
        On how many occasions (default: until cleared).
    """
    from pylon.adapters.lightning.ledger.faults import Fault, FaultKind

    if kind == "clear":
        with_ledger(context, lambda wallet: wallet.clear_faults())
        say("No more trouble.")
    else:
        ordered = Fault(FaultKind(kind), value, reason, times)
        with_ledger(context, lambda wallet: wallet.inject(ordered))
        say(f"From now on: {kind}.")
