"""identity.enc: the mnemonic, encrypted, in a small versioned JSON container.

A passphrase becomes the key through scrypt (N = 2^16, r = 8: a fifth of a second and 64 MB a
guess). On regtest a key file beside it may stand in for the passphrase: that keeps the words out of
a copied identity.enc, not from whoever reads the home. All of the header is authenticated.
"""

import os
from datetime import datetime
from pathlib import Path
from typing import Final
from unicodedata import normalize

import msgspec
from attrs import evolve, frozen
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from pylon.adapters.home import Home, read_secret, sync_folder, write_private
from pylon.errors import Misconfigured

VERSION: Final = 1
SCRYPT_N: Final = 2**16

_COSTS: Final = {
    2**power for power in range(10, 21)
}  # beyond, a forged header could eat all memory
_DAMAGED: Final = (
    "is damaged or cut short: put a backup in its place, or run `{} init --import --force`"
)


@frozen
class _Version:
    version: int


@frozen
class _Container:
    version: int
    lock: str  # passphrase, keyfile
    scrypt_n: int  # 0 for a key file
    salt: str  # hex, empty for a key file
    nonce: str  # hex
    sealed: str = ""  # hex: ChaCha20-Poly1305 over the words; the rest of this is its header

    def header(self) -> bytes:
        return msgspec.json.encode(evolve(self, sealed=""))


def exists(home: Home) -> bool:
    """Say whether this home has an identity."""
    return home.identity_file.exists()


def save(home: Home, mnemonic: str, *, passphrase: str | None, scrypt_n: int = SCRYPT_N) -> None:
    """Encrypt the words under a passphrase, or under a new key file if there is none.

    What was there before must have been moved away by `set_aside`.
    """
    nonce, salt = os.urandom(12), os.urandom(16)
    if passphrase is None:
        key = os.urandom(32)
        container = _Container(VERSION, "keyfile", 0, "", nonce.hex())
        write_private(home.identity_key, key.hex().encode() + b"\n")
    else:
        key = _stretch(passphrase, salt, scrypt_n)
        container = _Container(VERSION, "passphrase", scrypt_n, salt.hex(), nonce.hex())
    sealed = ChaCha20Poly1305(key).encrypt(nonce, mnemonic.encode(), container.header())
    write_private(
        home.identity_file, msgspec.json.encode(evolve(container, sealed=sealed.hex())) + b"\n"
    )


def needs_passphrase(home: Home) -> bool:
    """Say whether `load` wants a passphrase. Raises `Misconfigured` as `load` does."""
    return _read(home).lock == "passphrase"


def load(home: Home, *, passphrase: str | None) -> str:
    """Decrypt the words; `passphrase` may be None where a key file stands in for it.

    Raises `Misconfigured` if the file is missing, damaged, altered, newer than this program, open
    to others, or locked by another passphrase.
    """
    path = home.identity_file
    container = _read(home)
    try:
        nonce, sealed = bytes.fromhex(container.nonce), bytes.fromhex(container.sealed)
        key = _key_for(home, container, passphrase)
        return ChaCha20Poly1305(key).decrypt(nonce, sealed, container.header()).decode()
    except ValueError as exc:  # not hex, or a nonce of another length
        raise Misconfigured(f"{path} {_DAMAGED.format(home.command)}") from exc
    except InvalidTag as exc:
        what = "the passphrase" if container.lock == "passphrase" else home.identity_key.name
        raise Misconfigured(f"{what} does not open {path}, or the file was altered") from exc


def set_aside(home: Home, now: datetime) -> list[Path]:
    """Rename identity.enc and its key file to dated backups; return their new names.

    A crash half-way leaves a home without an identity, never one whose parts do not fit.
    """
    stamp = now.strftime("%Y-%m-%dT%H-%M-%S.%f")
    kept = []
    for path in (home.identity_file, home.identity_key):
        if path.exists():
            kept.append(path.rename(path.with_name(f"{path.name}.{stamp}.bak")))
            sync_folder(path.parent)
    return kept


def put_back(home: Home, kept: list[Path]) -> None:
    """Undo `set_aside`, when no new identity could be written."""
    home.identity_key.unlink(missing_ok=True)
    for path in kept:
        path.rename(path.with_name(".".join(path.name.split(".")[:2])))
        sync_folder(path.parent)


def _read(home: Home) -> _Container:
    path, damaged = home.identity_file, _DAMAGED.format(home.command)
    try:
        raw = read_secret(path)
        version = msgspec.json.decode(raw, type=_Version).version
        if version > VERSION:
            raise Misconfigured(
                f"{path} was written by a newer pylon (version {version}): upgrade this one"
            )
        container = msgspec.json.decode(raw, type=_Container)
    except FileNotFoundError as exc:
        raise Misconfigured(f"no identity in {path.parent}: run `{home.command} init`") from exc
    except OSError as exc:
        raise Misconfigured(f"{path} cannot be read: {exc.strerror}") from exc
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise Misconfigured(f"{path} {damaged}") from exc
    if not _is_sound(container):
        raise Misconfigured(f"{path} {damaged}")
    return container


def _is_sound(container: _Container) -> bool:
    if container.version != VERSION:
        return False
    if container.lock == "keyfile":
        return True
    return container.lock == "passphrase" and container.scrypt_n in _COSTS


def _key_for(home: Home, container: _Container, passphrase: str | None) -> bytes:
    if container.lock == "passphrase":
        if passphrase is None:
            raise Misconfigured(f"{home.identity_file} needs its passphrase")
        return _stretch(passphrase, bytes.fromhex(container.salt), container.scrypt_n)
    try:
        return bytes.fromhex(read_secret(home.identity_key).decode("ascii"))
    except FileNotFoundError as exc:
        raise Misconfigured(
            f"{home.identity_key}, the key to the identity, is missing: put it back, "
            f"or run `{home.command} init --import --force`"
        ) from exc


def _stretch(passphrase: str, salt: bytes, n: int) -> bytes:
    # However a keyboard composes an accent, the same text gives the same key.
    return Scrypt(salt=salt, length=32, n=n, r=8, p=1).derive(
        normalize("NFKC", passphrase).encode("utf-8", "surrogateescape")
    )
