"""Encryption to one peer, version 2 (NIP-44).

A payload is base64 of: version, 32-byte nonce, ciphertext, 32-byte MAC. Texts of up to 65,535 bytes are
written; the longer form of June 2026 is read but never written, because few can read it. The signature
of the event around a payload is verified before the payload is decrypted.
"""

import binascii
import hmac
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from pylon.errors import Malformed, Undecryptable
from pylon.model.ids import PublicKey
from pylon.wire.secp import KeyPair

MAX_TEXT: Final = 0xFFFF  # bytes of UTF-8 that can be encrypted
MAX_PAYLOAD: Final = 1 << 20  # characters of base64 that are read

_VERSION: Final = b"\x02"
_SALT: Final = b"nip44-v2"
_NONCE: Final = slice(1, 33)
_CIPHERTEXT: Final = slice(33, -32)
_MAC: Final = slice(-32, None)
_MIN_PAYLOAD: Final = 132  # characters
_MIN_DATA: Final = 99  # bytes
_MIN_PADDED: Final = 32
_FINE_CHUNKS: Final = 256  # paddings up to this go in steps of 32 bytes


def conversation_key(keys: KeyPair, peer: PublicKey) -> bytes:
    """Derive the 32-byte key both sides share. It costs 50 µs and never changes: keep it per peer.

    Raises:
        Malformed: if `peer` is not a point of the curve.
    """
    return hmac.digest(_SALT, keys.shared_x(peer), "sha256")


def encrypt(key: bytes, text: str, *, nonce: bytes) -> str:
    """Encrypt a text under a conversation key; `nonce` is 32 random bytes, never used before.

    Raises:
        Malformed: if the text is empty, over 65,535 bytes of UTF-8, or holds a lone surrogate.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise Malformed("text holds a lone surrogate") from None
    if not 1 <= len(data) <= MAX_TEXT:
        raise Malformed(f"NIP-44 carries 1 to {MAX_TEXT} bytes, not {len(data)}")
    padded = len(data).to_bytes(2, "big") + data + bytes(padded_length(len(data)) - len(data))
    cipher_key, cipher_nonce, mac_key = _message_keys(key, nonce)
    ciphertext = _chacha20(cipher_key, cipher_nonce, padded)
    mac = hmac.digest(mac_key, nonce + ciphertext, "sha256")
    return binascii.b2a_base64(_VERSION + nonce + ciphertext + mac, newline=False).decode()


def decrypt(key: bytes, payload: str, *, max_size: int = MAX_PAYLOAD) -> str:
    """Decrypt a payload under a conversation key.

    Raises:
        Undecryptable: if it is too long, of another version, broken, or not for this key.
    """
    data = _unpack(payload, max_size)
    nonce, ciphertext = data[_NONCE], data[_CIPHERTEXT]
    cipher_key, cipher_nonce, mac_key = _message_keys(key, nonce)
    if not hmac.compare_digest(hmac.digest(mac_key, nonce + ciphertext, "sha256"), data[_MAC]):
        raise Undecryptable("NIP-44: wrong MAC")
    try:
        return _unpad(_chacha20(cipher_key, cipher_nonce, ciphertext)).decode()
    except UnicodeDecodeError:
        raise Undecryptable("NIP-44: not UTF-8") from None


def padded_length(length: int) -> int:
    """Return how many bytes a text of `length` bytes is padded to."""
    if length <= _MIN_PADDED:
        return _MIN_PADDED
    next_power = 1 << (length - 1).bit_length()
    chunk = _MIN_PADDED if next_power <= _FINE_CHUNKS else next_power // 8
    return chunk * ((length - 1) // chunk + 1)


def _unpack(payload: str, max_size: int) -> bytes:
    if payload[:1] in ("", "#"):
        raise Undecryptable("NIP-44: unsupported version")
    if not _MIN_PAYLOAD <= len(payload) <= max_size:
        raise Undecryptable("NIP-44: payload too short or too long")
    try:
        data = binascii.a2b_base64(payload, strict_mode=True)
    except ValueError:
        raise Undecryptable("NIP-44: not base64") from None
    if len(data) < _MIN_DATA or data[:1] != _VERSION:
        raise Undecryptable("NIP-44: unknown version or too short")
    return data


def _unpad(padded: bytes) -> bytes:
    """Take a text out of its padding; a length of zero announces a longer one in four bytes."""
    prefix, length = 2, int.from_bytes(padded[:2], "big")
    if length == 0:
        prefix, length = 6, int.from_bytes(padded[2:6], "big")
        if length <= MAX_TEXT:
            raise Undecryptable("NIP-44: wrong padding")
    if len(padded) != prefix + padded_length(length):
        raise Undecryptable("NIP-44: wrong padding")
    return padded[prefix : prefix + length]


def _message_keys(key: bytes, nonce: bytes) -> tuple[bytes, bytes, bytes]:
    """Expand 76 bytes (HKDF, RFC 5869): cipher key, cipher nonce, MAC key."""
    first = hmac.digest(key, nonce + b"\x01", "sha256")
    second = hmac.digest(key, first + nonce + b"\x02", "sha256")
    third = hmac.digest(key, second + nonce + b"\x03", "sha256")
    return first, second[:12], second[12:] + third[:12]


def _chacha20(key: bytes, nonce: bytes, data: bytes) -> bytes:
    """Encrypt or decrypt, the same thing; the block counter starts at zero."""
    return Cipher(ChaCha20(key, bytes(4) + nonce), mode=None).encryptor().update(data)
