"""`pylon wallet decode`."""

from pylon.cli.context import AsJson
from pylon.cli.output import emit, fields
from pylon.cli.wallet.invoice_view import as_json, details, read_invoice, summary


def decode(bolt11: str, /, *, json: AsJson = False) -> None:
    """Show all that an invoice says, offline. Its signature is checked.

    $ pylon wallet decode lnbcrt1…
    $ pylon wallet decode lnbcrt1… --json

    Parameters
    ----------
    bolt11
        The invoice.
    """
    from pylon.adapters.clock import SystemClock

    asked, now = read_invoice(bolt11), SystemClock().now()
    emit(as_json(asked, now), as_json=json, text=fields([*summary(asked, now), *details(asked)]))
