"""What our own relay allows, and what it says about itself (NIP-11)."""

from collections.abc import Collection
from enum import StrEnum
from typing import Final

from attrs import frozen

from pylon.model.event import Event
from pylon.model.ids import PublicKey, RelayUrl
from pylon.wire.event import DEFAULT_LIMITS, Limits
from pylon.wire.relay_info import Limitation, RelayInfo

SUPPORTED_NIPS: Final = (1, 9, 11, 40, 42, 45, 70)

# Read by their author and whom they are addressed to, once those have authenticated.
PRIVATE_KINDS: Final = frozenset({4, 13, 1059})


class Added(StrEnum):
    """What became of an event given to a store."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    OUTDATED = "outdated"  # a version that supersedes it is held
    DELETED = "deleted"  # its author has asked for its deletion


@frozen
class RelayRules:
    """Limits of one connection and of what it may send."""

    urls: frozenset[RelayUrl] = frozenset()  # our own, normalised: what a client may sign in to
    auth: bool = False  # NIP-42 before anything is read or written
    message_bytes: int = 512 * 1024
    event: Limits = DEFAULT_LIMITS
    future_seconds: int = 900
    subscriptions: int = 64
    filters: int = 32  # in one REQ or COUNT
    filter_values: int = 2_000  # in all filters of one REQ or COUNT
    limit: int = 5_000
    default_limit: int = 500
    keys: int = 16  # authenticated on one connection
    rate: float = 2_000.0  # tokens a second: an event costs one, a query one a filter
    burst: float = 10_000.0  # tokens saved at most, and owed at most before we hang up


DEFAULT_RULES: Final = RelayRules()


def visible(event: Event, keys: Collection[PublicKey]) -> bool:
    """Say whether a client that has proved to hold `keys` may read an event."""
    return (
        event.kind not in PRIVATE_KINDS
        or event.pubkey in keys
        or any(key in keys for key in event.tag_values("p"))
    )


def describe(rules: RelayRules, *, name: str, version: str) -> RelayInfo:
    """Return the information document that goes with the rules (NIP-11)."""
    return RelayInfo(
        name=name,
        description="A small relay for jobs, demos and private swarms.",
        supported_nips=SUPPORTED_NIPS,
        software="pylon",
        version=version,
        limitation=Limitation(
            max_message_length=rules.message_bytes,
            max_subscriptions=rules.subscriptions,
            max_limit=rules.limit,
            default_limit=rules.default_limit,
            max_subid_length=64,
            max_event_tags=rules.event.tags,
            max_content_length=rules.event.content,
            auth_required=rules.auth,
            payment_required=False,
            restricted_writes=rules.auth,
            created_at_upper_limit=rules.future_seconds,
        ),
    )
