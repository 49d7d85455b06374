"""What a relay answers to plain HTTP: its information document (NIP-11), or a word to a person."""

from http import HTTPMethod, HTTPStatus

from pylon.adapters.http.websocket_server import Answer, HttpReply, HttpRequest
from pylon.wire import relay_info
from pylon.wire.relay_info import RelayInfo

_ANYWHERE = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Headers", "*"),
    ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS"),
)
_FOR_PEOPLE = b"This is a Nostr relay. Connect to it by WebSocket.\n"


def information(info: RelayInfo) -> Answer:
    """Return what answers every request that is no WebSocket handshake."""
    document = relay_info.write(info).encode()

    def answer(request: HttpRequest) -> HttpReply:
        if request.method == HTTPMethod.OPTIONS:
            return HttpReply(HTTPStatus.NO_CONTENT, _ANYWHERE)
        if request.method not in (HTTPMethod.GET, HTTPMethod.HEAD):
            return HttpReply(HTTPStatus.METHOD_NOT_ALLOWED, (("Allow", "GET, HEAD, OPTIONS"),))
        if relay_info.CONTENT_TYPE in request.headers.get("accept", ""):
            kind, body = relay_info.CONTENT_TYPE, document
        else:
            kind, body = "text/plain; charset=utf-8", _FOR_PEOPLE
        return HttpReply(HTTPStatus.OK, (("Content-Type", kind), *_ANYWHERE), body)

    return answer
