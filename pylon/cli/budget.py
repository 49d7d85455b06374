"""`pylon budget`."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import Parameter
from cyclopts.validators import Number

from pylon.cli.commands import subcommands
from pylon.cli.context import AsJson, Context, InContext
from pylon.cli.output import data, emit, say, table, when
from pylon.errors import Misconfigured

if TYPE_CHECKING:
    from pylon.app.budget import CapUse
    from pylon.model.money import Msat
    from pylon.ports.budget import Budget

_Sats = Annotated[int | None, Parameter(validator=Number(gte=0))]

T = TypeVar("T")

app = subcommands("budget")


@app.command
def show(*, json: AsJson = False, context: InContext) -> None:
    """Show each cap, what is spent and set aside under it, and whether spending is paused.

    Of the caps for one job and for one provider, the job and the provider that cost most are shown.
    Hours and days are those of UTC.

    $ pylon budget show
    $ pylon budget show --json
    """
    from pylon.app.budget import cap_uses, caps_of

    caps, now = caps_of(context.config()), _now()

    async def look(budget: "Budget") -> "tuple[list[CapUse], int | None]":
        return await cap_uses(budget, caps, now=now), await budget.paused()

    uses, paused = _with_budget(context, look)
    if json:
        value = {"paused_since": paused, "caps": [_cap_json(use) for use in uses]}
        emit(value, as_json=True, text="")
        return
    if paused is not None:
        data(f"spending is paused since {when(paused)}: {context.home().command} budget resume")
    table(
        ("CAP", "LIMIT", "SPENT", "SET ASIDE", "LEFT", "OF"),
        [(_name(use), *_amounts(use), _shown(use)) for use in uses],
    )


@app.command(name="set")
def set_caps(
    *,
    per_job: _Sats = None,
    per_provider: _Sats = None,
    per_hour: _Sats = None,
    per_day: _Sats = None,
    total: _Sats = None,
    json: AsJson = False,
    context: InContext,
) -> None:
    """Change caps, in satoshi, fees included; 0 is no cap.

    They are written to config.toml, and hold for whatever is started from now on. What is running
    keeps the caps that it was started with: `pylon budget pause` stops it at once.

    $ pylon budget set --per-day 5000
    $ pylon budget set --per-job 100 --per-provider 2000 --per-hour 500 --total 0

    Parameters
    ----------
    per_job
        Most for one job.
    per_provider
        Most for one provider, in total.
    per_hour
        Most in one hour.
    per_day
        Most in one day.
    total
        Most in total.
    """
    from pylon.adapters.config_file import change_config, load_config

    asked = {
        "per_job_sats": per_job,
        "per_provider_sats": per_provider,
        "per_hour_sats": per_hour,
        "per_day_sats": per_day,
        "total_sats": total,
    }
    wanted = {key: sats for key, sats in asked.items() if sats is not None}
    if not wanted:
        raise Misconfigured("name a cap to set: --per-day SATS, for one")
    home = context.home()
    before = load_config(home, {}).budget
    change_config(home, "budget", wanted)
    changes = {key: {"old": getattr(before, key), "new": sats} for key, sats in wanted.items()}
    lines = [f"{key}: {_sats(c['new'])}, was {_sats(c['old'])}" for key, c in changes.items()]
    emit(changes, as_json=json, text="\n".join(lines))
    in_force = context.config().budget
    for key, sats in wanted.items():
        if (other := getattr(in_force, key)) != sats:
            say(f"pylon: warning: the environment sets {key} to {other}", style="yellow")


@app.command
def pause(*, json: AsJson = False, context: InContext) -> None:
    """Stop all spending of this home at once, in every process of it.

    Nothing new is reserved, and nothing that waits is sent to the wallet. What the wallet has been
    told to pay already cannot be called back, and stays set aside until its outcome is known.

    $ pylon budget pause
    """
    from pylon.core.budget import Span
    from pylon.model.budget import NODE, Purpose
    from pylon.model.money import show_sats

    now = _now()

    async def stop(budget: "Budget") -> "tuple[int | None, Msat]":
        await budget.pause(now=now)
        used = await budget.usage(Purpose(), now=now)
        return await budget.paused(), used[NODE][Span.TOTAL].reserved

    since, reserved = _with_budget(context, stop)
    text = f"spending is paused; to go on: {context.home().command} budget resume"
    if reserved:
        text = f"{show_sats(reserved)} are set aside for payments under way\n{text}"
    emit({"paused_since": since, "reserved_msat": reserved}, as_json=json, text=text)


@app.command
def resume(*, json: AsJson = False, context: InContext) -> None:
    """Allow spending again, within the caps.

    $ pylon budget resume
    """
    _with_budget(context, lambda budget: budget.resume())
    emit({"paused_since": None}, as_json=json, text="spending is allowed, within the caps")


def _with_budget(context: Context, work: "Callable[[Budget], Awaitable[T]]") -> T:
    """Open this home's memory for one look at the budget, or one change of it."""
    import trio

    async def run() -> T:
        async with context.store() as store:
            return await work(store.budget)
        raise AssertionError("the store swallows no exception")

    return trio.run(run)


def _now() -> int:
    from pylon.adapters.clock import SystemClock

    return int(SystemClock().now())


def _name(use: "CapUse") -> str:
    return use.span if use.span == "total" else f"per {use.span}"


def _cap_json(use: "CapUse") -> dict[str, Any]:
    return {
        "cap": _name(use).replace(" ", "_"),
        "limit_msat": use.limit,
        "spent_msat": use.used.spent,
        "reserved_msat": use.used.reserved,
        "left_msat": use.left,
        "of": use.most,
    }


def _amounts(use: "CapUse") -> tuple[str, ...]:
    from pylon.model.money import show_sats

    amounts = (use.limit, use.used.spent, use.used.reserved, use.left)
    return tuple("-" if amount is None else show_sats(amount) for amount in amounts)


def _shown(use: "CapUse") -> str:
    """Name the job or the provider that a line is about, as other commands do."""
    from pylon.core.budget import Span
    from pylon.model.ids import PublicKey
    from pylon.wire import entities

    if use.most is None:
        return ""
    return entities.npub(PublicKey(use.most)) if use.span is Span.PROVIDER else use.most


def _sats(sats: int) -> str:
    return f"{sats:,} sat" if sats else "no cap"
