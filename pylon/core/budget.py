"""Decide what may be spent: limits on all spending, and one order for each payment hash."""

from enum import StrEnum

from attrs import frozen

from pylon.model.ids import JobId
from pylon.model.money import Msat, show_sats

SECONDS_PER_DAY = 86_400


@frozen
class Caps:
    """Limits on spent plus reserved, fees included; None is no limit. A day is a UTC day."""

    per_job: Msat | None = None
    per_day: Msat | None = None
    total: Msat | None = None


@frozen
class Committed:
    """Spent plus reserved, fees included, over the span of each cap.

    A reservation counts on every day until it is spent or given back: it may be spent today.
    """

    job: Msat
    day: Msat
    total: Msat


class Standing(StrEnum):
    """What has become of the money set aside for a payment hash."""

    RESERVED = "reserved"
    SPENT = "spent"
    RELEASED = "released"


@frozen
class Entry:
    """What the books hold on one payment hash. It stays its first order's, also when released."""

    order: JobId | None  # None: spent without ever having been reserved
    standing: Standing
    amount: Msat
    fee: Msat
    at: int  # unix seconds

    @property
    def committed(self) -> Msat:
        """Amount and fee together."""
        return Msat(self.amount + self.fee)


def day_start(now: int) -> int:
    """Return when the UTC day of `now` began (unix seconds)."""
    return now - now % SECONDS_PER_DAY


def objection(entry: Entry, order: JobId, *, amount: Msat, fee: Msat) -> str | None:
    """Say why a payment hash with a past may not be reserved for `order`."""
    if entry.standing is Standing.SPENT:
        return "this payment hash was paid before"
    if entry.order != order:
        return "this payment hash belongs to another order"
    if entry.standing is Standing.RESERVED and (entry.amount, entry.fee) != (amount, fee):
        return "another amount is set aside for this payment hash"
    return None


def excess(caps: Caps, committed: Committed, need: Msat) -> str | None:
    """Say which cap would be broken by committing `need` more."""
    spans = (
        (caps.per_job, committed.job, "for one job"),
        (caps.per_day, committed.day, "for one day"),
        (caps.total, committed.total, "in total"),
    )
    for limit, used, span in spans:
        if limit is not None and used + need > limit:
            return (
                f"{show_sats(need)} with fees is over the limit of {show_sats(limit)} {span}, "
                f"of which {show_sats(used)} are spent or set aside"
            )
    return None
