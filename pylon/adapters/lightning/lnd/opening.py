"""Opening a wallet at an lnd: its certificate, its macaroon, its network."""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from pylon.adapters.home import read_secret
from pylon.adapters.lightning.lnd.invoices import InvoiceDesk, Memos
from pylon.adapters.lightning.lnd.messages import NodeInfo
from pylon.adapters.lightning.lnd.payments import PaymentDesk
from pylon.adapters.lightning.lnd.rest import BAKE, NotPermitted, Rest
from pylon.adapters.lightning.lnd.wallet import LndWallet
from pylon.errors import Malformed, Misconfigured
from pylon.model.ids import NodeKey
from pylon.model.money import Network
from pylon.model.wallet import Capabilities, WalletInfo
from pylon.ports.clock import Clock
from pylon.wire.macaroon import permissions

CONNECT_SECONDS: Final = 10.0
_ABLE: Final = Capabilities(hold=True, chosen_preimage=True, msat=True, max_fee=True)
_NEEDED: Final = ("info", "invoices", "offchain")  # what a wallet has business with


@asynccontextmanager
async def open_lnd(
    url: str, *, certificate: Path | None, macaroon: Path, network: Network, clock: Clock
) -> AsyncGenerator[LndWallet, None]:
    """Open the wallet of the lnd whose REST interface is at `url`.

    The one certificate trusted is that in the file `certificate`; None trusts what the system does.
    The macaroon's file must be its owner's alone. `info:read` is not needed, but without it the
    network shows only in the first invoice.

    Raises:
        Misconfigured: A file is missing or no use, lnd refuses the macaroon, shows another
            certificate or is on another network.
        WalletUnavailable: lnd does not answer, or its wallet is locked.
    """
    secret, warning = _read_macaroon(macaroon)
    async with httpx.AsyncClient(
        base_url=_checked(url),
        verify=_trust(certificate),
        headers={"Grpc-Metadata-macaroon": secret.hex(), "User-Agent": "pylon"},
        timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
        limits=httpx.Limits(max_connections=None, keepalive_expiry=30),
        trust_env=False,  # a spending key goes to lnd, whatever proxy is set for the web
    ) as client:
        rest = Rest(url, client)
        node_key = await _identify(rest, network)
        yield LndWallet(
            rest,
            WalletInfo("lnd", network, node_key, _ABLE, warning),
            InvoiceDesk(rest, network, clock, Memos(rest)),
            PaymentDesk(rest, network),
            clock,
        )


async def _identify(rest: Rest, network: Network) -> NodeKey | None:
    try:
        info = await rest.get("/v1/getinfo", NodeInfo)
    except NotPermitted:  # a macaroon without info:read does for the rest
        return None
    networks = {chain.network for chain in info.chains}
    if networks != {network.value}:
        is_on = ", ".join(sorted(networks)) or "no network"
        raise Misconfigured(f"this lnd is on {is_on[:100]}, and this node is on {network}")
    return NodeKey(info.identity_pubkey)


def _checked(url: str) -> str:
    """Refuse to send a spending key in the clear."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https" or (parts.scheme == "http" and _is_here(host)):
        return url
    raise Misconfigured(f"{url}: lnd's REST interface has an address like https://127.0.0.1:8080")


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _trust(certificate: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if certificate is None:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(cadata=certificate.read_text(encoding="ascii"))
    except (OSError, ValueError, ssl.SSLError) as error:
        raise Misconfigured(f"{certificate} is no certificate: give lnd's tls.cert") from error
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # this one, whoever has signed it
    return context


def _read_macaroon(path: Path) -> tuple[bytes, str]:
    """Return the macaroon, and what is to be said about it."""
    try:
        secret = read_secret(path)
        allowed = permissions(secret)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read: bake it with: {BAKE}") from error
    except Malformed as fault:
        raise Misconfigured(f"{path} holds {fault}: bake one with: {BAKE}") from fault
    beyond = sorted(
        power
        for power in allowed
        if power.partition(":")[0] not in _NEEDED and not power.endswith(":read")
    )
    if not beyond:
        return secret, ""
    shown = ", ".join(beyond)[:200]
    return secret, f"the macaroon may do more than a wallet needs ({shown}): bake one with: {BAKE}"
