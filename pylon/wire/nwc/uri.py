"""The connection string of a wallet: `nostr+walletconnect://KEY?relay=URL&secret=KEY` (NIP-47).

Whoever holds it spends from the wallet. No error and no `repr` here shows any of it but public keys.
"""

from typing import Final
from urllib.parse import quote, unquote

from attrs import field, frozen

from pylon.errors import Malformed
from pylon.model.ids import PublicKey, RelayUrl
from pylon.wire import hexes, relay_url
from pylon.wire.secp import KeyPair

MAX_LENGTH: Final = 4096  # characters
MAX_RELAYS: Final = 8

_SCHEME: Final = "nostr+walletconnect"
_SCHEMES: Final = (_SCHEME, "nostrwalletconnect")  # as older wallets write it
_KEY_LENGTH: Final = 32


@frozen
class WalletUri:
    """How one client reaches one wallet, and the key that makes it that client."""

    wallet: PublicKey
    relays: tuple[RelayUrl, ...]
    secret: str = field(repr=False)  # 64 hex
    lud16: str | None = None  # a lightning address of the wallet's owner

    def keys(self) -> KeyPair:
        """Return the client's key pair."""
        return KeyPair(bytes.fromhex(self.secret))


def read_uri(text: str) -> WalletUri:
    """Read a connection string; parameters we do not know are ignored.

    Raises:
        Malformed: if it is none, or lacks a wallet, a relay or a secret that can be used.
    """
    if len(text) > MAX_LENGTH:
        raise Malformed("a connection string of more than 4096 characters")
    scheme, _, rest = text.strip().partition(":")
    if scheme.lower() not in _SCHEMES:
        raise Malformed("a connection string begins with nostr+walletconnect://")
    host, _, query = rest.removeprefix("//").partition("?")
    values = _query(query)
    uri = WalletUri(
        wallet=PublicKey(host.rstrip("/").lower()),
        relays=_relays(values.get("relay", [])),
        secret="".join(values.get("secret", ())).lower(),
        lud16=next(iter(values.get("lud16", ())), None) or None,
    )
    _check_keys(uri)
    return uri


def write_uri(uri: WalletUri) -> str:
    """Write a connection string, the secret included."""
    parameters = [("relay", relay) for relay in uri.relays] + [("secret", uri.secret)]
    if uri.lud16 is not None:
        parameters.append(("lud16", uri.lud16))
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters)
    return f"{_SCHEME}://{uri.wallet}?{query}"


def _query(query: str) -> dict[str, list[str]]:
    """Read the parameters by name. `+` stays a plus: this is no form."""
    values: dict[str, list[str]] = {}
    try:
        for part in query.split("&"):
            name, _, value = part.partition("=")
            values.setdefault(name, []).append(unquote(value, errors="strict"))
    except UnicodeDecodeError:
        raise Malformed("a connection string that is not UTF-8") from None
    return values


def _relays(urls: list[str]) -> tuple[RelayUrl, ...]:
    if not 1 <= len(urls) <= MAX_RELAYS:
        raise Malformed(f"a connection string names 1 to {MAX_RELAYS} relays")
    try:
        return tuple(dict.fromkeys(map(relay_url.normalise, urls)))
    except Malformed:
        raise Malformed("a relay in the connection string is no ws:// or wss:// URL") from None


def _check_keys(uri: WalletUri) -> None:
    """See that both keys can be used together; which of them cannot is not said."""
    try:
        hexes.decode(uri.secret, _KEY_LENGTH)
        uri.keys().shared_x(uri.wallet)
    except Malformed:
        raise Malformed("a connection string has two keys of 64 hex characters") from None
