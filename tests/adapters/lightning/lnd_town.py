"""Three lnd doubles on one memory ledger, and Pylon's wallets at them."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import trio

from pylon.adapters.lightning.lnd import open_lnd
from pylon.adapters.lightning.lnd.wallet import LndWallet
from pylon.adapters.memory.clock import MemoryClock
from pylon.adapters.memory.wallet import MemoryMarket
from pylon.model.money import Msat, Network
from pylon.ports.wallet import Wallet
from pylon.wire.secp import KeyPair
from tests.adapters.lightning.https_double import serving
from tests.adapters.lightning.lnd_double import TERMS, LndNode
from tests.adapters.wallet_contract import AMOUNT, FUNDS

NAMES = ("payee", "payer", "rival")


class LndTown:
    """The nodes stay when the program is restarted."""

    payee: LndWallet
    payer: LndWallet
    rival: LndWallet

    def __init__(self, folder: Path, nursery: trio.Nursery) -> None:
        self.clock = MemoryClock()
        self.fee = TERMS.fee(AMOUNT)
        self.hold_seconds = TERMS.hold_seconds
        market = MemoryMarket(self.clock, TERMS)
        self.nodes = {
            name: LndNode(market.wallet(KeyPair(bytes([n]) * 32)), self.clock, nursery)
            for n, name in enumerate(NAMES, start=1)
        }
        self._folder = folder
        self._program = AsyncExitStack()
        self._places: dict[str, tuple[str, Path]] = {}

    async def serve(self, stack: AsyncExitStack) -> None:
        for name, node in self.nodes.items():
            serves = serving(node.answer, self._folder, name=name)
            self._places[name] = await stack.enter_async_context(serves)

    async def open(self) -> None:
        self.payee, self.payer, self.rival = [
            await self._program.enter_async_context(self.opening(name)) for name in NAMES
        ]

    @asynccontextmanager
    async def opening(self, name: str) -> AsyncGenerator[LndWallet, None]:
        """Open a node's wallet as a program does."""
        url, certificate = self._places[name]
        macaroon = self._folder / f"{name}.macaroon"
        macaroon.write_bytes(self.nodes[name].macaroon)
        macaroon.chmod(0o600)
        async with open_lnd(
            url,
            certificate=certificate,
            macaroon=macaroon,
            network=Network.REGTEST,
            clock=self.clock,
        ) as wallet:
            yield wallet

    async def close(self) -> None:
        await self._program.aclose()

    async def restart(self) -> None:
        await self.close()
        await self.open()

    def node(self, wallet: Wallet) -> LndNode:
        (name,) = [name for name in NAMES if getattr(self, name) is wallet]
        return self.nodes[name]

    async def give(self, wallet: Wallet, amount: Msat) -> None:
        await self.node(wallet).wallet.fund(amount)

    async def lose_next_answer(self, wallet: Wallet) -> None:
        self.node(wallet).lose_next = True


@asynccontextmanager
async def lnd_town(folder: Path) -> AsyncGenerator[LndTown, None]:
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        town = LndTown(folder, nursery)
        await town.serve(stack)
        await town.open()
        for name in ("payer", "rival"):
            await town.nodes[name].wallet.fund(FUNDS)
        yield town
        assert await town.nodes["payee"].wallet.audit() == []
        await town.close()
        nursery.cancel_scope.cancel()
