"""A relay filter as a value (NIP-01); matching and the wire form are in `wire.filters`."""

from collections.abc import Mapping

from attrs import field, frozen


@frozen
class Filter:
    """Conditions joined by AND; None means the condition is absent, () matches nothing.

    `tags` maps a single letter to the values asked for, without the `#`.
    """

    ids: tuple[str, ...] | None = None
    authors: tuple[str, ...] | None = None
    kinds: tuple[int, ...] | None = None
    tags: Mapping[str, tuple[str, ...]] = field(factory=dict)
    since: int | None = None
    until: int | None = None
    limit: int | None = None
