"""Announcements survive the trip; a stranger's are read as far as they make sense."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import Malformed, PeerFault
from pylon.model.event import Draft, Event, Tag
from pylon.model.handler import Handler, ModelOffer, Rates
from pylon.model.ids import EventId
from pylon.model.money import Msat, PayMode
from pylon.wire import event as events
from pylon.wire import handlers, json
from tests.vectors import load
from tests.wire.strategies import ALICE, event, json_values, tags

NOW = 1_700_000_900
K: Tag = ("k", "5050")


def announcement(*tags: Tag, content: Any = "") -> Event:
    text = content if isinstance(content, str) else json.encode(content)
    return event(31990, K, *tags, content=text)


def unsigned(draft: Draft) -> Event:
    return Event(
        EventId("00" * 32),
        ALICE.public_key,
        draft.created_at,
        draft.kind,
        draft.tags,
        draft.content,
        "",
    )


msats = st.integers(0, 10**15).map(Msat)
names = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20)
sold = st.lists(
    st.builds(ModelOffer, names, st.none() | st.builds(Rates, msats, msats, msats, msats)),
    max_size=3,
).map(tuple)
paid = st.lists(st.sampled_from(list(PayMode)), unique=True).map(tuple)


@given(sold, paid, names, st.lists(st.integers(5000, 5999), min_size=1, unique=True).map(tuple))
def test_an_announcement_survives_the_trip(
    models: tuple[ModelOffer, ...], pay: tuple[PayMode, ...], name: str, kinds: tuple[int, ...]
) -> None:
    draft = handlers.write_handler(
        "node",
        now=NOW,
        expires_at=NOW + 60,
        kinds=kinds,
        models=models,
        pay=pay,
        name=name,
        about="x",
    )
    assert handlers.read_handler(unsigned(draft)) == Handler(
        provider=ALICE.public_key,
        identifier="node",
        created_at=NOW,
        kinds=kinds,
        name=name,
        about="x",
        models=models,
        pay=pay,
        amount="free" if pay == (PayMode.FREE,) else "flexible",
        encryption=True,
        expires_at=NOW + 60,
    )


def test_the_announcement_of_the_vectors_is_read() -> None:
    found = events.parse(msgspec.json.encode(load("nip90.json")["handler_announcement"]))
    events.check(found)
    handler = handlers.read_handler(found)
    assert (handler.identifier, handler.kinds) == ("pylon-test-5050", (5050,))
    assert (handler.name, handler.about) == ("Pylon test DVM", "text generation")
    assert handler.encryption
    assert handler.pay is None


def test_what_other_programs_list_in_the_content_is_found() -> None:
    content = {
        "display_name": "A DVM",
        "amount": 50,
        "supportsEncryption": "true",
        "nip90Params": {"model": {"required": False, "values": ["a", 7, "b"]}},
    }
    handler = handlers.read_handler(announcement(content=content))
    assert (handler.name, handler.amount, handler.encryption) == ("A DVM", "50", True)
    assert handler.models == (ModelOffer("a"), ModelOffer("b"))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not json",
        "[]",
        "[" * 9_999,
        '{"name":{},"about":true,"amount":null,"supportsEncryption":1}',
        '{"nip90Params":[]}',
        '{"nip90Params":{"model":"a"}}',
        '{"nip90Params":{"model":{"values":"a"}}}',
    ],
)
def test_content_that_makes_no_sense_says_nothing(content: str) -> None:
    handler = handlers.read_handler(announcement(content=content))
    assert (handler.name, handler.about, handler.amount, handler.models) == ("", "", "", ())
    assert not handler.encryption


def test_text_that_a_terminal_would_obey_is_cleaned_and_cut() -> None:
    content = {"name": "\x1b[2Jevil" + "!" * 999, "about": "?" * 9_999}
    handler = handlers.read_handler(announcement(("model", "\x07m"), content=content))
    assert handler.name.startswith("[2Jevil")
    assert (len(handler.name), len(handler.about)) == (256, 2_000)
    assert handler.models == (ModelOffer("m"),)


def test_a_price_that_cannot_be_read_is_not_said() -> None:
    found = announcement(
        ("model", "a", "1", "2", "3", "cheap"),
        ("model", "b", "1"),
        ("model", "c", "1", "2", "3", "4"),
    )
    rates = Rates(Msat(1), Msat(2), Msat(3), Msat(4))
    assert handlers.read_handler(found).models == (
        ModelOffer("a"),
        ModelOffer("b"),
        ModelOffer("c", rates),
    )


def test_kinds_that_are_no_jobs_are_passed_over() -> None:
    found = announcement(
        *[
            ("k", kind)
            for kind in ("1", "x", "5935", "6050", "05050", "5050", "\u0665\u0660\u0665\u0660")
        ]
    )
    assert handlers.read_handler(found).kinds == (5050, 5935)
    with pytest.raises(Malformed, match="no kind of job"):
        handlers.read_handler(event(31990, ("k", "1")))


def test_what_is_no_announcement_or_too_large_is_refused() -> None:
    with pytest.raises(Malformed, match="no announcement"):
        handlers.read_handler(event(31989, K))
    with pytest.raises(Malformed, match="too large"):
        handlers.read_handler(announcement(*[("z",)] * 512))
    with pytest.raises(Malformed, match="too large"):
        handlers.read_handler(announcement(content="x" * 65_537))
    many = announcement(*[("model", "m")] * 200)
    assert len(handlers.read_handler(many).models) == 128


@given(tags, json_values)
def test_any_announcement_is_read_or_refused(tags: tuple[Tag, ...], content: Any) -> None:
    text = msgspec.json.encode(content).decode()
    with suppress(PeerFault):
        handlers.read_handler(unsigned(Draft(31990, NOW, (K, *tags), text)))
