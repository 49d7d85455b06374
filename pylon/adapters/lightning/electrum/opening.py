"""Opening the wallet of a daemon: who it is, on which network, and what it can do."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from pylon.adapters.lightning.electrum.answers import GetInfo
from pylon.adapters.lightning.electrum.invoices import InvoiceDesk
from pylon.adapters.lightning.electrum.notes import Notes
from pylon.adapters.lightning.electrum.payments import PaymentDesk
from pylon.adapters.lightning.electrum.rpc import Rpc, open_rpc
from pylon.adapters.lightning.electrum.wallet import ElectrumWallet
from pylon.errors import Misconfigured
from pylon.model.ids import NodeKey
from pylon.model.money import Network
from pylon.model.wallet import Capabilities, WalletInfo
from pylon.ports.clock import Clock
from pylon.ports.wallet import answers_within

_HOLDS: Final = frozenset(
    {
        "add_hold_invoice",
        "check_hold_invoice",
        "settle_hold_invoice",
        "cancel_hold_invoice",
        "export_lightning_preimage",
    }
)


@asynccontextmanager
async def open_electrum(
    url: str, *, user: str, password: str, network: Network, clock: Clock
) -> AsyncGenerator[ElectrumWallet, None]:
    """Open the wallet of the Electrum daemon that answers at `url` (http, of this machine).

    Version 4.8 can hold payments and obeys a fee limit, 4.3 does neither; both tell the preimages
    of their invoices.

    Raises:
        Misconfigured: The daemon refuses user or password, is on another network, or its wallet has
            no Lightning.
        WalletUnavailable: It does not answer, or has no wallet that it can open.
    """
    async with open_rpc(url, user=user, password=password) as rpc:
        with answers_within():
            info, holds = await _identify(rpc, network)
        notes = Notes(rpc)
        yield ElectrumWallet(
            rpc,
            info,
            InvoiceDesk(rpc, clock, notes, holds),
            PaymentDesk(rpc, network, obeys_fee_limit=holds, counts_parts=holds),
            clock,
        )


async def _identify(rpc: Rpc, network: Network) -> tuple[WalletInfo, bool]:
    daemon = await rpc.call("getinfo", GetInfo)
    if daemon.network != network:
        raise Misconfigured(
            f"this Electrum is on {daemon.network[:20]}, and this node is on {network}"
        )
    node, *_ = (await rpc.call("nodeid", str)).split("@")
    holds = set(await rpc.call("help", list[str])) >= _HOLDS
    able = Capabilities(hold=holds, tells_preimage=True, max_fee=holds)
    return WalletInfo("electrum", network, NodeKey(node), able), holds
