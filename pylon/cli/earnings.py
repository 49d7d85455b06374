"""`pylon earnings`."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from pylon.cli.context import AsJson, Context, InContext
from pylon.cli.output import emit, say, table, when

if TYPE_CHECKING:
    from pylon.model.earning import Earning, EarningsTotal

DAY_SECONDS = 86_400
WEEK_SECONDS = 7 * DAY_SECONDS


def earnings(
    *,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 10,
    json: AsJson = False,
    context: InContext,
) -> None:
    """Show what this node has earned: the last day, the last week, in all, and the latest jobs.

    A job counts when the wallet has its payment and a relay its answer, once per payment hash.

    $ pylon earnings
    $ pylon earnings --limit 100 --json

    Parameters
    ----------
    limit
        How many of the latest jobs to list.
    """
    import trio

    totals, latest = trio.run(_read, context, limit)
    if json:
        value = {
            **{f"{span}_msat": total.amount for span, total in totals.items()},
            **{f"{span}_jobs": total.jobs for span, total in totals.items()},
            "latest": [_as_json(earning) for earning in latest],
        }
        emit(value, as_json=True, text="")
        return
    _show(totals, latest)


async def _read(context: Context, limit: int) -> "tuple[dict[str, EarningsTotal], list[Earning]]":
    from pylon.adapters.clock import SystemClock

    now = int(SystemClock().now())
    spans = {"day": now - DAY_SECONDS, "week": now - WEEK_SECONDS, "total": 0}
    async with context.store() as store:
        totals = {span: await store.earnings.total(since=since) for span, since in spans.items()}
        return totals, await store.earnings.recent(limit=limit)


def _as_json(earning: "Earning") -> dict[str, object]:
    return {
        "job": earning.job,
        "payment_hash": earning.payment_hash,
        "customer": earning.customer,
        "kind": earning.kind,
        "backend": earning.backend,
        "amount_msat": earning.amount,
        "at": earning.at,
    }


def _show(totals: "dict[str, EarningsTotal]", latest: "list[Earning]") -> None:
    from pylon.model.money import show_sats

    names = {"day": "last 24 hours", "week": "last 7 days", "total": "in all"}
    rows = [(names[span], show_sats(t.amount), str(t.jobs)) for span, t in totals.items()]
    table(("WHEN", "EARNED", "JOBS"), rows)
    if not latest:
        say("nothing yet; jobs come in over the relays while `pylon run` is running")
        return
    table(
        ("AT", "EARNED", "JOB", "KIND", "BACKEND"),
        [
            (
                when(earning.at),
                show_sats(earning.amount),
                earning.job[:12],
                str(earning.kind),
                earning.backend,
            )
            for earning in latest
        ],
    )
