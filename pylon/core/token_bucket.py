"""How much a peer may still ask of us."""

from attrs import frozen


@frozen
class TokenBucket:
    """Tokens left at a moment; below zero, the peer has taken more than its share."""

    level: float
    at: float  # seconds


def draw(bucket: TokenBucket, cost: float, *, now: float, rate: float, burst: float) -> TokenBucket:
    """Refill for the time since, `burst` at most, and take `cost`. A clock set back refills none."""
    refilled = min(burst, bucket.level + max(0.0, now - bucket.at) * rate)
    return TokenBucket(refilled - cost, now)
