"""The wallet, opened for one command."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from pylon.cli import passphrase
from pylon.cli.context import Context

if TYPE_CHECKING:
    from pylon.adapters.lightning.ledger.wallet import LedgerWallet

T = TypeVar("T")


def with_ledger(context: Context, work: "Callable[[LedgerWallet], Awaitable[T]]") -> T:
    """Open this home's wallet for one piece of work."""
    import trio

    from pylon.adapters.clock import SystemClock
    from pylon.app.identity import unlock
    from pylon.app.wallet import open_regtest_ledger
    from pylon.model.money import Network

    config = context.config()
    home, network = context.home(), Network(config.node.network)
    identity = unlock(home, network, ask_passphrase=partial(passphrase.current, context))

    async def run() -> T:
        async with open_regtest_ledger(home, config, identity, clock=SystemClock()) as wallet:
            return await work(wallet)
        raise AssertionError("the ledger swallows no exception")

    return trio.run(run)
