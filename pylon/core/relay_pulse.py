"""Whether the other end still lives, in seconds that count only while we are awake and listening.

A laptop's sleep, a clock that is set, or a consumer that keeps us from reading make no relay look
dead. After a jump of the clock the connection is suspect and pinged at once.
"""

from enum import Enum, auto

from attrs import evolve, frozen

QUIET_SECONDS = 20.0  # of silence before a ping
PONG_SECONDS = 15.0  # for its pong, or any other sign of life
JUMP_SECONDS = 10.0  # from one tick to the next is no tick but a sleep, or a clock that was set


class Finding(Enum):
    """What to do about a connection."""

    NOTHING = auto()
    PING = auto()
    DEAD = auto()


@frozen
class Pulse:
    """When there was a sign of life. Times but `wall` are seconds of this pulse's own."""

    time: float = 0.0
    wall: float = 0.0  # unix seconds
    heard_at: float = 0.0
    pinged_at: float | None = None
    jumped: bool = False


def alive(pulse: Pulse) -> Pulse:
    """Note a sign of life."""
    if pulse.pinged_at is None and pulse.heard_at == pulse.time:
        return pulse
    return evolve(pulse, heard_at=pulse.time, pinged_at=None)


def passed(pulse: Pulse, now: float, *, listening: bool) -> Pulse:
    """Note that it is `now` (unix seconds)."""
    elapsed = now - pulse.wall
    jumped = not 0 <= elapsed <= JUMP_SECONDS
    counted = elapsed if listening and not jumped else 0.0
    return evolve(pulse, wall=now, time=pulse.time + counted, jumped=jumped)


def examine(pulse: Pulse) -> tuple[Pulse, Finding]:
    """Decide whether to ping, or to give up."""
    if pulse.pinged_at is not None:
        dead = pulse.time - pulse.pinged_at >= PONG_SECONDS
        return pulse, Finding.DEAD if dead else Finding.NOTHING
    if pulse.jumped or pulse.time - pulse.heard_at >= QUIET_SECONDS:
        return evolve(pulse, pinged_at=pulse.time), Finding.PING
    return pulse, Finding.NOTHING
