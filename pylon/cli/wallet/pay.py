"""`pylon wallet pay`, also `pylon wallet send`."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from pylon.cli.context import AsJson, Context, InContext
from pylon.cli.output import confirm, is_interactive, say
from pylon.cli.wallet.amount import read_amount
from pylon.cli.wallet.invoice_view import left, read_invoice
from pylon.cli.wallet.opening import run_with, unlocked, with_wallet
from pylon.cli.wallet.pay_view import Ground, Plan, plan_text, show_outcome, show_plan, state
from pylon.errors import Misconfigured, WalletUnavailable

if TYPE_CHECKING:
    from pylon.app.identity import Identity
    from pylon.app.purse import Purse
    from pylon.model.money import Msat
    from pylon.model.wallet import PaymentResult
    from pylon.ports.wallet import Wallet


def pay(
    bolt11: str,
    /,
    *,
    yes: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    max_fee: Annotated[str | None, Parameter(name=("--max-fee", "--max-fee-sats"))] = None,
    dry_run: bool = False,
    timeout: Annotated[float, Parameter(validator=Number(gt=0))] = 60,
    json: AsJson = False,
    context: InContext,
) -> int:
    """Pay an invoice, once: paying it again shows how it went the first time.

    What it asks for is shown before anything is paid. The budget's caps hold, but for that on one
    job: it is for none.

    Exit status: 0 paid, 1 failed, 5 too little money, 6 over budget, 9 not known yet.

    $ pylon wallet pay lnbcrt1…
    $ pylon wallet pay lnbcrt1… --dry-run
    $ pylon wallet send lnbcrt1… --yes --max-fee 3 --json

    Parameters
    ----------
    bolt11
        The invoice.
    yes
        Pay without asking; needed where there is nobody to ask.
    max_fee
        Most to pay in routing fees, in satoshi (default: buyer.fee_percent and fee_floor_sats).
    dry_run
        Show what would be paid, and pay nothing.
    timeout
        Seconds to wait for the outcome.
    """
    from pylon.adapters.clock import SystemClock

    plan, command, now = _read(bolt11, max_fee, context), context.home().command, SystemClock().now
    if not (yes or dry_run or is_interactive()):
        raise Misconfigured("there is nobody to ask: give --yes to pay")
    identity = unlocked(context)
    ground = with_wallet(context, lambda wallet: _look(wallet, plan), identity=identity)
    if dry_run:
        return show_plan(plan, ground, now(), json=json)
    if ground.known is None or state(ground.known) == "failed":
        _refuse_expired(plan, now())
        if not json:
            say(plan_text(plan, ground, now()))
        if not yes:
            _ask_to_pay(plan)
    result, balance = _pay(context, identity, plan, timeout)
    return show_outcome(result, short=balance < plan.amount, command=command, json=json)


def _read(bolt11: str, max_fee: str | None, context: Context) -> Plan:
    from pylon.core.fees import fee_limit
    from pylon.model.money import from_sats

    config = context.config()
    asked = read_invoice(bolt11)
    if asked.network != config.node.network:
        raise Misconfigured(
            f"the invoice is for {asked.network}, and this node is on {config.node.network}"
        )
    if asked.amount is None:
        raise Misconfigured("the invoice names no amount")
    floor = from_sats(config.buyer.fee_floor_sats)
    limit = fee_limit(asked.amount, percent=config.buyer.fee_percent, floor=floor)
    if max_fee is not None:
        limit = read_amount(max_fee, zero=True)
    return Plan(bolt11.strip(), asked, asked.amount, limit)


def _refuse_expired(plan: Plan, now: float) -> None:
    if now >= plan.invoice.expires_at:
        raise Misconfigured(
            f"the invoice expired {left(plan.invoice, now)}: ask its maker for a new one"
        )


def _ask_to_pay(plan: Plan) -> None:
    from pylon.model.money import show_sats

    asked = plan.invoice
    what = f" for {asked.description!r}" if asked.description else ""
    if not confirm(f"Pay {show_sats(plan.amount)}{what} to {asked.payee}?"):
        raise Misconfigured("not paid")


async def _look(wallet: "Wallet", plan: Plan) -> Ground:
    known = await wallet.payment(plan.invoice.payment_hash)
    able = (await wallet.info()).capabilities
    return Ground(await wallet.balance(), known, obeys_limit=able.max_fee)


def _pay(
    context: Context, identity: "Identity", plan: Plan, timeout: float
) -> "tuple[PaymentResult, Msat]":
    """Pay within the budget; return what became of it, and what is left to spend."""
    from pylon.adapters.clock import SystemClock
    from pylon.app.purse import Bill, open_purse
    from pylon.ports.wallet import answers_within

    bill = Bill(plan.bolt11, plan.invoice.payment_hash, plan.amount, plan.max_fee)

    async def paid(purse: "Purse") -> "tuple[PaymentResult, Msat]":
        result = await purse.pay(bill, deadline_seconds=timeout)
        try:
            with answers_within():
                return result, await purse.wallet.balance()
        except WalletUnavailable:  # what became of the payment is what counts
            return result, plan.amount

    home, config = context.home(), context.config()
    opened = open_purse(home, config, identity, clock=SystemClock())
    return run_with(opened, paid, patient=True)
