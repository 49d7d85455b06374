"""Words to keys: BIP-39 mnemonics, BIP-32 derivation, the Nostr key of NIP-06 and a node key.

Whoever calls provides the entropy. The words and everything derived from them are secrets.
"""

from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final
from unicodedata import normalize

from pylon.errors import Misconfigured
from pylon.wire.secp import KeyPair

WORD_COUNTS: Final = (12, 15, 18, 21, 24)
NOSTR_PATH: Final = "m/44'/1237'/{account}'/0/0"  # NIP-06
NODE_PATH: Final = "m/1017'/{coin}'/6'/0/0"  # as lnd derives its node key; coin 0 is mainnet


def generate(entropy: bytes) -> str:
    """Turn 16 random bytes into 12 words, or 32 into 24."""
    return str(_library().Bip39MnemonicGenerator().FromEntropy(entropy))


def check(text: str) -> str:
    """Return the words in lower case with one space between; they may be typed in any spacing.

    Raises:
        Misconfigured: if their number, one of the words or the checksum is wrong; the message names
            the wrong word and the nearest right one, and shows no other.
    """
    words = normalize("NFKD", text).lower().split()
    if len(words) not in WORD_COUNTS:
        raise Misconfigured(f"a mnemonic has 12, 15, 18, 21 or 24 words, not {len(words)}")
    known = _word_list()
    for position, word in enumerate(words, start=1):
        if word not in known:
            (nearest,) = get_close_matches(word[:32], known, n=1, cutoff=0)
            raise Misconfigured(
                f"word {position}, {word[:32]!r}, is not in the English list of BIP-39: "
                f"perhaps {nearest!r}?"
            )
    mnemonic = " ".join(words)
    if not _library().Bip39MnemonicValidator().IsValid(mnemonic):
        raise Misconfigured(
            "the checksum of the mnemonic is wrong: a word is exchanged or misplaced"
        )
    return mnemonic


def seed(mnemonic: str, passphrase: str = "") -> bytes:
    """Stretch a checked mnemonic into its 64-byte seed; takes about 2 ms."""
    return bytes(_library().Bip39SeedGenerator(mnemonic).Generate(passphrase))


def derive(master_seed: bytes, path: str) -> bytes:
    """Derive the 32-byte secret key at a BIP-32 path such as `m/44'/1237'/0'/0/0`."""
    node = _library().Bip32Slip10Secp256k1.FromSeed(master_seed).DerivePath(path)
    return bytes(node.PrivateKey().Raw().ToBytes())


def nostr_keys(master_seed: bytes, *, account: int = 0) -> KeyPair:
    """Derive a Nostr identity (NIP-06); agents are further accounts of the same seed."""
    return KeyPair(derive(master_seed, NOSTR_PATH.format(account=account)))


def node_keys(master_seed: bytes, *, mainnet: bool) -> KeyPair:
    """Derive the key that signs our invoices, unrelated to the Nostr key for all who see both."""
    return KeyPair(derive(master_seed, NODE_PATH.format(coin=0 if mainnet else 1)))


@lru_cache(maxsize=1)
def _word_list() -> tuple[str, ...]:
    library = _library()
    getter = library.bip.bip39.bip39_mnemonic_utils.Bip39WordsListGetter.Instance()
    words = getter.GetByLanguage(library.Bip39Languages.ENGLISH)
    return tuple(words.GetWordAtIdx(index) for index in range(words.Length()))


def _library() -> Any:
    import bip_utils  # noqa: PLC0415 - takes a quarter of a second, and only identities need it

    return bip_utils
