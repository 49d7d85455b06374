"""What every `Records` promises, asked of each."""

from attrs import evolve

from pylon.app.store import Store
from pylon.model.ids import JobId, NodeKey, Preimage, PublicKey
from pylon.model.job import Failed, Offered, Settled
from pylon.model.money import Msat
from pylon.model.order import Answer, Disputed, Done, Offer, OrderState, Paying, Published
from pylon.model.wallet import IssuedInvoice
from pylon.ports.records import MAX_HISTORY, Change, Moment, Record
from tests.adapters.stores.samples import (
    NOW,
    WORKING,
    JobChange,
    act,
    begin,
    end,
    event,
    job,
    job_id,
    order,
    payment_hash,
    settled,
)

OFFER = Offer(
    provider=PublicKey("9" * 64),
    feedback=event(77).id,
    amount=Msat(12_000),
    bolt11="lnbcrt…",
    payment_hash=payment_hash(7),
    node_key=NodeKey("02" + "8" * 64),
    expires_at=NOW + 60,
)
INVOICE = IssuedInvoice("lnbcrt…", payment_hash(1), Msat(12_000), NOW, NOW + 60)


async def test_nothing_is_known_of_a_machine_that_never_began(store: Store) -> None:
    assert await store.jobs.load([job_id(1)]) == {}
    assert await store.jobs.evidence(job_id(1)) == []


async def test_a_machine_comes_back_as_it_went_in(store: Store) -> None:
    await store.jobs.save([begin(1, state=Offered(INVOICE))])

    assert await store.jobs.load([job_id(1), job_id(2)]) == {
        job_id(1): Record(job_id(1), job(1), Offered(INVOICE), NOW)
    }


async def test_orders_and_jobs_of_one_id_are_two_machines(store: Store) -> None:
    published = Published((OFFER, OFFER), window_ends=NOW + 5)
    await store.jobs.save([begin(1)])
    await store.orders.save([Change(job_id(1), published, NOW, facts=order(1))])

    assert (await store.jobs.load([job_id(1)]))[job_id(1)].state == WORKING
    assert (await store.orders.load([job_id(1)]))[job_id(1)] == Record(
        job_id(1), order(1), published, NOW
    )


async def test_nested_states_come_back_as_they_went_in(store: Store) -> None:
    answer = Answer(event(3).id, OFFER.provider)
    states: list[OrderState] = [Paying(OFFER, (OFFER,), answer), Done(answer)]
    for n, state in enumerate(states):
        await store.orders.save([Change(job_id(n), state, NOW, facts=order(n))])

        assert (await store.orders.load([job_id(n)]))[job_id(n)].state == state


async def test_later_steps_of_a_batch_win(store: Store) -> None:
    await store.jobs.save([begin(1), Change(job_id(1), Failed("no"), NOW + 1), end(1, now=NOW + 2)])

    assert (await store.jobs.load([job_id(1)]))[job_id(1)] == Record(
        job_id(1), job(1), settled(1), NOW + 2
    )


async def test_a_step_of_a_machine_that_never_began_is_ignored_whole(store: Store) -> None:
    await store.jobs.save([begin(1, acts=(act("worker"),))])
    await store.jobs.save([Change(job_id(2), WORKING, NOW, acts=(act("worker"),), done=(1,))])

    assert await store.jobs.load([job_id(2)]) == {}
    assert [row.subject for row in await store.jobs.outbox("worker")] == [job_id(1)]


async def test_beginning_twice_is_beginning_once(store: Store) -> None:
    again = begin(1, state=settled(1), peer="mallory", acts=(act("worker"),), now=NOW + 9)
    await store.jobs.save([begin(1, acts=(act("worker"),)), again])
    await store.jobs.save([again])

    assert (await store.jobs.load([job_id(1)]))[job_id(1)].state == WORKING
    assert await store.jobs.unfinished(peer="alice") == [job_id(1)]
    assert len(await store.jobs.outbox("worker")) == 1


async def test_an_idempotency_key_begins_one_machine_alone(store: Store) -> None:
    second = begin(2, key="k", acts=(act("worker"),))
    step: JobChange = Change(job_id(2), settled(2), NOW)
    await store.jobs.save([begin(1, key="k"), second, step])
    await store.jobs.save([second, step])

    assert await store.jobs.find(["k", "unheard of"]) == {"k": job_id(1)}
    assert await store.jobs.load([job_id(2)]) == {}
    assert await store.jobs.outbox("worker") == []


async def test_a_machine_is_found_by_its_alias_and_keeps_it(store: Store) -> None:
    await store.jobs.save([begin(1), begin(2)])
    await store.jobs.save([Change(job_id(1), WORKING, NOW, alias="hash")])
    await store.jobs.save([Change(job_id(2), WORKING, NOW, alias="hash"), begin(3, key="hash")])

    assert await store.jobs.find(["hash"]) == {"hash": job_id(1)}
    assert await store.jobs.load([job_id(3)]) == {}


