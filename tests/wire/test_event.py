"""Events against the vectors of NIP-01, against nostr-sdk, and against themselves."""

import hashlib
import json as stdlib_json
from typing import Any

import nostr_sdk
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from pylon.errors import BadSignature, Malformed, PeerFault
from pylon.model.event import Draft, Event
from pylon.model.ids import EventId
from pylon.wire import event as events
from pylon.wire.event import Limits
from pylon.wire.secp import KeyPair
from tests.vectors import load
from tests.wire.strategies import ALICE, authors, drafts, event, signed

VECTORS: dict[str, Any] = load("nip01_events.json")
BAD_SIGNATURE = {
    "content changed, id not recomputed (sig still valid over id)",
    "sig bit flipped",
    "pubkey not on curve",
}


def read(raw: Any) -> Event:
    parsed = events.parse(stdlib_json.dumps(raw))
    events.check(parsed)
    return parsed


def draft_of(raw: dict[str, Any]) -> Draft:
    return Draft(raw["kind"], raw["created_at"], tuple(map(tuple, raw["tags"])), raw["content"])


@pytest.mark.parametrize("case", VECTORS["serialization"], ids=lambda case: case["name"])
def test_an_event_is_signed_as_published(case: dict[str, Any]) -> None:
    keys = KeyPair(bytes.fromhex(VECTORS["secret_key"]))
    made = events.sign(draft_of(case["event"]), keys, aux=bytes(32))
    assert made.id == hashlib.sha256(bytes.fromhex(case["serialized_utf8_hex"])).hexdigest()
    assert made == read(case["event"])


@pytest.mark.parametrize("case", VECTORS["ambiguous_control_chars"], ids=lambda case: case["name"])
def test_control_characters_are_hashed_as_most_do_it(case: dict[str, Any]) -> None:
    assert read(case["event"]).content == case["event"]["content"]


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: case["name"])
def test_an_invalid_event_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(BadSignature if case["name"] in BAD_SIGNATURE else Malformed):
        read(case["event"])


@pytest.mark.parametrize(
    "case", VECTORS["spec_examples"], ids=lambda case: f"{case['origin']} {case['event']['id'][:6]}"
)
def test_examples_printed_in_the_nips_are_judged_by_their_hash(case: dict[str, Any]) -> None:
    if case["valid"]:
        assert read(case["event"]).id == case["event"]["id"]
    else:
        with pytest.raises(BadSignature, match="hash"):
            read(case["event"])


@settings(max_examples=60)
@given(drafts.filter(lambda draft: all(draft.tags)), authors)
def test_nostr_sdk_accepts_what_we_sign_unless_a_tag_is_empty(draft: Draft, keys: KeyPair) -> None:
    made = events.sign(draft, keys)
    theirs = nostr_sdk.Event.from_json(events.encode(made))
    assert theirs.verify()
    assert theirs.id().to_hex() == made.id == events.event_id(made)


@settings(max_examples=40)
@given(st.text(max_size=60), st.lists(st.text(max_size=9), min_size=1, max_size=3))
def test_we_accept_what_nostr_sdk_signs(content: str, tag: list[str]) -> None:
    builder = nostr_sdk.EventBuilder(nostr_sdk.Kind(1), content)
    theirs = builder.tags([nostr_sdk.Tag.parse(["x", *tag])]).finalize(nostr_sdk.Keys.generate())
    ours = events.parse(theirs.as_json())
    events.check(ours)
    assert (ours.content, ours.tags) == (content, (("x", *tag),))


@given(signed)
def test_what_is_written_is_read_back(original: Event) -> None:
    again = events.parse(events.encode(original))
    events.check(again)
    assert again == original


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(PeerFault):
        events.parse(data)


@given(signed, st.data())
def test_any_change_to_a_signed_event_is_noticed(original: Event, draw: st.DataObject) -> None:
    other = event(2, ("x", "y"), content="another", at=7)
    name = draw.draw(st.sampled_from(["id", "kind", "created_at", "tags", "content", "sig"]))
    changed = evolve(original, **{name: getattr(other, name)})
    if changed != original:
        with pytest.raises(BadSignature):
            events.check(changed)


def test_members_we_do_not_know_are_dropped() -> None:
    raw = stdlib_json.loads(events.encode(event())) | {"seen_on": ["wss://relay"]}
    assert read(raw) == event()


def test_a_megabyte_of_event_is_refused_before_it_is_read() -> None:
    with pytest.raises(Malformed, match="more than"):
        events.parse(events.encode(event(content="x" * (1 << 20))))


def test_tags_and_content_are_allowed_up_to_their_limits() -> None:
    full = event(1, ("a", "b"), content="12345")
    events.check(full, Limits(content=5, tags=1))
    for limits in (Limits(content=4, tags=1), Limits(content=5, tags=0)):
        with pytest.raises(Malformed, match="too m"):
            events.check(full, limits)


def test_an_event_with_a_lone_surrogate_has_no_id() -> None:
    with pytest.raises(Malformed, match="surrogate"):
        events.check(evolve(event(), content="\ud800"))


def test_an_upper_case_id_is_malformed_not_forged() -> None:
    with pytest.raises(Malformed, match="hex"):
        events.check(evolve(event(), id=EventId(event().id.upper())))


@given(st.text(st.characters(max_codepoint=0xA0) | st.characters(categories=["Cs"])))
def test_cleaned_text_keeps_line_breaks_and_tabs_only(text: str) -> None:
    kept = events.clean(text)
    kept.encode()
    assert all(c in "\n\t\r" or c.isprintable() or c == "\xa0" for c in kept)
    assert kept == "".join(c for c in text if c in kept)


def test_text_of_any_language_is_not_changed_by_cleaning() -> None:
    text = "naïve — 你好 👩‍👩‍👧\u2028\r\n\tend"
    assert events.clean(text) == text


@pytest.mark.parametrize("content", ["\x1b[31mred\x00", "cut \ud83d"])
def test_characters_without_a_common_hash_are_not_signed(content: str) -> None:
    made = event(1, ("i", content), content=content)
    assert made.content == made.tags[0][1] == events.clean(content)
    assert nostr_sdk.Event.from_json(events.encode(made)).verify()


def test_text_that_speaks_of_control_characters_is_signed_as_it_is() -> None:
    text = r"NUL is \u0000 in JSON"
    assert event(content=text).content == text


def test_fresh_randomness_gives_another_signature_over_the_same_id() -> None:
    first, second = (events.sign(Draft(1, 1), ALICE, aux=bytes([n]) * 32) for n in (1, 2))
    assert first.id == second.id
    assert first.sig != second.sig
    events.check(second)
