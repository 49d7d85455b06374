"""However an answer is cut into pieces, its lines fit and its words stay whole."""

from hypothesis import given
from hypothesis import strategies as st

from pylon.cli.filling import Filling

WORDS = st.lists(st.text("abc", min_size=1, max_size=6), min_size=1, max_size=40)


def filled(pieces: list[str], *, width: int = 20, margin: int = 4) -> list[str]:
    filling = Filling(width, margin)
    return "".join([" " * margin, *map(filling.add, pieces)]).split("\n")


@given(WORDS)
def test_lines_fit_and_every_word_is_there(words: list[str]) -> None:
    lines = filled([f"{word} " for word in words])

    assert all(len(line.rstrip()) <= 20 for line in lines)
    assert all(line.startswith("    ") for line in lines)
    assert " ".join(lines).split() == words


@given(WORDS, st.data())
def test_a_word_is_not_broken_where_a_piece_ends_inside_it(
    words: list[str], data: st.DataObject
) -> None:
    text = " ".join(words)
    cut = data.draw(st.integers(0, len(text)))

    assert " ".join(filled([text[:cut], text[cut:]])).split() == words


def test_new_lines_of_the_answer_are_kept_and_a_long_word_is_whole() -> None:
    assert filled(["one\n\ntwo ", "x" * 30, " three"]) == [
        "    one",
        "    ",
        "    two ",
        f"    {'x' * 30} ",
        "    three",
    ]
