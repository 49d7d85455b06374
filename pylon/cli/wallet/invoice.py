"""`pylon wallet invoice`, also `pylon wallet receive`."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from pylon.cli.context import AsJson, InContext
from pylon.cli.exit_codes import ExitCode
from pylon.cli.output import emit, flush, say
from pylon.cli.wallet.amount import check_grain, read_amount
from pylon.cli.wallet.opening import with_wallet
from pylon.cli.wallet.qr import show_qr
from pylon.errors import WalletUnavailable

if TYPE_CHECKING:
    from pylon.model.wallet import InvoiceStatus, IssuedInvoice
    from pylon.ports.wallet import Wallet

LOOK_SECONDS = 0.5  # how often the wallet is asked whether an invoice is paid
LATE_SECONDS = 30  # how long after the expiry of an invoice a wallet may take to say so


def invoice(
    amount: str,
    /,
    *,
    memo: str = "",
    expiry: Annotated[int, Parameter(validator=Number(gte=1))] = 3600,
    wait: bool = False,
    json: AsJson = False,
    context: InContext,
) -> int:
    """Make an invoice for others to pay, with a QR code on a terminal.

    Exit status with --wait: 0 paid, 1 cancelled, 7 not paid in time.

    $ pylon wallet invoice 100
    $ pylon wallet invoice 1,500 --memo "for coffee" --wait
    $ pylon wallet receive 100 --json

    With --wait and --json a second document says how it ended.

    Parameters
    ----------
    amount
        How much, in satoshi.
    memo
        What it is for; the payer reads it.
    expiry
        Seconds until it can be paid no more.
    wait
        Stay until it is paid, or can be paid no more.
    """
    asked = read_amount(amount)

    async def make(wallet: "Wallet") -> ExitCode:
        check_grain(asked, (await wallet.info()).capabilities)
        made = await wallet.make_invoice(asked, description=memo, expiry_seconds=expiry)
        _show(made, json=json)
        if not wait:
            return ExitCode.OK
        return _show_ending(await _ending(wallet, made), json=json)

    return with_wallet(context, make, patient=wait)


def _show(made: "IssuedInvoice", *, json: bool) -> None:
    value = {
        "bolt11": made.bolt11,
        "payment_hash": made.payment_hash,
        "amount_msat": made.amount,
        "expires_at": made.expires_at,
    }
    if not json:
        show_qr(made.bolt11)
    emit(value, as_json=json, text=made.bolt11)
    flush()


async def _ending(wallet: "Wallet", made: "IssuedInvoice") -> "InvoiceStatus":
    """Wait until an invoice is open no more; a wallet that is away meanwhile is asked again."""
    import trio

    from pylon.adapters.clock import SystemClock
    from pylon.model.wallet import InvoiceState, InvoiceStatus
    from pylon.ports.wallet import answers_within

    clock = SystemClock()
    say("waiting for the payment; Ctrl-C leaves the invoice as it is")
    while True:
        try:
            with answers_within():
                status = await wallet.lookup(made.payment_hash)
        except WalletUnavailable:
            if clock.now() > made.expires_at + LATE_SECONDS:
                raise
            status = None
        if status is not None and status.state is not InvoiceState.OPEN:
            return status
        if clock.now() > made.expires_at + LATE_SECONDS:
            return InvoiceStatus(made.payment_hash, InvoiceState.EXPIRED)
        await trio.sleep(LOOK_SECONDS)


def _show_ending(status: "InvoiceStatus", *, json: bool) -> ExitCode:
    from pylon.model.money import show_sats
    from pylon.model.wallet import InvoiceState

    if json:
        value = {
            "state": status.state.value,
            "payment_hash": status.payment_hash,
            "paid_msat": status.paid,
        }
        emit(value, as_json=True, text="")
    match status.state:
        case InvoiceState.SETTLED:
            say(f"paid: {show_sats(status.paid)}", style="green")
            return ExitCode.OK
        case InvoiceState.EXPIRED:
            say("pylon: not paid in time: the invoice has expired", style="red")
            return ExitCode.TIMEOUT
        case other:
            say(f"pylon: not paid: the invoice is {other.value}", style="red")
            return ExitCode.FAILURE
