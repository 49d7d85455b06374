"""Frames of both directions: written and read back, and refused when they are none."""

import json as stdlib_json
from typing import Any

import nostr_sdk
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import Malformed, PeerFault
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.model.ids import EventId
from pylon.wire import event as events
from pylon.wire import frames
from pylon.wire.frames import Prefix, Refused
from tests.wire.strategies import event, hex32, json_values, signed
from tests.wire.test_filters import full_filters

names = st.text(min_size=1, max_size=64)
filter_lists = st.lists(full_filters, min_size=1, max_size=3).map(tuple)

client_frames = (
    st.builds(frames.Submit, signed)
    | st.builds(frames.Req, names, filter_lists)
    | st.builds(frames.Close, names)
    | st.builds(frames.Authenticate, signed)
    | st.builds(frames.Count, names, filter_lists)
)
relay_frames = (
    st.builds(frames.Found, names, signed)
    | st.builds(frames.Ok, hex32.map(EventId), st.booleans(), st.text())
    | st.builds(frames.EndOfStored, names)
    | st.builds(frames.Closed, names, st.text())
    | st.builds(frames.Notice, st.text())
    | st.builds(frames.Challenge, st.text())
    | st.builds(frames.Counted, names, st.builds(frames.Tally, st.integers(0, 9), st.booleans()))
)


@given(client_frames)
def test_a_client_frame_is_read_back_by_the_relay(frame: frames.ClientFrame) -> None:
    text = frames.encode(frame)
    assert frames.decode_client(text) == frame
    assert frames.decode_client(text.encode()) == frame


@given(relay_frames)
def test_a_relay_frame_is_read_back_by_the_client(frame: frames.RelayFrame) -> None:
    assert frames.decode_relay(frames.encode(frame)) == frame


@given(client_frames)
def test_nostr_sdk_reads_our_client_frames(frame: frames.ClientFrame) -> None:
    label = stdlib_json.loads(frames.encode(frame))[0]
    if any(not tag for tag in getattr(getattr(frame, "event", None), "tags", ())):
        return  # it refuses an event with an empty tag
    theirs = nostr_sdk.ClientMessage.from_json(frames.encode(frame))
    assert stdlib_json.loads(theirs.as_json())[0] == label


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ('["OK","aa",true,""]', frames.Ok(EventId("aa"), accepted=True)),
        ('["OK","aa",true]', frames.Ok(EventId("aa"), accepted=True)),
        (
            '["OK","aa",false,"pow: 20"]',
            frames.Ok(EventId("aa"), accepted=False, message="pow: 20"),
        ),
        (' [ "EOSE" , "s" ] ', frames.EndOfStored("s")),
        ('["EOSE","s",["finish"],{"more":[[]]}]', frames.EndOfStored("s")),
        ('["CLOSED","s","error: x"]', frames.Closed("s", "error: x")),
        ('["NOTICE","hello"]', frames.Notice("hello")),
        ('["AUTH","abc"]', frames.Challenge("abc")),
        ('["COUNT","q",{"count":3,"hll":"00"}]', frames.Counted("q", frames.Tally(3))),
    ],
)
def test_a_relay_frame_means_what_the_nips_say(text: str, frame: frames.RelayFrame) -> None:
    assert frames.decode_relay(text) == frame


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (frames.Ok(EventId("aa"), accepted=True), '["OK","aa",true,""]'),
        (
            frames.Req("s", (Filter(kinds=(1,)), Filter(limit=0))),
            '["REQ","s",{"kinds":[1]},{"limit":0}]',
        ),
        (frames.Count("q", (Filter(tags={"t": ("x",)}),)), '["COUNT","q",{"#t":["x"]}]'),
        (frames.Counted("q", frames.Tally(3)), '["COUNT","q",{"count":3}]'),
        (frames.Notice("naïve \u2028"), '["NOTICE","naïve \u2028"]'),
    ],
)
def test_a_frame_is_written_without_spaces_or_needless_escapes(
    frame: frames.ClientFrame | frames.RelayFrame, text: str
) -> None:
    assert frames.encode(frame) == text


