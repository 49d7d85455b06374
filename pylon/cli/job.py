"""`pylon job`."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from pylon.cli import order_view
from pylon.cli.commands import subcommands
from pylon.cli.context import AsJson, Context, InContext
from pylon.cli.exit_codes import ExitCode
from pylon.cli.job_driving import go_on, opened_home
from pylon.cli.job_explain import explain
from pylon.cli.job_refund import refund
from pylon.cli.job_submit import submit
from pylon.cli.output import emit, fields, say, table, when
from pylon.cli.receipt import of_job
from pylon.errors import InUse

if TYPE_CHECKING:
    from pylon.app.node import Opened
    from pylon.model.order import Order, OrderState
    from pylon.ports.records import Record

ASKED_WIDTH = 60  # characters of a question that a list shows

app = subcommands("job")
app.command(submit)
app.command(explain)
app.command(of_job, name="receipt")
app.command(refund)


@app.command
def results(job: str, /, *, wait: bool = False, json: AsJson = False, context: InContext) -> int:
    """Print the answer of a job ordered earlier.

    $ pylon job results 3fe2a9c1
    $ pylon job results 3fe2a9c1 --wait

    Parameters
    ----------
    job
        The job's id, or the beginning of it.
    wait
        Go on with a job that has not ended, until it has.
    """
    import trio

    async def work() -> int:
        return await go_on(opened, job, wait=wait, json=json)

    opened = opened_home(context)
    return trio.run(work)


@app.command
def status(job: str, /, *, json: AsJson = False, context: InContext) -> int:
    """Say where a job stands; of one that is done, show the receipt.

    $ pylon job status 3fe2a9c1

    Parameters
    ----------
    job
        The job's id, or the beginning of it.
    """
    import trio

    return trio.run(_status, context, job, json)


@app.command(name="list")
def list_(
    *,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 20,
    json: AsJson = False,
    context: InContext,
) -> None:
    """List the jobs ordered from this home, the latest first.

    $ pylon job list --limit 5

    Parameters
    ----------
    limit
        How many to show.
    """
    import trio

    trio.run(_list, context, limit, json)


@app.command
def cancel(job: str, /, *, json: AsJson = False, context: InContext) -> int:
    """Call a job off, if nothing is paid yet, and tell the providers.

    What is held for it comes back when its provider lets go of it.

    $ pylon job cancel 3fe2a9c1

    Parameters
    ----------
    job
        The job's id, or the beginning of it.
    """
    import trio

    return trio.run(_cancel, opened_home(context), job, json)


async def _status(context: Context, job: str, json: bool) -> int:
    from pylon.adapters.clock import SystemClock
    from pylon.app.ordering import find_order

    async with context.store() as store:
        record = await find_order(store, job)
    order, state = record.facts, record.state
    pylon, now = context.home().command, SystemClock().now()
    words = order_view.in_words(order, state, pylon=pylon, now=now)
    text = fields(order_view.receipt(order, state, words))
    emit(order_view.as_json(order, state), as_json=json, text=text)
    return ExitCode.OK


async def _list(context: Context, limit: int, json: bool) -> None:
    from pylon.core.order_machine import is_owed

    async with context.store() as store:
        records = await store.orders.recent(limit=limit)
    if json:
        emit([order_view.as_json(r.facts, r.state) for r in records], as_json=True, text="")
    elif records:
        table(("JOB", "WHEN", "STATE", "PRICE", "ASKED"), map(_row, records))
        if owing := [r for r in records if is_owed(r.state)]:
            pylon = context.home().command
            say(f"{len(owing)} of them are still to be paid back: {pylon} job refund", style="dim")
    else:
        say(f'no jobs yet: {context.home().command} job submit "What is 2+2?" --auto-pay')


def _row(record: "Record[Order, OrderState]") -> tuple[str, ...]:
    from pylon.model.money import show_sats

    order, state = record.facts, record.state
    offer = getattr(state, "offer", None)
    asked = " ".join(order_view.question(order).split())
    return (
        order.id[: order_view.SHORT],
        when(order.opened_at),
        order_view.name(state),
        show_sats(offer.amount) if offer else "-",
        asked if len(asked) <= ASKED_WIDTH else f"{asked[: ASKED_WIDTH - 3]}...",
    )


async def _cancel(opened: "Opened", job: str, json: bool) -> int:
    from pylon.app.ordering import (
        cancel_elsewhere,
        cancelled,
        find_order,
        lock_order,
        open_desk,
    )
    from pylon.app.store import open_store
    from pylon.core.order_machine import is_final

    async with open_store(opened.home.database) as store:
        record = await find_order(store, job)
    order, state = record.facts, record.state
    if not is_final(state):
        try:
            with lock_order(opened.home, order.id):
                async with open_desk(opened, since=order.opened_at) as desk:
                    state = await cancelled(desk, order.id)
        except InUse:
            async with open_store(opened.home.database) as store:
                state = await cancel_elsewhere(store, opened.clock, order.id)
    text = order_view.in_words(order, state, pylon=opened.home.command)
    withdrawn, waits = order_view.name(state) == "withdrawn", getattr(state, "cancelled", False)
    text = text if withdrawn or waits else f"not called off: {text}"
    emit(order_view.as_json(order, state), as_json=json, text=text)
    if waits:
        return ExitCode.PAYMENT_UNKNOWN
    return ExitCode.OK if withdrawn else ExitCode.FAILURE
