"""The wallet of a home, as its configuration has it."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import MappingProxyType

from attrs import field, frozen

from pylon.adapters.home import Home, make_folder, make_private_folder
from pylon.adapters.lightning.ledger.opening import open_ledger
from pylon.adapters.lightning.ledger.wallet import LedgerWallet
from pylon.adapters.wallet_secrets import WalletSecret, load_secret
from pylon.app.identity import Identity
from pylon.config import Config
from pylon.errors import Misconfigured
from pylon.model.money import Network
from pylon.ports.clock import Clock
from pylon.ports.wallet import Wallet


@asynccontextmanager
async def open_wallet(
    home: Home,
    config: Config,
    identity: Identity,
    *,
    clock: Clock,
    secrets: Mapping[WalletSecret, str] = MappingProxyType({}),
) -> AsyncGenerator[Wallet]:
    """Open the wallet that `config.wallet.backend` names; `secrets` stand in for those in files.

    Raises `Misconfigured` where it does not fit the network or lacks what opens it,
    `WalletUnavailable` where it does not answer, `StoreBusy` while others hold the ledger.
    """
    refuse_network(config, identity.network)
    async with _chosen(_Place(home, config, identity, clock, secrets)) as wallet:
        yield wallet


def refuse_network(config: Config, network: Network) -> None:
    """Raise `Misconfigured` where no wallet may be opened: real money needs a word of its own."""
    if network is Network.MAINNET and not config.wallet.mainnet:
        raise Misconfigured(
            "this node is on mainnet, where money is real: "
            "write mainnet = true under [wallet] in config.toml to allow that"
        )


@asynccontextmanager
async def open_regtest_ledger(
    home: Home, config: Config, identity: Identity, *, clock: Clock
) -> AsyncGenerator[LedgerWallet]:
    """Open the embedded ledger, which can do more than a wallet: make money, audit, fail on order."""
    if identity.network is not Network.REGTEST:
        raise Misconfigured(
            f"this node is on {identity.network}, and the ledger's play money is for regtest: "
            f"choose another wallet, {home.command} wallet use --help"
        )
    path = ledger_path(home, config)
    make_folder(path.parent)
    async with open_ledger(path, identity.node, clock=clock, label=config.node.name) as wallet:
        yield wallet


def ledger_path(home: Home, config: Config) -> Path:
    """Say where the ledger is: one for all homes of this user, unless configured otherwise."""
    asked = config.wallet.ledger_path
    return Path(asked).expanduser().absolute() if asked else home.ledger


# --- the adapter of each; its library is imported when it is chosen


@frozen
class _Place:
    home: Home
    config: Config
    identity: Identity
    clock: Clock
    secrets: Mapping[WalletSecret, str] = field(repr=False)

    def secret(self, which: WalletSecret) -> str | None:
        return self.secrets.get(which) or load_secret(self.home, which)

    def needed(self, which: WalletSecret, what: str) -> str:
        """Raise `Misconfigured` for a secret that is not there; `what` says what it is."""
        text = self.secret(which)
        if text is None:
            use = f"{self.home.command} wallet use {self.config.wallet.backend}"
            raise Misconfigured(f"{self.home.secrets / which}, {what}, is missing: {use}")
        return text


def _chosen(place: _Place) -> AbstractAsyncContextManager[Wallet]:
    backend = place.config.wallet.backend
    try:
        return _OPENERS[backend](place)
    except ModuleNotFoundError as exc:
        raise Misconfigured(
            f"the wallet {backend} needs {exc.name}, which is not installed: "
            f"pip install 'pylon[{backend}]'"
        ) from exc


def _ledger(place: _Place) -> AbstractAsyncContextManager[Wallet]:
    return open_regtest_ledger(place.home, place.config, place.identity, clock=place.clock)


def _nwc(place: _Place) -> AbstractAsyncContextManager[Wallet]:
    from pylon.adapters.lightning.nwc import open_nwc
    from pylon.adapters.websocket import dial_websocket

    uri = place.needed(WalletSecret.NWC_URI, "the connection string of the wallet")
    return open_nwc(uri, network=place.identity.network, dial=dial_websocket, clock=place.clock)


def _electrum(place: _Place) -> AbstractAsyncContextManager[Wallet]:
    from pylon.adapters.lightning.electrum import open_electrum

    secret = place.needed(WalletSecret.ELECTRUM_PASSWORD, "user:password of Electrum's daemon")
    user, _, password = secret.partition(":")
    return open_electrum(
        place.config.wallet.electrum_url,
        user=user,
        password=password,
        network=place.identity.network,
        clock=place.clock,
    )


def _lnd(place: _Place) -> AbstractAsyncContextManager[Wallet]:
    from pylon.adapters.lightning.lnd import open_lnd

    asked = place.config.wallet
    if not asked.lnd_macaroon:
        raise Misconfigured(f"lnd needs a macaroon: {place.home.command} wallet use lnd --help")
    return open_lnd(
        asked.lnd_url,
        certificate=_path(asked.lnd_tls_cert) if asked.lnd_tls_cert else None,
        macaroon=_path(asked.lnd_macaroon),
        network=place.identity.network,
        clock=place.clock,
    )


def _spark(place: _Place) -> AbstractAsyncContextManager[Wallet]:
    from pylon.adapters.lightning.spark import open_spark

    make_private_folder(place.home.spark)
    return open_spark(
        place.identity.words,
        network=place.identity.network,
        storage=place.home.spark,
        api_key=place.secret(WalletSecret.SPARK_KEY),
        clock=place.clock,
    )


_OPENERS: Mapping[str, Callable[[_Place], AbstractAsyncContextManager[Wallet]]] = {
    "ledger": _ledger,
    "nwc": _nwc,
    "electrum": _electrum,
    "lnd": _lnd,
    "spark": _spark,
}


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()
