"""Encryption to one peer as it was before NIP-44 (NIP-04): read it, answer in it, never begin in it.

Nothing authenticates the ciphertext; only the signature of the event around it does.
"""

import binascii
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from pylon.errors import Malformed, Undecryptable

MAX_PAYLOAD: Final = 1 << 20  # characters
_SEPARATOR: Final = "?iv="
_BLOCK: Final = 16  # bytes
_PADDING: Final = PKCS7(8 * _BLOCK)


def is_nip04(payload: str) -> bool:
    """Tell NIP-04 from NIP-44 by its shape."""
    return _SEPARATOR in payload


def encrypt(shared_x: bytes, text: str, *, iv: bytes) -> str:
    """Encrypt a text under the secret of `KeyPair.shared_x`; `iv` is 16 random bytes.

    Raises:
        Malformed: if the text holds a lone surrogate.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise Malformed("text holds a lone surrogate") from None
    padder = _PADDING.padder()
    padded = padder.update(data) + padder.finalize()
    ciphertext = Cipher(AES256(shared_x), CBC(iv)).encryptor().update(padded)
    return f"{_base64(ciphertext)}{_SEPARATOR}{_base64(iv)}"


def decrypt(shared_x: bytes, payload: str, *, max_size: int = MAX_PAYLOAD) -> str:
    """Decrypt a payload. A wrong key is usually noticed, not always.

    Raises:
        Undecryptable: whatever is wrong; the reasons are not told apart, so that nobody learns more.
    """
    if len(payload) > max_size:
        raise Undecryptable("NIP-04: payload too long")
    try:
        ciphertext, iv = (
            binascii.a2b_base64(part, strict_mode=True) for part in payload.split(_SEPARATOR)
        )
        decryptor = Cipher(AES256(shared_x), CBC(iv)).decryptor()
        padded = decryptor.update(ciphertext) + decryptor.finalize()
        unpadder = _PADDING.unpadder()
        return (unpadder.update(padded) + unpadder.finalize()).decode()
    except ValueError:
        raise Undecryptable("NIP-04: cannot be decrypted") from None


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()