def test_an_event_frame_holds_the_event_object_itself() -> None:
    one = event(1, ("t", "x"), content="hello")
    assert stdlib_json.loads(frames.encode(frames.Found("s", one))) == [
        "EVENT",
        "s",
        stdlib_json.loads(events.encode(one)),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '["HELLO"]',
        '["EVENT"]',
        '["EVENT",{}]',
        '["EVENT","s"]',
        '["REQ"]',
        '["REQ",""]',
        '["REQ","' + "s" * 65 + '",{}]',
        '["REQ",1,{}]',
        '["CLOSE",""]',
        '["COUNT",null]',
        '["REQ","s",' + "[" * 40 + "]" * 40 + "]",
        "[" * 100_000,
        '["EVENT",{"created_at":' + "9" * 100_000 + "}]",
    ],
    ids=lambda text: f"{len(text)} {text[:20]}",
)
def test_what_is_no_client_frame_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        frames.decode_client(text)


@pytest.mark.parametrize(
    "text", ['["REQ","s",{}]', '["OK","aa"]', '["OK","aa","true",""]', '["COUNT","q",{"count":-1}]']
)
def test_what_is_no_relay_frame_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        frames.decode_relay(text)


@pytest.mark.parametrize("label", ["REQ", "COUNT"])
@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ("", "invalid: 1 to 100 filters, not 0"),
        (",{}" * 101, "invalid: 1 to 100 filters, not 101"),
        (",{},7", "invalid: a filter is a JSON object"),
        (',{"ids":["aa"]}', "invalid: ids: "),
        (',{"kinds":[1],"search":"cats"}', "unsupported: filter key 'search'"),
    ],
)
def test_a_refused_request_says_which_and_why(label: str, rest: str, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        frames.decode_client(f'["{label}","name"{rest}]')
    assert refused.value.subscription == "name"
    assert refused.value.reason.startswith(reason)


def test_a_frame_over_its_size_is_refused() -> None:
    text = frames.encode(frames.Notice("x" * 100))
    with pytest.raises(Malformed, match="more than 50"):
        frames.decode_relay(text, max_size=50)


@given(st.binary(max_size=200) | json_values.map(stdlib_json.dumps))
def test_any_bytes_are_read_or_refused_by_both_ends(text: Any) -> None:
    for decode in (frames.decode_client, frames.decode_relay):
        with pytest.raises(PeerFault):
            decode(text)


@given(
    st.sampled_from(["EVENT", "REQ", "CLOSE", "AUTH", "COUNT", "OK", "EOSE", "CLOSED", "NOTICE"]),
    st.lists(json_values, max_size=3),
)
def test_any_frame_of_a_known_label_is_read_or_refused(label: str, rest: list[Any]) -> None:
    text = stdlib_json.dumps([label, *rest])
    for decode in (frames.decode_client, frames.decode_relay):
        try:
            frame = decode(text)
        except PeerFault:
            continue
        assert stdlib_json.loads(frames.encode(frame))[0] == label


@given(signed)
def test_a_forged_event_in_a_frame_is_read_but_not_believed(original: Event) -> None:
    text = frames.encode(frames.Submit(original)).replace(original.sig, "0" * 128)
    frame = frames.decode_client(text)
    assert isinstance(frame, frames.Submit)
    with pytest.raises(PeerFault):
        events.check(frame.event)


@pytest.mark.parametrize("known", Prefix)
def test_a_known_prefix_is_recognised(known: Prefix) -> None:
    assert frames.prefix(f"{known}: because") is known


@pytest.mark.parametrize("message", ["", "no prefix", "shadow-banned: you", "ERROR: x", " pow: x"])
def test_an_unknown_prefix_counts_as_an_error(message: str) -> None:
    assert frames.prefix(message) is Prefix.ERROR
