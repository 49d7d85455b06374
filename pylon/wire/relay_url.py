"""Relay addresses in one spelling, so that one relay is not taken for two."""

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from pylon.errors import Malformed
from pylon.model.ids import RelayUrl

_MAX_LENGTH: Final = 1024
_PORTS: Final = {"ws": 80, "wss": 443}
_VISIBLE: Final = re.compile(r"[!-~]+")


def normalise(text: str) -> RelayUrl:
    """Write a relay's URL with scheme and host in lower case and without what changes nothing.

    That is the scheme's own port, slashes at the end, and a fragment. Path and query stay as they
    are: two paths of one host may be two relays.

    Raises:
        Malformed: if it is no ws:// or wss:// URL with a host, or holds a user name, a space or a
            character outside ASCII (international names are written in their xn-- form).
    """
    if len(text) > _MAX_LENGTH or not _VISIBLE.fullmatch(text):
        raise Malformed("a relay URL is at most 1024 visible ASCII characters")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Malformed(f"not a URL: {text!r}") from None
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        raise Malformed(f"not a relay URL, ws://host or wss://host: {text!r}")
    shown_port = "" if port in (None, _PORTS[parts.scheme]) else f":{port}"
    query = f"?{parts.query}" if parts.query else ""
    return RelayUrl(f"{parts.scheme}://{_host(parts)}{shown_port}{parts.path.rstrip('/')}{query}")


def http_form(url: RelayUrl) -> str:
    """Return the http:// or https:// URL under which the relay describes itself (NIP-11)."""
    return "http" + url.removeprefix("ws")


def _host(parts: SplitResult) -> str:
    """Return the host in lower case, an IPv6 address in its brackets."""
    host = (parts.hostname or "").lower()
    return f"[{host}]" if ":" in host else host
