"""A payment as it is shown: before, so that a person can decide, and after."""

from typing import TYPE_CHECKING

from attrs import frozen

from pylon.cli.exit_codes import ExitCode
from pylon.cli.output import data, emit, fields, say
from pylon.cli.wallet.invoice_view import as_json, summary

if TYPE_CHECKING:
    from pylon.model.invoice import Invoice
    from pylon.model.money import Msat
    from pylon.model.wallet import PaymentResult


@frozen
class Plan:
    """What is to be paid, and what it may cost."""

    bolt11: str
    invoice: "Invoice"
    amount: "Msat"
    max_fee: "Msat"


@frozen
class Ground:
    """What the wallet says before it pays."""

    balance: "Msat"
    known: "PaymentResult | None"  # how an earlier attempt went
    obeys_limit: bool  # whether the fee stays below what is asked for


def plan_text(plan: Plan, ground: Ground, now: float) -> str:
    """Show what a person must know to say yes."""
    from pylon.model.money import show_sats

    amount, *rest = summary(plan.invoice, now)
    fee = f"{show_sats(plan.max_fee)} at most"
    if not ground.obeys_limit:
        fee = f"as the wallet likes: it obeys no limit, and {show_sats(plan.max_fee)} are set aside"
    return fields([amount, ("fee", fee), *rest, ("balance", show_sats(ground.balance))])


def show_plan(plan: Plan, ground: Ground, now: float, *, json: bool) -> ExitCode:
    """Show what would be paid, and whether it could be."""
    value = {
        "state": "dry-run",
        **as_json(plan.invoice, now),
        "max_fee_msat": plan.max_fee,
        "obeys_max_fee": ground.obeys_limit,
        "balance_msat": ground.balance,
        "earlier_attempt": ground.known and state(ground.known),
    }
    emit(value, as_json=json, text=plan_text(plan, ground, now))
    hindrance, code = _hindrance(plan, ground, now)
    if hindrance:
        say(f"pylon: {hindrance}", style="red")
    else:
        say("Nothing was paid.")
    return code


def _hindrance(plan: Plan, ground: Ground, now: float) -> tuple[str, ExitCode]:
    if ground.known is not None and state(ground.known) != "failed":
        return "", ExitCode.OK
    if now >= plan.invoice.expires_at:
        return "the invoice has expired", ExitCode.FAILURE
    if ground.balance < plan.amount:
        return "the balance is too small", ExitCode.FUNDS
    return "", ExitCode.OK


def state(result: "PaymentResult") -> str:
    """Name an outcome: settled, failed or pending."""
    from pylon.model.wallet import PaymentFailed, PaymentSettled

    match result:
        case PaymentSettled():
            return "settled"
        case PaymentFailed():
            return "failed"
        case _:
            return "pending"


def show_outcome(result: "PaymentResult", *, short: bool, command: str, json: bool) -> ExitCode:
    """Tell how a payment went; `short` says that the wallet holds less than was to be paid."""
    from attrs import asdict

    from pylon.model.money import show_sats
    from pylon.model.wallet import PaymentFailed, PaymentSettled

    if json:
        renamed = {"amount": "amount_msat", "fee": "fee_msat"}
        value = {renamed.get(name, name): given for name, given in asdict(result).items()}
        emit({"state": state(result), **value}, as_json=True, text="")
    match result:
        case PaymentSettled(_, preimage, amount, fee):
            if not json:
                paid = f"paid {show_sats(amount)} and {show_sats(fee)} in fees"
                data(f"{paid}; preimage {preimage}")
            return ExitCode.OK
        case PaymentFailed(_, reason):
            if not json:
                say(f"pylon: not paid: {reason}", style="red")
            return ExitCode.FUNDS if short else ExitCode.FAILURE
        case _:
            if not json:
                say(
                    "pylon: not known yet: the payment may still arrive; do not pay for the same "
                    "thing with another invoice.\nThe same command again waits for the outcome, "
                    f"`{command} wallet status` shows it until then.",
                    style="red",
                )
            return ExitCode.PAYMENT_UNKNOWN
