"""Words that everybody knows are told from words drawn at random."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.core.known_mnemonics import is_public
from pylon.wire import mnemonic


@pytest.mark.parametrize(
    "words",
    [
        "abandon " * 11 + "about",
        "zoo " * 11 + "wrong",
        "zoo " * 23 + "vote",
        "test " * 11 + "junk",
        "legal winner thank year wave sausage worth useful legal winner thank yellow",
        "leader monkey parrot ring guide accident before fence cannon height naive bean",
    ],
)
def test_words_from_documentation_are_known(words: str) -> None:
    assert is_public(mnemonic.check(words))


@given(st.binary(min_size=16, max_size=16).filter(lambda raw: len(set(raw)) > 12))
def test_words_drawn_at_random_are_not(entropy: bytes) -> None:
    assert not is_public(mnemonic.generate(entropy))
