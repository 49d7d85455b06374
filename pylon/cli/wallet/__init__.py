"""`pylon wallet`."""

from pylon.cli.commands import subcommands
from pylon.cli.wallet.balance import address, balance
from pylon.cli.wallet.decode import decode
from pylon.cli.wallet.fault import fault
from pylon.cli.wallet.fund import audit, fund
from pylon.cli.wallet.history import history
from pylon.cli.wallet.invoice import invoice
from pylon.cli.wallet.pay import pay
from pylon.cli.wallet.serve import serve
from pylon.cli.wallet.status import status
from pylon.cli.wallet.use import use
from pylon.cli.whoami import whoami

app = subcommands("wallet")
app.command(status)
app.command(use)
app.command(balance)
app.command(fund)
app.command(address)
app.command(invoice, name=("invoice", "receive"))
app.command(pay, name=("pay", "send"))
app.command(decode)
app.command(history)
app.command(serve)
app.command(audit)
app.command(whoami)
app.command(fault, show=False)  # for tests and drills
