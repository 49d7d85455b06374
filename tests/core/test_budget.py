"""What may be spent, decided without a store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.core.budget import (
    SECONDS_PER_DAY,
    SECONDS_PER_HOUR,
    Caps,
    Entry,
    Posting,
    Span,
    Standing,
    Used,
    day_start,
    excess,
    hour_start,
    objection,
    postings,
    refusal,
    released,
    spent,
    usage,
    veto,
)
from pylon.model.budget import NODE, Purpose, Scope
from pylon.model.ids import EventId, JobId, PublicKey
from pylon.model.money import Msat

OURS, OTHER = JobId(EventId("1" * 64)), JobId(EventId("2" * 64))
SELLER = PublicKey("a" * 64)
AGENT = Scope("agent:alice")
FULL = Purpose(OURS, SELLER, (NODE, AGENT))
AMOUNTS = st.integers(0, 100).map(Msat)
NOTHING = dict.fromkeys(Span, Used())


def entry(
    standing: Standing, order: JobId | None = OURS, *, amount: int = 10, fee: int = 1, at: int = 0
) -> Entry:
    return Entry(Purpose(order), standing, Msat(amount), Msat(fee), at)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (entry(Standing.SPENT), "paid before"),
        (entry(Standing.SPENT, None), "paid before"),
        (entry(Standing.SPENT, OTHER), "paid before"),
        (entry(Standing.RESERVED, OTHER), "another order"),
        (entry(Standing.RESERVED, None), "another order"),
        (entry(Standing.RELEASED, OTHER), "another order"),
    ],
)
def test_a_hash_with_a_past_is_refused_with_the_reason(known: Entry, words: str) -> None:
    reason = objection(known, entry(Standing.RESERVED))

    assert reason is not None
    assert words in reason


@pytest.mark.parametrize(("amount", "fee"), [(9, 1), (11, 1), (10, 0), (10, 2)])
def test_a_reservation_stands_at_its_own_amount_alone(amount: int, fee: int) -> None:
    reserved, returned = entry(Standing.RESERVED), entry(Standing.RELEASED)
    new = entry(Standing.RESERVED, amount=amount, fee=fee)

    assert objection(reserved, entry(Standing.RESERVED)) is None
    assert objection(reserved, new) is not None
    assert objection(returned, new) is None


def test_what_is_committed_includes_the_fee() -> None:
    assert entry(Standing.RESERVED).committed == 11


@given(
    limits=st.lists(st.none() | AMOUNTS, min_size=5, max_size=5),
    used=st.fixed_dictionaries(dict.fromkeys(Span, st.builds(Used, AMOUNTS, AMOUNTS))),
    need=AMOUNTS,
)
def test_need_is_refused_exactly_when_it_breaks_a_cap(
    limits: list[Msat | None], used: dict[Span, Used], need: Msat
) -> None:
    broken = [
        cap
        for cap, span in zip(limits, Span, strict=True)
        if cap is not None and used[span].spent + used[span].reserved + need > cap
    ]
    assert (excess(NODE, Caps(*limits), used, need) is not None) == bool(broken)


@pytest.mark.parametrize(
    ("caps", "span"),
    [
        (Caps(per_job=Msat(9)), Span.JOB),
        (Caps(per_provider=Msat(9)), Span.PROVIDER),
        (Caps(per_hour=Msat(9)), Span.HOUR),
        (Caps(per_day=Msat(9)), Span.DAY),
        (Caps(total=Msat(9)), Span.TOTAL),
    ],
)
def test_each_cap_limits_its_own_span(caps: Caps, span: Span) -> None:
    others = NOTHING | {other: Used(Msat(9)) for other in Span if other is not span}

    assert excess(NODE, caps, others, Msat(9)) is None
    assert excess(NODE, caps, NOTHING | {span: Used(Msat(1))}, Msat(9)) is not None


def test_what_is_for_no_job_has_no_cap_for_one_job() -> None:
    caps = Caps(per_job=Msat(1), per_provider=Msat(1))
    used = {span: Used() for span in (Span.HOUR, Span.DAY, Span.TOTAL)}

    assert excess(NODE, caps, used, Msat(9)) is None


@pytest.mark.parametrize("capped", [NODE, AGENT])
def test_the_caps_of_every_scope_must_hold(capped: Scope) -> None:
    new = Entry(FULL, Standing.RESERVED, Msat(10_000), Msat(1_000), at=0)
    used = dict.fromkeys((NODE, AGENT), NOTHING)

    assert refusal(new, used, {capped: Caps(total=Msat(11_000))}, ()) is None
    reason = refusal(new, used, {capped: Caps(total=Msat(10_999))}, ())
    assert reason is not None
    assert ("agent:alice" in reason) == (capped == AGENT)


@pytest.mark.parametrize("scope", [NODE, AGENT])
def test_a_pause_of_any_scope_stops_what_counts_in_it(scope: Scope) -> None:
    new = Entry(FULL, Standing.RESERVED, Msat(1), Msat(0), at=0)

    for reason in (
        refusal(new, dict.fromkeys((NODE, AGENT), NOTHING), {}, [scope]),
        veto(new, [scope]),
    ):
        assert reason is not None
        assert "paused" in reason
        assert ("agent:alice" in reason) == (scope == AGENT)


def test_a_pause_of_an_agent_is_its_own() -> None:
    assert veto(entry(Standing.RESERVED), [AGENT]) is None


@pytest.mark.parametrize("known", [None, entry(Standing.RELEASED)])
def test_what_is_not_set_aside_must_not_be_paid(known: Entry | None) -> None:
    assert "nothing is set aside" in (veto(known, ()) or "")


def test_a_repeated_payment_of_what_was_spent_is_for_the_wallet_to_answer() -> None:
    assert veto(entry(Standing.SPENT), ()) is None


def test_a_reservation_counts_in_every_hour_and_day() -> None:
    kept = NOTHING | {
        Span.TOTAL: Used(Msat(50), Msat(7)),
        Span.HOUR: Used(Msat(1)),
        Span.DAY: Used(Msat(2)),
        Span.JOB: Used(Msat(3), Msat(4)),
    }
    assert usage(kept) == kept | {
        Span.HOUR: Used(Msat(1), Msat(7)),
        Span.DAY: Used(Msat(2), Msat(7)),
    }


def test_a_reservation_is_posted_where_it_counts_in_each_scope() -> None:
    new = Entry(FULL, Standing.RESERVED, Msat(10), Msat(1), at=90_000)

    assert set(postings(None, new)) == {
        Posting(scope, span, key, reserved=11)
        for scope in (NODE, AGENT)
        for span, key in ((Span.JOB, OURS), (Span.PROVIDER, SELLER), (Span.TOTAL, ""))
    }


def test_what_is_spent_leaves_the_reservation_and_counts_at_its_own_time() -> None:
    before = Entry(Purpose(), Standing.RESERVED, Msat(10), Msat(1), at=0)
    after = spent(before, amount=Msat(10), fee=Msat(0), now=90_000)

    assert after is not None
    assert set(postings(before, after)) == {
        Posting(NODE, Span.TOTAL, "", reserved=-11),
        Posting(NODE, Span.TOTAL, "", spent=10),
        Posting(NODE, Span.HOUR, "90000", spent=10),
        Posting(NODE, Span.DAY, "86400", spent=10),
    }


def test_what_is_given_back_is_posted_nowhere() -> None:
    before = entry(Standing.RESERVED)
    after = released(before)

    assert after is not None
    assert after.standing is Standing.RELEASED
    assert {posting.reserved for posting in postings(before, after)} == {-11}
    assert list(postings(None, after)) == []


def test_spending_is_booked_once_and_giving_back_needs_a_reservation() -> None:
    def spend(known: Entry | None) -> Entry | None:
        return spent(known, amount=Msat(99), fee=Msat(9), now=5)

    assert spend(entry(Standing.SPENT)) is None
    assert spend(None) == Entry(Purpose(), Standing.SPENT, Msat(99), Msat(9), 5)
    assert [released(known) for known in (None, entry(Standing.SPENT))] == [None, None]
    assert released(entry(Standing.RELEASED)) is None


@given(st.integers(0, 2**40))
def test_a_day_begins_at_midnight_utc_and_an_hour_at_the_full_hour(now: int) -> None:
    day, hour = day_start(now), hour_start(now)

    assert day % SECONDS_PER_DAY == 0
    assert day <= now < day + SECONDS_PER_DAY
    assert hour % SECONDS_PER_HOUR == 0
    assert hour <= now < hour + SECONDS_PER_HOUR
