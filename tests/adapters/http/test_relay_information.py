"""What a relay says over plain HTTP."""

import pytest

from pylon.adapters.http.relay_information import information
from pylon.adapters.http.websocket_server import HttpReply, HttpRequest
from pylon.wire import relay_info
from pylon.wire.relay_info import RelayInfo

INFO = RelayInfo(name="home", supported_nips=(1, 11))


def ask(method: str = "GET", accept: str = "application/nostr+json") -> HttpReply:
    return information(INFO)(HttpRequest(method, "/", {"accept": accept}))


def test_who_asks_for_the_document_gets_it() -> None:
    reply = ask(accept="application/nostr+json, */*")
    assert reply.status == 200
    assert dict(reply.headers)["Content-Type"] == "application/nostr+json"
    assert relay_info.read(reply.body) == INFO


def test_a_page_of_another_origin_may_read_it() -> None:
    for method in ("GET", "OPTIONS"):
        headers = dict(ask(method).headers)
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert {"Access-Control-Allow-Headers", "Access-Control-Allow-Methods"} <= headers.keys()


def test_a_browser_gets_a_sentence() -> None:
    reply = ask(accept="text/html")
    assert dict(reply.headers)["Content-Type"].startswith("text/plain")
    assert b"WebSocket" in reply.body


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 204), ("POST", 405)])
def test_other_methods_get_no_document(method: str, status: int) -> None:
    reply = ask(method)
    assert (reply.status, reply.body) == (status, b"")
