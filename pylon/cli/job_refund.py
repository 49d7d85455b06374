"""`pylon job refund`."""

from typing import TYPE_CHECKING

from pylon.cli import order_view
from pylon.cli.context import AsJson, InContext
from pylon.cli.exit_codes import ExitCode
from pylon.cli.following import short
from pylon.cli.job_driving import opened_home
from pylon.cli.output import emit, say

if TYPE_CHECKING:
    from pylon.app.node import Opened
    from pylon.model.order import Order, OrderState
    from pylon.ports.records import Record

AT_ONCE_SECONDS = 10.0  # how long a refund is waited for unless asked to wait


def refund(
    job: str | None = None,
    /,
    *,
    wait: bool = False,
    json: AsJson = False,
    context: InContext,
) -> int:
    """Get back what was paid for jobs that were not done, and say what is still owed.

    Providers that fail after they were paid owe it back. They are sent an invoice; this looks
    whether they have paid it, and sends another where one has expired.

    $ pylon job refund
    $ pylon job refund 3fe2a9c1 --wait

    Parameters
    ----------
    job
        The job's id, or the beginning of it (default: every job that something is owed for).
    wait
        Wait until the money is there.
    """
    import trio

    return trio.run(_refund, opened_home(context), job, wait, json)


async def _refund(opened: "Opened", job: str | None, wait: bool, json: bool) -> int:
    from pylon.app.ordering import ask_back, find_order, open_desk, owed
    from pylon.app.store import open_store
    from pylon.core.order_machine import is_owed
    from pylon.model.order import Disputed

    async with open_store(opened.home.database) as store:
        wanted = await owed(store) if job is None else [await find_order(store, job)]
    if any(is_owed(record.state) or isinstance(record.state, Disputed) for record in wanted):
        since = min(record.facts.opened_at for record in wanted)
        async with open_desk(opened, since=since) as desk:
            seconds = None if wait else AT_ONCE_SECONDS
            wanted = await ask_back(desk, [record.id for record in wanted], seconds=seconds)
    _show(opened, wanted, json)
    return ExitCode.PROVIDER_FAILURE if any(is_owed(r.state) for r in wanted) else ExitCode.OK


def _show(opened: "Opened", records: "list[Record[Order, OrderState]]", json: bool) -> None:
    if json:
        emit([order_view.as_json(r.facts, r.state) for r in records], as_json=True, text="")
    elif not records:
        say("no provider owes you anything")
    else:
        pylon = opened.home.command
        for record in records:
            order, state = record.facts, record.state
            who = order_view.provider(order, state)
            words = order_view.in_words(order, state, pylon=pylon)
            say(f"{order.id[: order_view.SHORT]}  {short(who) if who else '-'}  {words}", hang=2)
