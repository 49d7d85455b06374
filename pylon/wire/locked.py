"""Results that a payment opens: encrypted under the invoice's preimage, version 1 (market.md).

    key  HKDF-SHA256(preimage, salt = payment hash, info = "pylon/locked-result/1" || job id)
    aad  job id || provider's public key
    text base64 of nonce (12 bytes) || ChaCha20-Poly1305(key, nonce, text, aad)

Every node on the payment's route learns the preimage, so this always travels inside NIP-44.
"""

import binascii
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pylon.errors import Malformed
from pylon.model.ids import JobId, PaymentHash, Preimage, PublicKey
from pylon.model.reply import Locked
from pylon.wire import nip44

NONCE_BYTES: Final = 12
KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
MAX_TEXT: Final = nip44.MAX_TEXT // 4 * 3 - NONCE_BYTES - TAG_BYTES  # bytes that fit into NIP-44
_INFO: Final = b"pylon/locked-result/1"


def describe(text: str, preimage: Preimage) -> Locked:
    """Return what a locked result says of itself in clear."""
    return Locked(hash_of(preimage), sha256(text.encode()).hexdigest())


def hash_of(preimage: Preimage) -> PaymentHash:
    """Return the payment hash of a preimage."""
    return PaymentHash(sha256(bytes.fromhex(preimage)).hexdigest())


def lock(text: str, preimage: Preimage, *, job: JobId, provider: PublicKey, nonce: bytes) -> str:
    """Encrypt a result; `nonce` is 12 random bytes. A preimage locks one result and never another.

    Raises:
        Malformed: if it is too long to travel inside NIP-44.
    """
    data = text.encode()
    if len(data) > MAX_TEXT:
        raise Malformed(f"it has {len(data):,} bytes, and a locked one carries {MAX_TEXT:,}")
    sealed = _cipher(preimage, job).encrypt(nonce, data, _context(job, provider))
    return binascii.b2a_base64(nonce + sealed, newline=False).decode()


def unlock(
    payload: str, preimage: Preimage, locked: Locked, *, job: JobId, provider: PublicKey
) -> str:
    """Decrypt a result and hold it against what was said of it in clear.

    Raises:
        Malformed: if the preimage does not open it, or what it opens is not what was promised:
            with the preimage of the invoice that was paid, that is fraud.
    """
    try:
        data = binascii.a2b_base64(payload, strict_mode=True)
    except (binascii.Error, ValueError):
        raise Malformed("the locked result is no base64") from None
    nonce, sealed = data[:NONCE_BYTES], data[NONCE_BYTES:]
    if len(nonce) < NONCE_BYTES:
        raise Malformed("the locked result is too short")
    try:
        opened = _cipher(preimage, job).decrypt(nonce, sealed, _context(job, provider))
    except InvalidTag:
        raise Malformed("the preimage does not open the locked result") from None
    if sha256(opened).hexdigest() != locked.digest:
        raise Malformed("the locked result is not the one that was promised")
    try:
        return opened.decode()
    except UnicodeDecodeError:
        raise Malformed("the locked result is no text") from None


def _cipher(preimage: Preimage, job: JobId) -> ChaCha20Poly1305:
    secret, salt = bytes.fromhex(preimage), bytes.fromhex(hash_of(preimage))
    info = _INFO + bytes.fromhex(job)
    return ChaCha20Poly1305(HKDF(SHA256(), KEY_BYTES, salt, info).derive(secret))


def _context(job: JobId, provider: PublicKey) -> bytes:
    return bytes.fromhex(job) + bytes.fromhex(provider)
