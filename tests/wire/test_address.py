"""Kind classes, addresses and which version wins, against the vectors of NIP-01."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import Malformed
from pylon.model.event import Event
from pylon.model.ids import PublicKey
from pylon.wire import address
from pylon.wire.address import Address
from pylon.wire.kinds import KindClass, kind_class
from tests.vectors import load
from tests.wire.strategies import ALICE, event, hex32, signed

VECTORS: dict[str, Any] = load("nip01_replacement.json")


@pytest.mark.parametrize(("kind", "name"), VECTORS["kind_classes"])
def test_every_kind_has_its_class(kind: int, name: str) -> None:
    assert kind_class(kind) == ("regular" if name.startswith("undefined") else name)


def kept(events: list[Event]) -> set[str]:
    """Store events as a relay would, in the order given."""
    store: dict[object, Event] = {}
    for new in events:
        if kind_class(new.kind) is not KindClass.EPHEMERAL:
            place = address.of(new) or new.id
            if place not in store or address.supersedes(new, store[place]):
                store[place] = new
    return {event.id for event in store.values()}


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_the_same_versions_are_kept_in_whatever_order_they_come(
    case: dict[str, Any], backwards: bool
) -> None:
    events = [msgspec.convert(raw, Event) for raw in case["events"]]
    expected = {case["keep"]} if "keep" in case else set(case["keep_all"])
    assert kept(events[::-1] if backwards else events) == expected


@given(signed)
def test_no_event_replaces_itself(one: Event) -> None:
    assert not address.supersedes(one, one)


@given(st.builds(Address, st.integers(0, 0xFFFF), hex32.map(PublicKey), st.text(max_size=20)))
def test_what_is_written_is_read_back(place: Address) -> None:
    assert address.parse(str(place)) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "31990",
        f"31990:{ALICE.public_key}",
        f":{ALICE.public_key}:x",
        f"-1:{ALICE.public_key}:x",
        f"{'9' * 6}:{ALICE.public_key}:x",
        f"\u0663:{ALICE.public_key}:x",
        f"31990:{ALICE.public_key.upper()}:x",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="address"):
        address.parse(text)


def test_a_d_tag_without_a_value_is_an_empty_identifier() -> None:
    place = address.of(event(31990, (), ("d",), ("d", "late")))
    assert place == Address(31990, ALICE.public_key, "")


def test_a_d_tag_means_nothing_to_a_replaceable_kind() -> None:
    assert address.of(event(10002, ("d", "x"))) == Address(10002, ALICE.public_key)
