"""NIP-40: when an event is void."""

import pytest

from pylon.wire import expiration
from tests.wire.strategies import event


def test_an_event_expires_at_the_second_it_names() -> None:
    one = event(5050, expiration.tag(1000))
    assert expiration.expires_at(one) == 1000
    assert not expiration.is_expired(one, 999.9)
    assert expiration.is_expired(one, 1000)


def test_an_event_without_expiration_never_expires() -> None:
    assert expiration.expires_at(event()) is None
    assert not expiration.is_expired(event(), 1e12)


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "1e3", "\u0661", "9" * 17, " 1"])
def test_an_expiration_that_cannot_be_read_is_none(text: str) -> None:
    assert expiration.expires_at(event(1, ("expiration", text))) is None


def test_ephemeral_events_do_not_expire_but_say_when_they_would() -> None:
    one = event(23194, expiration.tag(1000))
    assert not expiration.is_expired(one, 2000)
    assert expiration.expires_at(one) == 1000