async def test_an_alias_given_earlier_in_a_batch_is_taken_for_keys(store: Store) -> None:
    await store.jobs.save([begin(1), Change(job_id(1), WORKING, NOW, alias="x"), begin(2, key="x")])

    assert await store.jobs.find(["x"]) == {"x": job_id(1)}
    assert await store.jobs.unfinished() == [job_id(1)]


async def test_time_becomes_news_in_order_and_not_too_early(store: Store) -> None:
    await store.jobs.save([begin(1, due=NOW + 5), begin(2, due=NOW), begin(3), begin(4, due=NOW)])

    assert await store.jobs.next_due() == NOW
    assert await store.jobs.due(NOW - 1) == []
    assert await store.jobs.due(NOW) == [job_id(2), job_id(4)]
    assert await store.jobs.due(NOW + 5) == [job_id(2), job_id(4), job_id(1)]

    await store.jobs.save([end(2), end(4), end(1)])
    assert await store.jobs.next_due() is None
    assert await store.jobs.due(NOW + 5) == []


async def test_a_desk_reads_its_own_acts_in_order_and_page_by_page(store: Store) -> None:
    await store.jobs.save(
        [begin(n, acts=(act("worker", f"[{n}]"), act("publisher"))) for n in (1, 2, 3)]
    )

    rows = await store.jobs.outbox("worker")
    assert [(row.subject, row.kind, row.body) for row in rows] == [
        (job_id(n), "Run", f"[{n}]") for n in (1, 2, 3)
    ]
    assert await store.jobs.outbox("worker", limit=2) == rows[:2]
    assert await store.jobs.outbox("worker", after=rows[1].seq) == rows[2:]
    assert await store.jobs.outbox("worker", subject=job_id(2)) == rows[1:2]
    assert await store.jobs.outbox("worker", subject=job_id(2), after=rows[1].seq) == []
    assert await store.jobs.outbox("worker", subject=job_id(9)) == []


async def test_acts_go_when_their_news_is_stored_or_they_are_dropped(store: Store) -> None:
    await store.jobs.save([begin(n, acts=(act("worker"),)) for n in (1, 2, 3)])
    first, second, third = await store.jobs.outbox("worker")

    await store.jobs.save([end(1, done=(first.seq,))])
    await store.jobs.drop([second.seq, 12345])

    assert await store.jobs.outbox("worker") == [third]


async def test_anybody_may_ask_something_of_a_machine_wherever_it_stands(store: Store) -> None:
    await store.jobs.save([begin(1)])
    before = await store.jobs.load([job_id(1)])

    await store.jobs.ask(job_id(1), act("please"))
    await store.jobs.ask(job_id(2), act("nobody is there"))

    (row,) = await store.jobs.outbox(act("please").desk)
    assert (row.subject, row.kind) == (job_id(1), act("please").kind)
    assert await store.jobs.load([job_id(1)]) == before


async def test_a_seq_is_never_used_twice(store: Store) -> None:
    await store.jobs.save([begin(1, acts=(act("worker"),))])
    (old,) = await store.jobs.outbox("worker")
    await store.jobs.drop([old.seq])
    await store.jobs.save([begin(2, acts=(act("worker"),))])

    assert [row.subject for row in await store.jobs.outbox("worker", after=old.seq)] == [job_id(2)]


async def test_what_has_ended_is_no_longer_unfinished(store: Store) -> None:
    await store.jobs.save([begin(3), begin(1, peer="bob"), begin(2)])
    await store.jobs.save([end(3)])

    assert await store.jobs.unfinished() == [job_id(1), job_id(2)]
    assert await store.jobs.unfinished(peer="alice") == [job_id(2)]
    assert await store.jobs.unfinished(peer="carol") == []


async def test_a_step_may_name_the_peer_and_silence_leaves_it(store: Store) -> None:
    await store.jobs.save([begin(1, peer=""), begin(2)])
    await store.jobs.save(
        [Change(job_id(1), WORKING, NOW, peer="bob"), Change(job_id(1), WORKING, NOW)]
    )
    await store.jobs.save([Change(job_id(1), WORKING, NOW), Change(job_id(2), WORKING, NOW)])

    assert await store.jobs.count("Working") == {"alice": 1, "bob": 1}


async def test_the_machines_changed_last_come_first(store: Store) -> None:
    await store.jobs.save([begin(n, now=NOW) for n in (1, 2, 3)])
    await store.jobs.save([end(1, now=NOW + 1)])

    recent = await store.jobs.recent(limit=2)
    assert [(record.id, record.state) for record in recent] == [
        (job_id(1), settled(1)),
        (job_id(3), WORKING),
    ]


