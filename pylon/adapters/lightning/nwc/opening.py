"""Opening a wallet by its connection string."""

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import trio

from pylon.adapters.lightning.nwc.session import Session
from pylon.adapters.lightning.nwc.wallet import NwcWallet
from pylon.errors import Malformed, Misconfigured
from pylon.model.money import Network
from pylon.ports.clock import Clock
from pylon.ports.relay import Dial
from pylon.wire.nwc.uri import read_uri


@asynccontextmanager
async def open_nwc(
    uri: str,
    *,
    network: Network,
    dial: Dial,
    clock: Clock,
    fraction: Callable[[], float] = random.random,
) -> AsyncGenerator[NwcWallet, None]:
    """Keep a wallet within reach for as long as the block lasts.

    Opening waits for nobody: while relays or wallet are away, what is asked of the wallet raises
    `WalletUnavailable`. `fraction` spreads the tries to reconnect; it is random in [0, 1).

    Raises:
        Misconfigured: `uri` is no connection string. It is a spending key and is never shown.
    """
    try:
        session = Session(read_uri(uri), clock, dial, fraction)
    except Malformed as fault:
        raise Misconfigured(f"this is no NWC connection string: {fault}") from None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.run)
        yield NwcWallet(session, network, clock)
        nursery.cancel_scope.cancel("the wallet is no longer needed")
