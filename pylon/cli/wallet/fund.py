"""`pylon wallet fund` and `pylon wallet audit`: what only some wallets can do."""

from typing import TYPE_CHECKING

from pylon.cli.context import AsJson, InContext
from pylon.cli.exit_codes import ExitCode
from pylon.cli.output import emit
from pylon.cli.wallet.amount import read_amount
from pylon.cli.wallet.opening import with_wallet
from pylon.errors import Misconfigured

if TYPE_CHECKING:
    from pylon.model.money import Msat
    from pylon.ports.wallet import Wallet


def fund(amount: str = "10000", /, *, json: AsJson = False, context: InContext) -> None:
    """Take play money from a faucet, where the wallet has one, and show the balance.

    $ pylon wallet fund
    $ pylon wallet fund 500 --json

    Parameters
    ----------
    amount
        How much, in satoshi.
    """
    from pylon.model.money import show_sats
    from pylon.ports.wallet_extras import Faucet

    asked, command = read_amount(amount), context.home().command

    async def ask(wallet: "Wallet") -> "Msat":
        if isinstance(wallet, Faucet):
            return await wallet.fund(asked)
        raise Misconfigured(
            f"the wallet {(await wallet.info()).backend} has no faucet; it is paid by invoices: "
            f"{command} wallet invoice 100"
        )

    balance = with_wallet(context, ask)
    emit({"balance_msat": balance}, as_json=json, text=show_sats(balance))


def audit(*, json: AsJson = False, context: InContext) -> ExitCode:
    """Check the books of the whole ledger: sums, settlements, preimages.

    Exit status: 0 sound, 1 not.

    $ pylon wallet audit
    """
    from pylon.ports.wallet_extras import Audited

    async def check(wallet: "Wallet") -> list[str]:
        if isinstance(wallet, Audited):
            return await wallet.audit()
        raise Misconfigured(
            f"the wallet {(await wallet.info()).backend} keeps its books itself: "
            "only those of the embedded ledger can be checked here"
        )

    faults = with_wallet(context, check)
    text = "\n".join(faults) if faults else "the books are sound"
    emit({"sound": not faults, "faults": faults}, as_json=json, text=text)
    return ExitCode.FAILURE if faults else ExitCode.OK
