"""`pylon wallet balance` and `pylon wallet address`: what there is, and where more can come in."""

from typing import TYPE_CHECKING

from pylon.cli.context import AsJson, InContext
from pylon.cli.output import emit
from pylon.cli.wallet.opening import with_wallet
from pylon.errors import Misconfigured

if TYPE_CHECKING:
    from pylon.ports.wallet import Wallet


def balance(*, json: AsJson = False, context: InContext) -> None:
    """Show what can be spent now.

    $ pylon wallet balance
    """
    from pylon.model.money import show_sats

    held = with_wallet(context, lambda wallet: wallet.balance())
    emit({"balance_msat": held}, as_json=json, text=show_sats(held))


def address(*, json: AsJson = False, context: InContext) -> None:
    """Show the on-chain address whose deposits fund this wallet, where it has one.

    $ pylon wallet address
    """
    from pylon.ports.wallet_extras import Addressed

    command = context.home().command

    async def look(wallet: "Wallet") -> str:
        if isinstance(wallet, Addressed):
            return await wallet.deposit_address()
        backend = (await wallet.info()).backend
        raise Misconfigured(
            f"the wallet {backend} has no address here; it is paid by invoices: "
            f"{command} wallet invoice 100"
        )

    found = with_wallet(context, look)
    emit({"address": found}, as_json=json, text=found)
