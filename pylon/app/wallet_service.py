"""The wallet of a home, served to others over Nostr Wallet Connect.

    client ⇄ relays ⇄ pool ─ heard ─► wallet service ─► purse ─► budget, wallet
                        └─ commands ◄──────┘

What the client spends counts in the node's budget and in a budget of its own, the scope `nwc`.
"""

import hmac
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import trio
from attrs import field, frozen

from pylon.adapters.home import Home
from pylon.adapters.keys import LocalSigner
from pylon.adapters.wallet_secrets import WalletSecret, load_secret, store_secret
from pylon.app.actors import Actors
from pylon.app.budget import caps_of, refuse_uncapped
from pylon.app.node import Opened, bundled_relay
from pylon.app.purse import Bill, Purse
from pylon.app.relays import open_pool
from pylon.app.store import open_store
from pylon.app.wallet import open_wallet
from pylon.config import Config
from pylon.core.fees import fee_limit
from pylon.errors import Malformed, Misconfigured
from pylon.model.budget import NODE, Purpose, Scope
from pylon.model.ids import PaymentHash, RelayUrl
from pylon.model.money import Msat, from_sats
from pylon.model.relays import RelayHealth
from pylon.model.wallet import PaymentResult
from pylon.ports.budget import Caps
from pylon.services.nwc_service import NwcService
from pylon.wire import hexes
from pylon.wire.nwc.uri import WalletUri, write_uri
from pylon.wire.relay_url import normalise
from pylon.wire.secp import KeyPair

SCOPE = Scope("nwc")
_PURPOSE = Purpose(scopes=(NODE, SCOPE))
_CLIENT = b"pylon nwc client"
_KEY_LENGTH = 32


@frozen
class ServedWallet:
    """Told once, when the wallet can be asked. `uri` is a spending key."""

    uri: str = field(repr=False)
    relay_health: Callable[[], tuple[RelayHealth, ...]]


@frozen
class Spending:
    """Spends from a purse, with the fee limit of the configuration."""

    _purse: Purse
    _config: Config

    async def pay(
        self, text: str, payment_hash: PaymentHash, amount: Msat, *, seconds: float
    ) -> PaymentResult:
        buyer = self._config.buyer
        floor = from_sats(buyer.fee_floor_sats)
        max_fee = fee_limit(amount, percent=buyer.fee_percent, floor=floor)
        bill = Bill(text, payment_hash, amount, max_fee)
        return await self._purse.pay(bill, deadline_seconds=seconds)

    async def settle(self) -> None:
        await self._purse.settle_leftovers()


async def serve_wallet(
    opened: Opened,
    *,
    relays: Sequence[RelayUrl] | None,
    budget: Msat | None,
    task_status: trio.TaskStatus[ServedWallet] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; `budget` is all that may ever be spent through it, None: as the node's.

    Without `relays` it is asked on those of the node, and serves the bundled one as a node does.

    Raises:
        Misconfigured: Another process serves this home's wallet, or real money would have no cap.
    """
    home, config, clock = opened.home, opened.config, opened.clock
    if budget is None:
        refuse_uncapped(config, opened.identity.network)
    home.create()
    with home.lock("wallet service"):
        secret = service_secret(home)
        urls = relays or tuple(dict.fromkeys(map(normalise, config.relay_urls)))
        signer, uri = LocalSigner(KeyPair(secret)), client_uri(secret, urls)
        async with (
            nullcontext() if relays else bundled_relay(opened),
            open_store(home.database) as store,
            open_wallet(home, config, opened.identity, clock=clock) as wallet,
            open_pool(urls, signer=signer, cursors=store.cursors, clock=clock) as pool,
            trio.open_nursery() as nursery,
        ):
            pool.outcomes.close()
            limits = {NODE: caps_of(config), SCOPE: Caps(total=budget)}
            purse = Purse(wallet, store.budget, home, limits, clock, _PURPOSE)
            service = NwcService(
                wallet,
                Spending(purse, config),
                signer,
                uri.keys().public_key,
                clock,
                pool.heard,
                pool.commands,
                config.node.name,
            )
            await Actors(nursery).start("wallet service", service.run)
            task_status.started(ServedWallet(write_uri(uri), pool.health))


def service_secret(home: Home) -> bytes:
    """Return the secret key that the wallet answers with; it is drawn once and stays."""
    text = load_secret(home, WalletSecret.NWC_SERVICE)
    if text is None:
        text = os.urandom(_KEY_LENGTH).hex()
        store_secret(home, WalletSecret.NWC_SERVICE, text)
    try:
        return hexes.decode(text, _KEY_LENGTH)
    except Malformed:
        path = home.secrets / WalletSecret.NWC_SERVICE
        raise Misconfigured(f"{path} holds no key: remove it, and clients connect anew") from None


def client_uri(wallet_secret: bytes, relays: Sequence[RelayUrl]) -> WalletUri:
    """Derive the client's key from the wallet's: one secret to keep, and the string stays the same.

    Nobody gets from the client's key to the wallet's.
    """
    secret = hmac.digest(wallet_secret, _CLIENT, "sha256")
    return WalletUri(KeyPair(wallet_secret).public_key, tuple(relays), secret.hex())
