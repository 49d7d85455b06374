"""`pylon wallet pay`, also `pylon wallet send`."""

from hashlib import sha256
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from pylon.cli.context import AsJson, Context, InContext
from pylon.cli.output import confirm, is_interactive, say
from pylon.cli.wallet.amount import read_amount
from pylon.cli.wallet.invoice_view import left, read_invoice
from pylon.cli.wallet.opening import with_wallet
from pylon.cli.wallet.pay_view import Ground, Plan, plan_text, show_outcome, show_plan, state
from pylon.errors import Misconfigured, WalletUnavailable

if TYPE_CHECKING:
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

    What it asks for is shown before anything is paid.

    Exit status: 0 paid, 1 failed, 5 too little money, 9 not known yet.

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
    ground = with_wallet(context, lambda wallet: _look(wallet, plan))
    if dry_run:
        return show_plan(plan, ground, now(), json=json)
    if ground.known is None or state(ground.known) == "failed":
        _refuse_expired(plan, now())
        if not json:
            say(plan_text(plan, ground, now()))
        if not yes:
            _ask_to_pay(plan)
    result, balance = with_wallet(context, lambda wallet: _pay(wallet, plan, timeout), patient=True)
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
    return Ground(await wallet.balance(), await wallet.payment(plan.invoice.payment_hash))


async def _pay(wallet: "Wallet", plan: Plan, patience: float) -> "tuple[PaymentResult, Msat]":
    from pylon.ports.wallet import answers_within

    result = await _outcome(wallet, plan, patience)
    try:
        with answers_within():
            return result, await wallet.balance()
    except WalletUnavailable:  # what became of the payment is what counts
        return result, plan.amount


async def _outcome(wallet: "Wallet", plan: Plan, patience: float) -> "PaymentResult":
    """Pay, and believe no more than is known: without an answer, or proof, it is in flight."""
    from pylon.model.wallet import PaymentInFlight, PaymentSettled
    from pylon.ports.wallet import ANSWER_SECONDS, answers_within

    payment_hash = plan.invoice.payment_hash
    result: PaymentResult | None
    try:
        with answers_within(patience + ANSWER_SECONDS):
            result = await wallet.pay(plan.bolt11, max_fee=plan.max_fee, deadline_seconds=patience)
    except WalletUnavailable:
        result = await _recalled(wallet, plan)
        if result is None:
            raise
    if isinstance(result, PaymentSettled) and not _proves(result.preimage, payment_hash):
        return PaymentInFlight(payment_hash)
    return result


async def _recalled(wallet: "Wallet", plan: Plan) -> "PaymentResult | None":
    """Ask what became of a payment whose answer was lost; None if it never began."""
    from pylon.model.wallet import PaymentInFlight
    from pylon.ports.wallet import answers_within

    try:
        with answers_within():
            return await wallet.payment(plan.invoice.payment_hash)
    except WalletUnavailable:
        return PaymentInFlight(plan.invoice.payment_hash)


def _proves(preimage: str, payment_hash: str) -> bool:
    return sha256(bytes.fromhex(preimage)).hexdigest() == payment_hash