async def test_machines_in_some_phases_are_found_from_a_moment_on(store: Store) -> None:
    await store.jobs.save([begin(n, now=NOW) for n in (1, 2, 3)])
    await store.jobs.save([end(2, now=NOW + 9), end(1, now=NOW + 5)])

    async def found(*phases: str, since: int = 0) -> list[JobId]:
        return [record.id for record in await store.jobs.in_phases(phases, since=since)]

    assert await found("Settled") == [job_id(1), job_id(2)]
    assert await found("Settled", since=NOW + 6) == [job_id(2)]
    assert await found("Settled", since=NOW + 9) == [job_id(2)]
    assert await found("Settled", "Working") == [job_id(3), job_id(1), job_id(2)]
    assert await found("Unheard") == []


async def test_phases_are_counted_by_peer(store: Store) -> None:
    disputed = Disputed(OFFER, Preimage("f" * 64), Msat(0), "late")
    states: list[tuple[str, OrderState]] = [
        ("bob", disputed),
        ("bob", disputed),
        ("bob", Published()),
        ("alice", disputed),
    ]
    for n, (peer, state) in enumerate(states):
        await store.orders.save([Change(job_id(n), state, NOW, facts=order(n), peer=peer)])

    assert await store.orders.count("Disputed") == {"alice": 1, "bob": 2}
    assert await store.orders.count("Draft") == {}


async def test_evidence_is_kept_once_in_the_order_it_came(store: Store) -> None:
    await store.jobs.save([begin(1), begin(2)])
    await store.jobs.save([Change(job_id(1), WORKING, NOW, evidence=(event(9), event(5)))])
    await store.jobs.save([Change(job_id(1), WORKING, NOW, evidence=(event(5), event(7)))])

    assert await store.jobs.evidence(job_id(1)) == [event(9), event(5), event(7)]
    assert await store.jobs.evidence(job_id(2)) == []


async def test_the_version_changes_with_the_store(store: Store) -> None:
    before = await store.jobs.version()
    assert await store.jobs.version() == before

    await store.jobs.save([begin(1, acts=(act("worker"),))])
    began = await store.jobs.version()
    assert began != before

    await store.jobs.drop([row.seq for row in await store.jobs.outbox("worker")])
    assert await store.jobs.version() != began


async def test_an_empty_batch_changes_nothing(store: Store) -> None:
    await store.jobs.save([])
    await store.jobs.drop([])

    assert await store.jobs.recent(limit=10) == []


async def test_a_large_batch_is_stored_whole(store: Store) -> None:
    await store.jobs.save([begin(n, acts=(act("worker"),)) for n in range(1, 1001)])
    await store.jobs.save([Change(job_id(n), settled(n), NOW, done=(n,)) for n in range(1, 1001)])

    records = await store.jobs.load([job_id(n) for n in range(1, 1001)])
    assert len(records) == 1000
    assert all(isinstance(record.state, Settled) for record in records.values())
    assert await store.jobs.outbox("worker") == []


async def test_a_history_has_each_change_of_phase_and_each_note(store: Store) -> None:
    await store.jobs.save([begin(1)])
    await store.jobs.save(
        [
            Change(job_id(1), evolve(WORKING, deadline=NOW + 90), NOW + 1),  # still working
            Change(job_id(1), WORKING, NOW + 2, notes=("the backend is slow", "and slower")),
            Change(job_id(1), Failed("out of memory"), NOW + 3),
        ]
    )
    await store.jobs.save([Change(job_id(1), Failed("out of memory"), NOW + 4, notes=("late",))])

    assert await store.jobs.history(job_id(1)) == [
        Moment(NOW, "Working"),
        Moment(NOW + 2, "Working", "the backend is slow"),
        Moment(NOW + 2, "Working", "and slower"),
        Moment(NOW + 3, "Failed", "out of memory"),
        Moment(NOW + 4, "Failed", "late"),
    ]
    assert await store.jobs.history(job_id(2)) == []
    assert await store.orders.history(job_id(1)) == []


async def test_strangers_cannot_make_a_history_grow_without_end(store: Store) -> None:
    await store.jobs.save([begin(1)])
    await store.jobs.save([Change(job_id(1), WORKING, NOW, notes=("spam",) * MAX_HISTORY)])
    await store.jobs.save([Change(job_id(1), WORKING, NOW, notes=("spam",))])

    assert len(await store.jobs.history(job_id(1))) == MAX_HISTORY


async def test_a_beginning_that_is_ignored_leaves_no_history(store: Store) -> None:
    await store.jobs.save([begin(1)])
    await store.jobs.save([begin(1), Change(job_id(2), WORKING, NOW, notes=("who?",))])

    assert await store.jobs.history(job_id(1)) == [Moment(NOW, "Working")]
    assert await store.jobs.history(job_id(2)) == []
