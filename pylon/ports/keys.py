"""What services ask of the node's identity."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from pylon.model.event import Draft, Event
from pylon.model.ids import JobId, Preimage, PublicKey
from pylon.model.job import Encryption

Preimages: TypeAlias = Callable[[JobId], Preimage]  # of the invoice for a job


class Signer(Protocol):
    """Holds the Nostr secret key and never shows it."""

    @property
    def public_key(self) -> PublicKey:
        """The author of everything this signs."""
        ...

    def sign(self, draft: Draft) -> Event:
        """Give a draft its author, id and signature (NIP-01)."""
        ...

    def encrypt(self, text: str, peer: PublicKey) -> str:
        """Encrypt to `peer` (NIP-44 v2)."""
        ...

    def decrypt(self, payload: str, peer: PublicKey) -> str:
        """Decrypt what `peer` sent, NIP-44 or NIP-04 by its shape; raise `Undecryptable`."""
        ...

    def encrypt_legacy(self, text: str, peer: PublicKey) -> str:
        """Encrypt to `peer` in NIP-04, only ever in answer to NIP-04."""
        ...

    def preimage(self, job: JobId) -> Preimage:
        """Derive the preimage of the one invoice for a job: the same each time, so never lost.

        It tells nothing of the key, nor of other jobs' preimages.
        """
        ...


def conceal(signer: Signer, text: str, peer: PublicKey, encryption: Encryption) -> str:
    """Hide a text the way the one it answers was hidden; text in clear stays in clear."""
    match encryption:
        case Encryption.NONE:
            return text
        case Encryption.NIP44:
            return signer.encrypt(text, peer)
        case Encryption.NIP04:
            return signer.encrypt_legacy(text, peer)
