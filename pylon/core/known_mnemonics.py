"""Mnemonics that everybody knows, and that therefore may hold no real money."""

from typing import Final

# Printed in BIP-39, NIP-06, and the documentation of development tools.
_PUBLISHED: Final = frozenset(
    {
        "legal winner thank year wave sausage worth useful legal winner thank yellow",
        "letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
        "leader monkey parrot ring guide accident before fence cannon height naive bean",
        (
            "what bleak badge arrange retreat wolf trade produce cricket blur garlic valid "
            "proud rude strong choose busy staff weather area salt hollow arm fade"
        ),
    }
)


def is_public(mnemonic: str) -> bool:
    """Tell a checked mnemonic that is no secret: published, or one word over and over.

    `abandon … about`, `zoo … wrong` and `test … junk`, of any length, are of the second kind. That
    half of the words drawn at random repeat others does not happen.
    """
    words = mnemonic.split()
    return mnemonic in _PUBLISHED or len(set(words)) * 2 <= len(words)
