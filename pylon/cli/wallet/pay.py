"""`pylon wallet pay`."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from pylon.cli.context import AsJson, InContext
from pylon.cli.exit_codes import ExitCode
from pylon.cli.output import confirm, data, emit, is_interactive, say
from pylon.cli.wallet.opening import with_ledger
from pylon.errors import Misconfigured, WalletUnavailable

if TYPE_CHECKING:
    from pylon.model.invoice import Invoice
    from pylon.model.money import Msat
    from pylon.model.wallet import PaymentResult
    from pylon.ports.wallet import Wallet


def pay(
    bolt11: str,
    /,
    *,
    yes: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    max_fee_sats: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    timeout: Annotated[float, Parameter(validator=Number(gt=0))] = 60,
    json: AsJson = False,
    context: InContext,
) -> ExitCode:
    """Pay an invoice, once: paying it again shows how it went the first time.

    Exit status: 0 paid, 1 failed, 5 too little money, 9 not known yet.

    $ pylon wallet pay lnbcrt1…
    $ pylon wallet pay lnbcrt1… --yes --json

    Parameters
    ----------
    bolt11
        The invoice.
    yes
        Pay without asking; needed where there is nobody to ask.
    max_fee_sats
        Most to pay in routing fees (default: buyer.fee_percent and fee_floor_sats).
    timeout
        Seconds to wait for the outcome.
    """
    from pylon.core.fees import fee_limit
    from pylon.model.money import from_sats

    buyer = context.config().buyer
    asked, amount = _read(bolt11)
    if not yes:
        _ask_to_pay(asked, amount)
    floor = from_sats(buyer.fee_floor_sats)
    limit = fee_limit(amount, percent=buyer.fee_percent, floor=floor)
    max_fee = limit if max_fee_sats is None else from_sats(max_fee_sats)

    async def paid(wallet: "Wallet") -> "tuple[PaymentResult, Msat]":
        try:
            result = await wallet.pay(bolt11, max_fee=max_fee, deadline_seconds=timeout)
        except WalletUnavailable:
            known = await wallet.payment(asked.payment_hash)
            if known is None:
                raise
            result = known
        return result, await wallet.balance()

    result, left = with_ledger(context, paid)
    return _show_outcome(result, short=left < amount, json=json)


def _read(bolt11: str) -> "tuple[Invoice, Msat]":
    from pylon.errors import BadInvoice
    from pylon.wire.bolt11 import decode

    try:
        asked = decode(bolt11)
    except BadInvoice as exc:
        raise Misconfigured(f"this is no invoice: {exc}") from exc
    if asked.amount is None:
        raise Misconfigured("the invoice names no amount")
    return asked, asked.amount


def _ask_to_pay(asked: "Invoice", amount: "Msat") -> None:
    from pylon.model.money import show_sats

    if not is_interactive():
        raise Misconfigured("there is nobody to ask: give --yes to pay")
    what = f" for {asked.description!r}" if asked.description else ""
    if not confirm(f"Pay {show_sats(amount)}{what} to {asked.payee}?"):
        raise Misconfigured("not paid")


def _show_outcome(result: "PaymentResult", *, short: bool, json: bool) -> ExitCode:
    from attrs import asdict

    from pylon.model.money import show_sats
    from pylon.model.wallet import PaymentFailed, PaymentSettled

    match result:
        case PaymentSettled(_, preimage, amount, fee):
            state, code = "settled", ExitCode.OK
            text = f"paid {show_sats(amount)} and {show_sats(fee)} in fees; preimage {preimage}"
        case PaymentFailed(_, reason):
            state, code = "failed", ExitCode.FUNDS if short else ExitCode.FAILURE
            text = f"not paid: {reason}"
        case _:
            state, code = "pending", ExitCode.PAYMENT_UNKNOWN
            text = "not known yet: the payment may still arrive; run the same command again to see"
    renamed = {"amount": "amount_msat", "fee": "fee_msat"}
    value = {renamed.get(name, name): given for name, given in asdict(result).items()}
    if json:
        emit({"state": state, **value}, as_json=True, text="")
    elif code is ExitCode.OK:
        data(text)
    else:
        say(f"pylon: {text}", style="red")
    return code
