"""`pylon relay` as a process: it says where it is, serves, and ends when asked."""

import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from pylon.cli.relay import relay
from pylon.errors import Misconfigured


@contextmanager
def running(call: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    code = f"from pathlib import Path; from pylon.cli.relay import relay; raise SystemExit({call})"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own words
        try:
            assert process.stderr is not None
            yield process, process.stderr.readline().removeprefix("relay at ").strip()
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_says_where_it_is_and_ends_when_asked(number: signal.Signals, status: int) -> None:
    with running("relay(port=0)") as (process, url):
        assert url.startswith("ws://127.0.0.1:")
        process.send_signal(number)
        assert process.wait(timeout=10) == status


def test_the_options_reach_the_relay(tmp_path: Path) -> None:
    store = tmp_path / "events.db"
    with running(f"relay(port=0, auth=True, name='mine', store=Path({str(store)!r}))") as (_, url):
        request = urllib.request.Request(  # noqa: S310 - our own URL
            url.replace("ws:", "http:"), headers={"Accept": "application/nostr+json"}
        )
        with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310 - our own URL
            document = msgspec.json.decode(reply.read())
        assert document["name"] == "mine"
        assert document["limitation"]["auth_required"] is True
        assert store.stat().st_mode & 0o777 == 0o600


def test_an_outside_url_that_is_none_is_refused() -> None:
    with pytest.raises(Misconfigured, match="--url"):
        relay(url=("http://example.com",))
