"""NIP-19 and NIP-21 against their vectors and nostr-sdk."""

from typing import Any

import nostr_sdk
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import Malformed, PeerFault
from pylon.model.ids import EventId, PublicKey
from pylon.wire import bech32, entities
from pylon.wire.address import Address
from pylon.wire.entities import (
    AddressEntity,
    Entity,
    EventEntity,
    NoteEntity,
    ProfileEntity,
    PublicKeyEntity,
    SecretKeyEntity,
)
from tests.vectors import load
from tests.wire.strategies import ALICE, BOB, hex32

VECTORS: dict[str, Any] = load("nip19.json")
NSEC = SecretKeyEntity(b"\x01" * 32)

relays = st.lists(
    st.just("ws://127.0.0.1:7777") | st.from_regex(r"wss://[a-z]{1,20}", fullmatch=True), max_size=3
).map(tuple)
keys = st.sampled_from([ALICE.public_key, BOB.public_key])
kinds = st.integers(0, 0xFFFF)
public_entities = (
    st.builds(PublicKeyEntity, keys)
    | st.builds(NoteEntity, hex32.map(EventId))
    | st.builds(ProfileEntity, keys, relays)
    | st.builds(EventEntity, hex32.map(EventId), relays, st.none() | keys, st.none() | kinds)
    | st.builds(AddressEntity, st.builds(Address, kinds, keys, st.text(max_size=40)), relays)
)


def entity_of(decoded: dict[str, Any]) -> Entity:
    named = tuple(decoded.get("relays", ()))
    match decoded["type"]:
        case "npub":
            return PublicKeyEntity(PublicKey(decoded["hex"]))
        case "nsec":
            return SecretKeyEntity(bytes.fromhex(decoded["hex"]))
        case "note":
            return NoteEntity(EventId(decoded["hex"]))
        case "nprofile":
            return ProfileEntity(PublicKey(decoded["special"]), named)
        case "nevent":
            return EventEntity(
                EventId(decoded["special"]), named, decoded.get("author"), decoded.get("kind")
            )
        case _:
            return AddressEntity(
                Address(decoded["kind"], decoded["author"], decoded["special"]), named
            )


@pytest.mark.parametrize("case", VECTORS["valid"], ids=lambda case: case["string"][-9:])
def test_a_valid_string_means_what_is_published(case: dict[str, Any]) -> None:
    entity = entities.decode(case["string"])
    assert entity == entity_of(case["decoded"])
    assert entities.decode(entities.encode(entity)) == entity


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: case["reason"])
def test_an_invalid_string_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        entities.decode(case["string"])


@given(public_entities)
def test_what_is_written_is_read_back_also_as_a_link(entity: Entity) -> None:
    assert entities.decode(entities.encode(entity)) == entity
    assert entities.decode(entities.uri(entity)) == entity


@given(keys, relays)
def test_nostr_sdk_reads_and_writes_the_same(key: PublicKey, named: tuple[str, ...]) -> None:
    theirs = nostr_sdk.PublicKey.parse(key)
    assert entities.npub(key) == theirs.to_bech32()
    assert entities.public_key(theirs.to_nostr_uri()) == key
    profile = nostr_sdk.Nip19Profile.from_bech32(entities.encode(ProfileEntity(key, named)))
    assert profile.public_key().to_hex() == key
    assert entities.public_key(profile.to_bech32()) == key


def test_nostr_sdk_reads_our_event_and_address_pointers() -> None:
    event_id = EventId("ab" * 32)
    text = entities.encode(EventEntity(event_id, ("wss://relay.example",), ALICE.public_key, 5050))
    theirs = nostr_sdk.Nip19Event.from_bech32(text)
    assert theirs.event_id().to_hex() == event_id
    assert entities.decode(theirs.to_bech32()) == entities.decode(text)
    place = AddressEntity(Address(31990, ALICE.public_key, "モデル"), ("wss://relay.example",))
    assert (
        entities.decode(nostr_sdk.Nip19Coordinate.from_bech32(entities.encode(place)).to_bech32())
        == place
    )


def test_a_secret_key_is_read_but_neither_shown_nor_linked_to() -> None:
    text = entities.encode(NSEC)
    assert text == nostr_sdk.SecretKey.parse("01" * 32).to_bech32()
    assert entities.decode(text) == NSEC
    assert "\\x01" not in repr(NSEC)
    assert "01" * 32 not in repr(NSEC)
    with pytest.raises(Malformed, match="link"):
        entities.uri(NSEC)
    with pytest.raises(Malformed, match="link"):
        entities.decode(f"nostr:{text}")


@pytest.mark.parametrize(
    "form", [ALICE.public_key, ALICE.public_key.upper(), entities.npub(ALICE.public_key)]
)
def test_a_person_may_type_a_public_key_in_any_form(form: str) -> None:
    assert entities.public_key(form) == ALICE.public_key


@pytest.mark.parametrize(
    "form",
    [
        "",
        "alice",
        "ab" * 31,
        entities.encode(NSEC),
        entities.encode(NoteEntity(EventId("ab" * 32))),
    ],
)
def test_what_is_no_public_key_is_not_taken_for_one(form: str) -> None:
    with pytest.raises(Malformed):
        entities.public_key(form)


def made(hrp: str, data: bytes) -> str:
    return bech32.encode(hrp, bech32.to_symbols(data))


@pytest.mark.parametrize(
    ("hrp", "data"),
    [
        ("nrelay", b""),
        ("nprofile", b""),
        ("nprofile", b"\x00"),
        ("nprofile", b"\x00\x20" + b"\x01" * 32 + b"\x01\x01\xff"),
        ("naddr", b"\x00\x01\xff" + b"\x02\x20" + b"\x01" * 32 + b"\x03\x04" + b"\x00" * 4),
    ],
)
def test_a_string_that_breaks_its_own_structure_is_refused(hrp: str, data: bytes) -> None:
    with pytest.raises(Malformed):
        entities.decode(made(hrp, data))


def test_the_first_of_repeated_elements_counts() -> None:
    twice = b"\x00\x20" + b"\x01" * 32 + b"\x00\x20" + b"\x02" * 32
    assert entities.decode(made("nevent", twice)) == EventEntity(EventId("01" * 32))


@given(
    st.text(max_size=60)
    | st.builds(
        made, st.sampled_from(["npub", "nprofile", "nevent", "naddr"]), st.binary(max_size=80)
    )
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        entity = entities.decode(text)
    except PeerFault:
        return
    assert entities.decode(entities.encode(entity)) == entity


def test_a_text_beyond_5000_characters_is_refused() -> None:
    with pytest.raises(Malformed, match="5000"):
        entities.decode(made("npub", b"\x00" * 4000))


@pytest.mark.parametrize("relay", ["wss://" + "x" * 250, "wss://reläy"])
def test_a_relay_that_has_no_place_in_the_form_is_refused(relay: str) -> None:
    with pytest.raises(Malformed, match="relay"):
        entities.encode(ProfileEntity(ALICE.public_key, (relay,)))
