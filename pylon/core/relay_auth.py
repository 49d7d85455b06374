"""Proving to one relay who we are, when it asks (NIP-42).

The newest challenge counts: an answer to an older one is void, and so is its OK. A challenge is
answered once on a connection, whatever comes of it, so that no relay can make us go round in circles.
"""

from attrs import evolve, frozen

from pylon.model.event import Event
from pylon.model.ids import EventId
from pylon.wire.frames import Authenticate, encode

PATIENCE_SECONDS = 30.0  # for a challenge to come, and for the OK to our answer


@frozen
class Auth:
    """Where authentication stands on this connection."""

    challenge: str | None = None
    answered: str | None = None  # the challenge that we set out to answer
    asked: EventId | None = None  # our answer, while its OK is awaited
    since: float | None = None  # when we began to wait, for a challenge or for its OK

    @property
    def possible(self) -> bool:
        """Whether authentication is still to come, as far as we know."""
        return self.since is not None or self.challenge is None or self.challenge != self.answered


def challenged(auth: Auth, challenge: str) -> Auth:
    """Take note of a challenge."""
    return evolve(auth, challenge=challenge, asked=None, since=None)


def wish(auth: Auth, now: float) -> tuple[Auth, str | None]:
    """Wish to authenticate; returns the challenge to sign, if there is one that is new."""
    if auth.challenge is None:
        return evolve(auth, since=now if auth.since is None else auth.since), None
    if auth.challenge == auth.answered:
        return auth, None
    return evolve(auth, answered=auth.challenge, since=now), auth.challenge


def signed(auth: Auth, event: Event, now: float) -> tuple[Auth, tuple[str, ...]]:
    """Answer the newest challenge, unless `event` is for another one or is not the first answer."""
    wished = auth.since is not None and auth.asked is None and auth.challenge == auth.answered
    if not wished or event.tag("challenge") != auth.challenge:
        return auth, ()
    return evolve(auth, asked=event.id, since=now), (encode(Authenticate(event)),)


def settled(auth: Auth) -> Auth:
    """Stop waiting."""
    return evolve(auth, asked=None, since=None)


def is_overdue(auth: Auth, now: float) -> bool:
    """Say whether we have waited long enough."""
    return auth.since is not None and now - auth.since >= PATIENCE_SECONDS
