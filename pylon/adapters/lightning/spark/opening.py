"""Opening the Spark wallet of a set of words."""

from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import trio

from pylon.adapters.home import make_private_folder
from pylon.adapters.lightning.spark.bell import Bell, Listener
from pylon.adapters.lightning.spark.book import open_book
from pylon.adapters.lightning.spark.bridge import on_the_loop
from pylon.adapters.lightning.spark.invoices import InvoiceDesk
from pylon.adapters.lightning.spark.payments import PaymentDesk
from pylon.adapters.lightning.spark.sdk import ANSWER_SECONDS, Spark, answered, load, said
from pylon.adapters.lightning.spark.wallet import SparkWallet
from pylon.errors import Misconfigured, WalletUnavailable
from pylon.model.money import Network
from pylon.model.wallet import Capabilities, WalletInfo
from pylon.ports.clock import Clock

CLOSE_SECONDS: Final = 1.0  # the SDK takes five without a network; it goes on by itself

_NETWORKS: Final = {
    Network.MAINNET: "MAINNET",
    Network.REGTEST: "REGTEST",
    Network.SIGNET: "SIGNET",
}
_ABLE: Final = Capabilities(hold=True, max_fee=True)
_WARNINGS: Final = {Network.REGTEST: "Spark's hosted regtest: play money"}


@asynccontextmanager
async def open_spark(
    words: str, *, network: Network, storage: Path, api_key: str | None, clock: Clock
) -> AsyncGenerator[SparkWallet, None]:
    """Open the Spark wallet of a mnemonic; `storage` is a folder for what it keeps.

    Needs no network to open; what does ends in `WalletUnavailable` without.

    Raises:
        Misconfigured: The extra is not installed or another version, Spark has no such network,
            or mainnet was asked for without an API key.
    """
    if network not in _NETWORKS:
        raise Misconfigured(f"Spark has no {network}: it has mainnet, signet and regtest")
    if network is Network.MAINNET and not api_key:
        raise Misconfigured("Spark wants an API key of Breez on mainnet: pylon wallet use spark")
    sdk = load()
    make_private_folder(storage)
    config = sdk.default_config(network=getattr(sdk.Network, _NETWORKS[network]))
    config.api_key = api_key
    config.real_time_sync_server_url = None  # what we pay for is nobody's business
    connection = await _connect(sdk, config, words, storage)
    try:
        spark = Spark(sdk, connection, on_the_loop)
        async with wallet_of(spark, storage, network, clock) as wallet:
            yield wallet
    finally:
        with trio.move_on_after(CLOSE_SECONDS, shield=True), suppress(WalletUnavailable):
            await answered(sdk, on_the_loop, connection.disconnect)


@asynccontextmanager
async def wallet_of(
    spark: Spark, storage: Path, network: Network, clock: Clock
) -> AsyncGenerator[SparkWallet, None]:
    """Make a wallet of what is connected already."""
    bell = Bell()
    await spark.listen(Listener(bell))
    identity = (
        await spark("get_info", spark.sdk.GetInfoRequest(ensure_synced=False))
    ).identity_pubkey
    async with open_book(storage / f"{network}-{identity[:16]}.db") as book:
        yield SparkWallet(
            spark,
            WalletInfo("spark", network, None, _ABLE, _WARNINGS.get(network, "")),
            book,
            InvoiceDesk(spark, book, network, clock),
            PaymentDesk(spark, book, network, clock, bell),
            bell,
            clock,
        )


async def _connect(sdk: Any, config: Any, words: str, storage: Path) -> Any:
    def connect() -> Awaitable[Any]:
        seed = sdk.Seed.MNEMONIC(mnemonic=words, passphrase=None)
        request = sdk.ConnectRequest(config=config, seed=seed, storage_dir=str(storage))
        connected: Awaitable[Any] = sdk.connect(request=request)
        return connected

    try:
        with trio.move_on_after(ANSWER_SECONDS):
            return await on_the_loop(connect)
    except (sdk.SdkError.NetworkError, sdk.SdkError.SparkError) as error:
        raise WalletUnavailable(f"Spark: {_without(words, error)}") from None
    except sdk.SdkError as error:
        raise Misconfigured(f"Spark: {_without(words, error)}") from None
    raise WalletUnavailable(f"Spark does not open for {ANSWER_SECONDS:g} s")


def _without(words: str, error: Exception) -> str:
    """Say what is wrong, but nothing in which a word of the mnemonic may be meant."""
    text = said(error)
    quotes = set(text.lower().split()) & set(words.lower().split())
    return type(error).__name__ if quotes else text
