"""NIP-11 documents as relays really write them."""

import json as stdlib_json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import Malformed, PeerFault
from pylon.wire import relay_info
from pylon.wire.relay_info import Limitation, RelayInfo
from tests.wire.strategies import json_values

naturals = st.none() | st.integers(0, 1 << 40)
infos = st.builds(
    RelayInfo,
    name=st.none() | st.text(max_size=20),
    supported_nips=st.lists(st.integers(0, 99), max_size=4).map(tuple),
    limitation=st.builds(
        Limitation,
        max_limit=naturals,
        max_message_length=naturals,
        auth_required=st.none() | st.booleans(),
    ),
)


@given(infos)
def test_what_is_written_is_read_back(info: RelayInfo) -> None:
    assert relay_info.read(relay_info.write(info)) == info


def test_what_is_unknown_is_not_written() -> None:
    assert stdlib_json.loads(relay_info.write(RelayInfo(name="r"))) == {
        "name": "r",
        "supported_nips": [],
        "limitation": {},
    }


@pytest.mark.parametrize(
    ("raw", "limitation"),
    [
        ({"max_limit": "500"}, Limitation(max_limit=500)),
        ({"max_limit": 500.0}, Limitation(max_limit=500)),
        ({"max_limit": "many", "max_subscriptions": 20}, Limitation(max_subscriptions=20)),
        ({"max_limit": -1}, Limitation()),
        ({"max_limit": True}, Limitation()),
        ({"auth_required": "true"}, Limitation(auth_required=True)),
        ({"auth_required": [1]}, Limitation()),
        ({"max_filters": 10}, Limitation()),
        ("none", Limitation()),
        (None, Limitation()),
    ],
)
def test_a_limit_of_the_wrong_type_is_read_if_its_meaning_is_plain(
    raw: Any, limitation: Limitation
) -> None:
    document = stdlib_json.dumps({"name": 7, "software": "s", "limitation": raw})
    assert relay_info.read(document) == RelayInfo(software="s", limitation=limitation)


@pytest.mark.parametrize(
    ("raw", "nips"), [([1, "11", None, 42, True], (1, 42)), ("1, 11", ()), ({"1": 1}, ())]
)
def test_nips_that_are_no_numbers_are_left_out(raw: Any, nips: tuple[int, ...]) -> None:
    assert relay_info.read(stdlib_json.dumps({"supported_nips": raw})).supported_nips == nips


@pytest.mark.parametrize(
    "text",
    ["", "[]", "<html>", '"relay"', '{"name":"' + "x" * 200_000 + '"}'],
    ids=lambda text: f"{len(text)} {text[:8]}",
)
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        relay_info.read(text)


@given(
    st.dictionaries(
        st.sampled_from(["name", "supported_nips", "limitation"]),
        json_values | st.dictionaries(st.sampled_from(["max_limit", "auth_required"]), json_values),
    )
)
def test_any_object_is_read_into_the_right_types(document: dict[str, Any]) -> None:
    try:
        info = relay_info.read(stdlib_json.dumps(document))
    except PeerFault:
        return
    assert info.name is None or isinstance(info.name, str)
    assert info.limitation.max_limit is None or info.limitation.max_limit >= 0
    assert all(type(nip) is int for nip in info.supported_nips)
