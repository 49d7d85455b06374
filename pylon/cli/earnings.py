"""`pylon earnings`."""

from typing import TYPE_CHECKING, Annotated

from attrs import asdict
from cyclopts import Parameter
from cyclopts.validators import Number

from pylon.cli.context import AsJson, Context, InContext
from pylon.cli.exit_codes import ExitCode
from pylon.cli.output import emit, say, table, when

if TYPE_CHECKING:
    from pylon.core.reconciliation import Reconciliation
    from pylon.model.earning import Earning, EarningsTotal
    from pylon.ports.wallet import Wallet

DAY_SECONDS = 86_400
WEEK_SECONDS = 7 * DAY_SECONDS
SHORT = 8  # characters of an id that are shown, as everywhere


def earnings(
    *,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 10,
    reconcile: Annotated[bool, Parameter(negative="")] = False,
    json: AsJson = False,
    context: InContext,
) -> int:
    """Show what this node has earned: the last day, the last week, in all, and the latest jobs.

    A job counts when the wallet has its payment and a relay its answer, once per payment hash.

    $ pylon earnings
    $ pylon earnings --limit 100 --json
    $ pylon earnings --reconcile

    Parameters
    ----------
    limit
        How many of the latest jobs to list.
    reconcile
        Hold what was earned against what the wallet has received, and name every difference;
        exit status 1 if one cannot be explained.
    """
    import trio

    if reconcile:
        return _reconcile(context, json=json)
    totals, latest = trio.run(_read, context, limit)
    if json:
        value = {
            **{f"{span}_msat": total.amount for span, total in totals.items()},
            **{f"{span}_jobs": total.jobs for span, total in totals.items()},
            "latest": [_as_json(earning) for earning in latest],
        }
        emit(value, as_json=True, text="")
    else:
        _show(totals, latest)
    return ExitCode.OK


def _reconcile(context: Context, *, json: bool) -> int:
    from pylon.cli.wallet.opening import with_wallet

    async def work(wallet: "Wallet") -> "Reconciliation":
        from pylon.app.reconciling import reconcile_earnings

        async with context.store() as store:
            return await reconcile_earnings(store, wallet)

    found = with_wallet(context, work)
    if json:
        differences = [asdict(difference) for difference in found.differences]
        value = {
            "holds": found.holds,
            "received_msat": found.received,
            "earned_msat": found.earned,
            "differences": differences,
        }
        emit(value, as_json=True, text="")
    else:
        _show_differences(found)
    return ExitCode.OK if found.holds else ExitCode.FAILURE


def _show_differences(found: "Reconciliation") -> None:
    from pylon.model.money import show_sats

    table(
        ("JOB", "PAYMENT", "RECEIVED", "EARNED", "WHY"),
        [
            (
                (difference.job or "-")[:SHORT],
                difference.payment_hash[:SHORT],
                show_sats(difference.received),
                show_sats(difference.earned),
                difference.words,
            )
            for difference in found.differences
        ],
    )
    sums = f"received {show_sats(found.received)}, earned {show_sats(found.earned)}"
    verdict = "every difference is explained" if found.holds else "SOMETHING IS WRONG"
    say(f"{sums}: {verdict if found.differences else 'they agree'}")


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
    table(("PERIOD", "EARNED", "JOBS"), rows)
    if not latest:
        say("nothing yet; jobs come in over the relays while `pylon run` is running")
        return
    table(
        ("JOB", "WHEN", "EARNED", "KIND", "BACKEND"),
        [
            (
                earning.job[:SHORT],
                when(earning.at),
                show_sats(earning.amount),
                str(earning.kind),
                earning.backend,
            )
            for earning in latest
        ],
    )
