"""One relay has one spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import Malformed, PeerFault
from pylon.wire import relay_url


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("wss://relay.example.com", "wss://relay.example.com"),
        ("WSS://Relay.Example.COM:443/", "wss://relay.example.com"),
        ("ws://127.0.0.1:80///", "ws://127.0.0.1"),
        ("ws://127.0.0.1:7777/", "ws://127.0.0.1:7777"),
        ("ws://relay:443", "ws://relay:443"),
        ("wss://relay/Path/?Key=V#fragment", "wss://relay/Path?Key=V"),
        ("ws://[::1]:7777/", "ws://[::1]:7777"),
        ("ws://relay:/", "ws://relay"),
    ],
)
def test_what_changes_nothing_is_taken_away(text: str, normal: str) -> None:
    assert relay_url.normalise(text) == normal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "relay.example.com",
        "https://relay.example.com",
        "wss://",
        "wss:///path",
        "wss://user:secret@relay",
        "wss://relay:99999",
        "wss://relay:port",
        "wss://[::1",
        "wss://re lay",
        "wss://relay\n",
        "wss://reläy",
        "wss://" + "x" * 1024,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_is_no_relay_url_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        relay_url.normalise(text)


@given(st.text(max_size=60) | st.text(max_size=60).map("wss://".__add__))
def test_any_text_is_refused_or_has_one_lasting_spelling(text: str) -> None:
    try:
        normal = relay_url.normalise(text)
    except PeerFault:
        return
    assert relay_url.normalise(normal) == normal


def test_the_information_document_is_beside_the_socket() -> None:
    assert relay_url.http_form(relay_url.normalise("wss://ws.example/a")) == "https://ws.example/a"
    assert relay_url.http_form(relay_url.normalise("ws://h:7777")) == "http://h:7777"
