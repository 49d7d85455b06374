"""The programs of other people that speak Nostr Wallet Connect, and our own wallet served to them."""

import sys
from pathlib import Path
from typing import Any

from attrs import define, field

from pylon.wire.nwc.uri import WalletUri, read_uri
from tests.integration.market import BUYER, Market, Process

FOLDER = Path(__file__).parent
SDK = FOLDER / "node_modules" / "@getalby" / "sdk"


@define
class Client:
    """A wallet client of somebody else's, one call at a time."""

    process: Process
    told: list[Any] = field(factory=list)

    async def call(self, name: str, **args: Any) -> Any:
        """Call, and return the result; fail if there is none."""
        said = await self.try_call(name, **args)
        assert "error" not in said, said
        return said["result"]

    async def try_call(self, name: str, **args: Any) -> Any:
        await self.process.tell({"call": name, "args": args})
        return await self.answer()

    async def answer(self) -> Any:
        while "told" in (said := await self.process.read()):
            self.told.append(said["told"])
        return said

    async def hear(self) -> Any:
        """Return the next thing that the wallet has told by itself."""
        while not self.told:
            self.told.append((await self.process.read())["told"])
        return self.told.pop(0)


@define
class Served:
    """Our wallet, served by a process of its own on the market's relay."""

    process: Process
    text: str = field(repr=False)

    @property
    def uri(self) -> WalletUri:
        return read_uri(self.text)


async def serve(market: Market, *options: str, home: str = BUYER) -> Served:
    process = await market.start(home, "wallet", "serve", "--nwc", "--json", *options)
    return Served(process, (await process.read())["uri"])


async def nostr_sdk_client(market: Market, uri: str) -> Client:
    command = (sys.executable, "-m", "tests.integration.nwc.nostr_sdk_client")
    process = await market.launch(*command, told=True)
    await process.tell(uri)
    return Client(process)


async def alby_client(market: Market, node: str, uri: str) -> Client:
    process = await market.launch(node, str(FOLDER / "alby_client.mjs"), told=True)
    await process.tell(uri)
    client = Client(process)
    assert (await client.answer())["result"]["encryption"] == "nip44_v2"
    return client
