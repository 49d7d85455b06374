"""What a relay does with an event of each kind (NIP-01)."""

from enum import StrEnum

_REPLACEABLE_BELOW_TEN_THOUSAND = (0, 3)


class KindClass(StrEnum):
    """How long events of a kind live."""

    REGULAR = "regular"  # all are kept; kinds without a rule are taken for regular
    REPLACEABLE = "replaceable"  # the newest by author and kind is kept
    EPHEMERAL = "ephemeral"  # none is kept: passed on to whoever listens now
    ADDRESSABLE = "addressable"  # the newest by author, kind and `d` tag is kept


def kind_class(kind: int) -> KindClass:
    """Return the class of a kind."""
    if kind in _REPLACEABLE_BELOW_TEN_THOUSAND:
        return KindClass.REPLACEABLE
    match kind // 10_000:
        case 1:
            return KindClass.REPLACEABLE
        case 2:
            return KindClass.EPHEMERAL
        case 3:
            return KindClass.ADDRESSABLE
        case _:
            return KindClass.REGULAR
