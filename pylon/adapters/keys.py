"""The node's identity over a secret key in memory; the randomness of signatures and nonces."""

import os
from functools import lru_cache, partial

from pylon.model.event import Draft, Event
from pylon.model.ids import JobId, Preimage, PublicKey
from pylon.wire import event as events
from pylon.wire import nip04, nip44, secp
from pylon.wire.secp import KeyPair

_PEERS = 1024  # whose shared keys are kept
_PREIMAGE = b"pylon/preimage/1"


class LocalSigner:
    """A `Signer` (ports/keys.py) that holds its key itself. It never shows the secret."""

    def __init__(self, keys: KeyPair) -> None:
        secp.randomize(os.urandom(32))
        self._keys = keys
        self._shared = lru_cache(maxsize=_PEERS)(keys.shared_x)
        self._conversation = lru_cache(maxsize=_PEERS)(partial(nip44.conversation_key, keys))

    def __repr__(self) -> str:
        return f"LocalSigner({self.public_key})"

    @property
    def public_key(self) -> PublicKey:
        return self._keys.public_key

    def sign(self, draft: Draft) -> Event:
        return events.sign(draft, self._keys, aux=os.urandom(32))

    def encrypt(self, text: str, peer: PublicKey) -> str:
        return nip44.encrypt(self._conversation(peer), text, nonce=os.urandom(32))

    def decrypt(self, payload: str, peer: PublicKey) -> str:
        if nip04.is_nip04(payload):
            return nip04.decrypt(self._shared(peer), payload)
        return nip44.decrypt(self._conversation(peer), payload)

    def encrypt_legacy(self, text: str, peer: PublicKey) -> str:
        return nip04.encrypt(self._shared(peer), text, iv=os.urandom(16))

    def preimage(self, job: JobId) -> Preimage:
        return Preimage(self._keys.derive(_PREIMAGE + bytes.fromhex(job)).hex())
