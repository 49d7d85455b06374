"""Admission counts what is open, what is held and what was never paid for, and nothing else."""

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pylon.core.job_machine import HELD_FIRST, is_final
from pylon.core.open_jobs import UNPAID_SECONDS, Load, OpenJobs
from pylon.model.event import Event
from pylon.model.ids import EventId, PaymentHash, Preimage, PublicKey
from pylon.model.job import (
    Cancelled,
    Delivered,
    Failed,
    Finished,
    Job,
    JobState,
    Offered,
    Received,
    Refused,
    Settled,
    Settling,
    Unpaid,
    Working,
)
from pylon.model.money import Msat, PayMode
from pylon.model.wallet import IssuedInvoice
from tests.market.actors import a_job
from tests.nostr import NOW

HASH = PaymentHash("11" * 32)
INVOICE = IssuedInvoice("lnbcrt1", HASH, Msat(12_000), NOW, NOW + 600, Preimage("5e" * 32))
RESULT = EventId("result")
STATES: tuple[JobState, ...] = (
    Received(),
    Offered(INVOICE),
    Working(NOW + 60),
    Finished(RESULT, give_up_at=NOW + 60),
    Delivered(RESULT, INVOICE),
    Settling(RESULT, INVOICE),
    Settled(RESULT),
    Unpaid(RESULT, HASH, "not paid in time"),
    Refused("no"),
    Failed("no"),
    Cancelled(),
    Cancelled(invoice=HASH),
)
ALICE, BOB = PublicKey("aa" * 32), PublicKey("bb" * 32)


def by(customer: PublicKey, mode: PayMode = PayMode.PREPAY, number: int = 1) -> Job:
    request: Event = evolve(a_job(number).request, pubkey=customer)
    return a_job(request=request, mode=mode)


def counted(*noted: tuple[Job, JobState], now: int = NOW, of: PublicKey = ALICE) -> Load:
    jobs = OpenJobs()
    for job, state in noted:
        jobs.note(job, state, NOW)
    return jobs.load(of, now)


def test_nobody_has_anything_at_first() -> None:
    assert counted() == Load(0, 0, 0, 0, 0)


def test_a_job_counts_from_its_admission_to_its_end() -> None:
    for state in STATES:
        assert counted((by(ALICE), state)).open_jobs == (not is_final(state))
    assert counted((by(ALICE), Working(9)), (by(ALICE), Settled(RESULT))).open_jobs == 0


def test_a_customer_is_not_answerable_for_others() -> None:
    load = counted((by(BOB, PayMode.LOCKED), Working(9)), (by(BOB, PayMode.HOLD, 2), Working(9)))
    assert load == Load(open_jobs=0, queued=2, unpaid=0, holds=1, own_holds=0)


@pytest.mark.parametrize("mode", PayMode)
def test_the_queue_is_what_is_computed_or_will_be_without_anybody_else_doing_anything(
    mode: PayMode,
) -> None:
    for state in STATES:
        at_once = mode is PayMode.LOCKED and state == Received()
        assert counted((by(ALICE, mode), state)).queued == (isinstance(state, Working) or at_once)


@pytest.mark.parametrize("mode", PayMode)
def test_a_hold_counts_from_its_offer_to_its_end(mode: PayMode) -> None:
    for state in STATES:
        load = counted((by(ALICE, mode), state))
        held = mode in HELD_FIRST and not is_final(state)
        assert (load.holds, load.own_holds) == (held, held)


def test_work_done_before_it_is_paid_counts_until_it_is_paid() -> None:
    job = by(ALICE, PayMode.LOCKED)
    for state in STATES[:6]:
        assert counted((job, state)).unpaid == 1
    assert counted((job, STATES[4]), (job, Settled(RESULT, HASH))).unpaid == 0
    assert counted((job, Failed("out of memory"))).unpaid == 0


def test_what_was_never_paid_for_counts_for_a_day() -> None:
    job, never = by(ALICE, PayMode.LOCKED), Unpaid(RESULT, HASH, "not paid in time")
    assert counted((job, never), now=NOW + UNPAID_SECONDS - 1) == Load(0, 0, unpaid=1)
    assert counted((job, never), now=NOW + UNPAID_SECONDS) == Load(0, 0)
    late = ((job, never), (job, Settled(RESULT, HASH)))
    assert counted(*late, now=NOW + 1).unpaid == 0
    assert counted(*late, now=NOW + UNPAID_SECONDS).unpaid == 0


def test_work_by_credit_that_is_called_off_counts_as_if_it_was_never_paid_for() -> None:
    """Or else whoever calls each job off before its end has all the work it likes for nothing."""
    job, off = by(ALICE, PayMode.LOCKED), Cancelled(invoice=HASH)
    assert counted((job, off), now=NOW + UNPAID_SECONDS - 1) == Load(0, 0, unpaid=1)
    assert counted((job, off), now=NOW + UNPAID_SECONDS) == Load(0, 0)
    assert counted((job, Cancelled())).unpaid == 0, "nothing was begun"
    assert counted((by(ALICE, PayMode.PREPAY), off)).unpaid == 0


def test_a_hold_that_went_back_is_no_debt_of_the_customer_s() -> None:
    gone = Unpaid(RESULT, HASH, "the payment went back")
    assert counted((by(ALICE, PayMode.HOLD_LOCKED), gone)).unpaid == 0


lives = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(STATES), st.integers(0, 3)), max_size=30
)


@given(lives)
def test_counting_step_by_step_is_counting_what_there_is(
    steps: list[tuple[int, JobState, int]],
) -> None:
    people, modes = (ALICE, BOB), tuple(PayMode)
    one_by_one, last = OpenJobs(), dict[int, Any]()
    for number, state, hours in steps:
        job = by(people[number % 2], modes[number % len(modes)], number)
        one_by_one.note(job, state, NOW + 3_600 * hours)
        last[number] = (job, state, NOW + 3_600 * hours)
    at_once = OpenJobs()
    for job, state, at in last.values():
        at_once.note(job, state, at)
    for person in people:
        assert one_by_one.load(person, NOW + 9_999) == at_once.load(person, NOW + 9_999)
