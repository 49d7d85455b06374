"""A memory of bounded size keeps the latest."""

from pylon.core.recent import Recent


def test_the_oldest_makes_room_and_an_overwrite_does_not_make_it_younger() -> None:
    recent = Recent[str, int](2)
    recent.put("a", 1)
    recent.put("b", 2)
    recent.put("a", 3)
    assert (recent.get("a"), recent.get("b")) == (3, 2)

    recent.put("c", 4)

    assert "a" not in recent
    assert recent.get("a") is None
    assert (recent.get("b"), recent.get("c")) == (2, 4)
