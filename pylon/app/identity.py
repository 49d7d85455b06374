"""From the words in identity.enc to the keys a node works with."""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from attrs import field, frozen

from pylon.adapters import identity_file
from pylon.adapters.home import Home
from pylon.adapters.keys import LocalSigner
from pylon.core.known_mnemonics import is_public
from pylon.errors import Misconfigured, PylonError
from pylon.model.ids import NodeKey, PublicKey
from pylon.model.money import Network
from pylon.wire import entities, mnemonic
from pylon.wire.secp import KeyPair

BYTES_OF_WORDS = {12: 16, 24: 32}


@frozen
class Identity:
    """Who this node is on one network. Nothing of it shows its secret."""

    signer: LocalSigner
    node: KeyPair  # signs our invoices on the embedded ledger
    network: Network
    words: str = field(default="", repr=False, eq=False)  # for a wallet made of the same words

    @property
    def public_key(self) -> PublicKey:
        return self.signer.public_key

    @property
    def node_key(self) -> NodeKey:
        return self.node.node_key

    @property
    def npub(self) -> str:
        return entities.npub(self.public_key)


def unlock(home: Home, network: Network, *, ask_passphrase: Callable[[], str]) -> Identity:
    """Open this home's identity; asks for the passphrase only where there is one.

    Takes about half a second: scrypt, and the derivation of the keys. Raises `Misconfigured`.
    """
    passphrase = ask_passphrase() if identity_file.needs_passphrase(home) else None
    return from_words(identity_file.load(home, passphrase=passphrase), network)


def from_words(words: str, network: Network) -> Identity:
    """Derive both keys; raise `Misconfigured` for words that everybody knows, on mainnet."""
    if network is Network.MAINNET and is_public(words):
        raise Misconfigured(
            "these words are published in documentation: whoever reads it could take the money"
        )
    seed = mnemonic.seed(words)
    node = mnemonic.node_keys(seed, mainnet=network is Network.MAINNET)
    return Identity(LocalSigner(mnemonic.nostr_keys(seed)), node, network, words)


def new_words(count: int) -> str:
    """Draw 12 or 24 words from the system's randomness."""
    return mnemonic.generate(os.urandom(BYTES_OF_WORDS[count]))


def store(home: Home, words: str, *, passphrase: str | None, now: datetime) -> list[Path]:
    """Write the words to identity.enc; return the backups made of what was there before.

    Without a passphrase a key file beside it stands in; the caller allows that on regtest only.
    """
    kept = identity_file.set_aside(home, now)
    try:
        identity_file.save(home, words, passphrase=passphrase)
    except PylonError:
        identity_file.put_back(home, kept)
        raise
    return kept
