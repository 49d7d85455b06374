"""The wallet of a home, as its configuration has it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from pylon.adapters.home import Home, make_folder
from pylon.adapters.lightning.ledger.opening import open_ledger
from pylon.adapters.lightning.ledger.wallet import LedgerWallet
from pylon.app.identity import Identity
from pylon.config import Config
from pylon.errors import Misconfigured
from pylon.model.money import Network
from pylon.ports.clock import Clock
from pylon.ports.wallet import Wallet


@asynccontextmanager
async def open_wallet(
    home: Home, config: Config, identity: Identity, *, clock: Clock
) -> AsyncGenerator[Wallet]:
    """Open the wallet that `config.wallet.backend` names; today that is the embedded ledger.

    Raises `Misconfigured` where it does not fit the network, `StoreBusy` while others hold it.
    """
    async with open_regtest_ledger(home, config, identity, clock=clock) as wallet:
        yield wallet


@asynccontextmanager
async def open_regtest_ledger(
    home: Home, config: Config, identity: Identity, *, clock: Clock
) -> AsyncGenerator[LedgerWallet]:
    """Open the embedded ledger, which can do more than a wallet: make money, audit, fail on order."""
    if identity.network is not Network.REGTEST:
        raise Misconfigured(
            f"this node is on {identity.network}, and there is no wallet for that network yet: "
            "make another home for regtest, pylon --home DIR init, where money is play money"
        )
    path = ledger_path(home, config)
    make_folder(path.parent)
    async with open_ledger(path, identity.node, clock=clock, label=config.node.name) as wallet:
        yield wallet


def ledger_path(home: Home, config: Config) -> Path:
    """Say where the ledger is: one for all homes of this user, unless configured otherwise."""
    asked = config.wallet.ledger_path
    return Path(asked).expanduser().absolute() if asked else home.ledger
