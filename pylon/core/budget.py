"""Decide what may be spent: caps on every scope of spending, and one purpose for each payment hash.

The books hold an entry for each payment hash, and running totals: one account for each span of each
scope. An entry that changes is taken out of its accounts and put back as it is now (`postings`), so
that deciding costs the same however much was ever spent.
"""

from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from typing import TypeAlias

from attrs import evolve, frozen

from pylon.model.budget import NODE, Purpose, Scope
from pylon.model.money import ZERO, Msat, show_sats

SECONDS_PER_HOUR = 3_600
SECONDS_PER_DAY = 86_400


class Span(StrEnum):
    """What a cap is a limit of, within its scope."""

    JOB = "job"
    PROVIDER = "provider"
    HOUR = "hour"
    DAY = "day"
    TOTAL = "total"


_IN_WORDS = {
    Span.JOB: "for one job",
    Span.PROVIDER: "for one provider",
    Span.HOUR: "for one hour",
    Span.DAY: "for one day",
    Span.TOTAL: "in total",
}


@frozen
class Caps:
    """Limits of one scope on spent plus reserved, fees included; None is no limit.

    Hours and days are those of UTC; what one job or one provider may cost is counted over all time.
    """

    per_job: Msat | None = None
    per_provider: Msat | None = None
    per_hour: Msat | None = None
    per_day: Msat | None = None
    total: Msat | None = None

    def by_span(self) -> dict[Span, Msat | None]:
        """Return the limit of each span."""
        limits = (self.per_job, self.per_provider, self.per_hour, self.per_day, self.total)
        return dict(zip(Span, limits, strict=True))


Limits: TypeAlias = Mapping[Scope, Caps]  # a scope that is not named has no caps


@frozen
class Used:
    """What one account holds, fees included."""

    spent: Msat = ZERO
    reserved: Msat = ZERO

    @property
    def committed(self) -> Msat:
        """Spent and reserved together: what caps limit."""
        return Msat(self.spent + self.reserved)


Usage: TypeAlias = Mapping[Span, Used]  # of one scope


class Standing(StrEnum):
    """What has become of the money set aside for a payment hash."""

    RESERVED = "reserved"
    SPENT = "spent"
    RELEASED = "released"


@frozen
class Entry:
    """What the books hold on one payment hash. It stays its first order's, also when released."""

    purpose: Purpose
    standing: Standing
    amount: Msat
    fee: Msat
    at: int  # unix seconds

    @property
    def committed(self) -> Msat:
        """Amount and fee together."""
        return Msat(self.amount + self.fee)


@frozen
class Posting:
    """A change of one running total."""

    scope: Scope
    span: Span
    key: str
    spent: int = 0  # msat
    reserved: int = 0


def hour_start(now: int) -> int:
    """Return when the hour of `now` began (unix seconds)."""
    return now - now % SECONDS_PER_HOUR


def day_start(now: int) -> int:
    """Return when the UTC day of `now` began (unix seconds)."""
    return now - now % SECONDS_PER_DAY


def accounts(purpose: Purpose, now: int) -> dict[Span, str]:
    """Name the accounts, in each scope, that a payment made now counts in."""
    keys = {
        Span.JOB: purpose.order,
        Span.PROVIDER: purpose.provider,
        Span.HOUR: str(hour_start(now)),
        Span.DAY: str(day_start(now)),
        Span.TOTAL: "",
    }
    return {span: key for span, key in keys.items() if key is not None}


def usage(kept: Usage) -> Usage:
    """Read the accounts of a scope as caps see them.

    A reservation counts in every hour and day until it is spent or given back: it may be spent
    now. So it is kept in the accounts that do not end, and read into those that do.
    """
    reserved = kept[Span.TOTAL].reserved
    return {
        span: evolve(used, reserved=reserved) if span in (Span.HOUR, Span.DAY) else used
        for span, used in kept.items()
    }


def postings(before: Entry | None, after: Entry) -> Iterator[Posting]:
    """Say how the running totals change when one entry takes the place of another."""
    if before is not None:
        yield from _posted(before, -1)
    yield from _posted(after, 1)


def _posted(entry: Entry, sign: int) -> Iterator[Posting]:
    if entry.standing is Standing.RELEASED:
        return
    change = sign * entry.committed
    for scope in entry.purpose.scopes:
        for span, key in accounts(entry.purpose, entry.at).items():
            if entry.standing is Standing.SPENT:
                yield Posting(scope, span, key, spent=change)
            elif span not in (Span.HOUR, Span.DAY):
                yield Posting(scope, span, key, reserved=change)


def spent(known: Entry | None, *, amount: Msat, fee: Msat, now: int) -> Entry | None:
    """Return the entry of what was really spent; None if it is in the books already."""
    if known is None:
        return Entry(Purpose(), Standing.SPENT, amount, fee, now)
    if known.standing is Standing.SPENT:
        return None
    return Entry(known.purpose, Standing.SPENT, amount, fee, now)


def released(known: Entry | None) -> Entry | None:
    """Return the entry of a reservation given back; None where there is none to give back."""
    if known is None or known.standing is not Standing.RESERVED:
        return None
    return evolve(known, standing=Standing.RELEASED)


def objection(known: Entry, new: Entry) -> str | None:
    """Say why a payment hash with a past may not be reserved as `new` wants it."""
    if known.standing is Standing.SPENT:
        return "this payment hash was paid before"
    if known.purpose.order != new.purpose.order:
        return "this payment hash belongs to another order"
    if known.standing is Standing.RESERVED and (known.amount, known.fee) != (new.amount, new.fee):
        return "another amount is set aside for this payment hash"
    return None


def refusal(
    new: Entry, used: Mapping[Scope, Usage], limits: Limits, paused: Collection[Scope]
) -> str | None:
    """Say why `new` may not be reserved: a pause, or a cap of any scope that it would break."""
    reason = pause(new.purpose, paused)
    for scope in new.purpose.scopes:
        reason = reason or excess(scope, limits.get(scope, Caps()), used[scope], new.committed)
    return reason


def veto(known: Entry | None, paused: Collection[Scope]) -> str | None:
    """Say why a payment must not be dispatched after all, asked right before it is."""
    if known is None or known.standing is Standing.RELEASED:
        return "nothing is set aside for this payment"
    return pause(known.purpose, paused)


def pause(purpose: Purpose, paused: Collection[Scope]) -> str | None:
    """Say which scope of a payment's is paused."""
    for scope in purpose.scopes:
        if scope in paused:
            return f"spending{_of(scope)} is paused, until `pylon budget resume`"
    return None


def excess(scope: Scope, caps: Caps, used: Usage, need: Msat) -> str | None:
    """Say which cap of a scope would be broken by committing `need` more."""
    for span, limit in caps.by_span().items():
        if limit is None or span not in used:  # what is for no job has no limit for one job
            continue
        if (committed := used[span].committed) + need > limit:
            return (
                f"{show_sats(need)} with fees is over the limit{_of(scope)} of {show_sats(limit)} "
                f"{_IN_WORDS[span]}, of which {show_sats(committed)} are spent or set aside"
            )
    return None


def _of(scope: Scope) -> str:
    return "" if scope == NODE else f" of {scope}"
