"""However relays shuffle and repeat partial answers, they are read in the order they were made."""

from hypothesis import given
from hypothesis import strategies as st

from pylon.core.pieces import MAX_WAITING, Pieces


@given(
    st.lists(st.text(max_size=5), max_size=12).flatmap(
        lambda made: st.tuples(st.just(made), st.permutations([*enumerate(made), *enumerate(made)]))
    )
)
def test_pieces_in_any_order_and_twice_make_the_answer(
    case: tuple[list[str], list[tuple[int, str]]],
) -> None:
    made, heard = case
    pieces = Pieces()

    shown = [pieces.add(seq, text) for seq, text in heard]

    assert "".join(shown) == pieces.text == "".join(made)


def test_nothing_is_shown_beyond_a_gap() -> None:
    pieces = Pieces()

    assert pieces.add(1, "two") == ""
    assert pieces.add(0, "one ") == "one two"
    assert pieces.add(3, "four") == ""
    assert pieces.text == "one two"


def test_a_piece_without_a_number_is_taken_as_it_comes() -> None:
    pieces = Pieces()

    assert [pieces.add(None, text) for text in ("a", "b")] == ["a", "b"]
    assert pieces.text == "ab"


def test_pieces_that_wait_for_a_missing_one_are_bounded() -> None:
    pieces = Pieces()
    for seq in range(1, MAX_WAITING + 10):
        assert pieces.add(seq, "x") == ""

    assert pieces.add(0, "x") == "x" * (MAX_WAITING + 1)


def test_the_rest_of_an_answer_is_what_was_not_heard() -> None:
    pieces = Pieces()
    pieces.add(0, "four, ")

    assert pieces.rest_of("four, of course") == "of course"
    assert pieces.rest_of("four, ") == ""
    assert pieces.rest_of("five") is None
