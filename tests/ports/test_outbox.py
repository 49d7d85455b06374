"""Each open act is handed out once in a process's life, whoever else reads the same store."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pylon.adapters.memory.records import MemoryRecords
from pylon.core import job_machine, order_machine, outbox
from pylon.core.job_machine import (
    CancelInvoice,
    Credit,
    LookUpRefund,
    MakeHoldInvoice,
    MakeInvoice,
    PayRefund,
    Run,
    SettleHold,
    StopWork,
)
from pylon.core.order_machine import (
    CheckRefund,
    LookUp,
    MakeRefundInvoice,
    Open,
    Pay,
    Release,
    Reserve,
    Spend,
)
from pylon.core.outbox import Post
from pylon.model.ids import EventId, JobId, PaymentHash, Preimage
from pylon.model.job import Job, JobState, Refund
from pylon.model.money import Msat
from pylon.ports.outbox import PAGE, OutboxReader, entry_of, new_row
from pylon.ports.records import Change, NewRow, Row
from tests.adapters.stores.samples import begin, job_id
from tests.nostr import note

HASH = PaymentHash("ab" * 32)
PREIMAGE = Preimage("cd" * 32)
ENTRIES: tuple[outbox.Entry, ...] = (
    MakeInvoice(Msat(12_000), 600),
    MakeHoldInvoice(Msat(12_000), 600, 900),
    SettleHold(PREIMAGE),
    CancelInvoice(HASH),
    Run(1_700_000_000),
    StopWork(),
    Credit(HASH, Msat(12_000)),
    PayRefund(Refund("lnbcrt1", HASH, Msat(5_000)), Msat(12_000)),
    LookUpRefund(HASH),
    Reserve(HASH, Msat(12_000), Msat(5_000)),
    Release(HASH),
    Spend(HASH, Msat(12_000), Msat(101)),
    Pay("lnbcrt1", HASH, Msat(5_000)),
    LookUp(HASH),
    Open(EventId("cd" * 32), PREIMAGE),
    MakeRefundInvoice(Msat(12_000), 1, 600),
    CheckRefund(HASH),
    Post(note('naïve "text"\n', ("i", "x")), tell=True),
)


def test_every_act_is_read_as_it_was_written() -> None:
    for seq, entry in enumerate(ENTRIES):
        row = new_row(entry)
        read = entry_of(Row(seq, job_id(1), row.desk, row.kind, row.body))
        assert (type(read), read) == (type(entry), entry)


def test_every_act_of_both_machines_has_a_desk() -> None:
    becomes_a_post = {"Say", "Deliver", "PublishRequest", "PublishCancel", "SendRefundInvoice"}
    acts = {
        act.__name__ for machine in (job_machine, order_machine) for act in machine.Act.__args__
    }
    assert acts - becomes_a_post == {type(entry).__name__ for entry in ENTRIES} - {"Post"}
    assert {outbox.desk_of(entry) for entry in ENTRIES} == {
        outbox.CASHIER,
        outbox.WORKER,
        outbox.PUBLISHER,
        outbox.ACCOUNTANT,
        outbox.REFUNDER,
        outbox.OPENER,
        outbox.COLLECTOR,
        outbox.TREASURER,
        outbox.PAYER,
    }


def acts(count: int, desk: str = "desk") -> tuple[NewRow, ...]:
    return tuple(NewRow(desk, "Run", "{}") for _ in range(count))


async def add(records: MemoryRecords[Job, JobState], *changes: Change[Job, JobState]) -> None:
    await records.save(changes)


async def test_rows_are_handed_out_once_and_in_order_however_many() -> None:
    records: MemoryRecords[Job, JobState] = MemoryRecords()
    reader = OutboxReader(records, "desk")
    await add(records, begin(1, acts=acts(2 * PAGE)), begin(2, acts=acts(3, "other")))
    assert [row.seq for row in await reader.take()] == list(range(1, 2 * PAGE + 1))
    assert await reader.take() == []
    await add(records, begin(3, acts=acts(1)))
    assert [row.subject for row in await reader.take()] == [job_id(3)]


async def test_what_is_not_done_is_handed_out_again_after_a_restart() -> None:
    records: MemoryRecords[Job, JobState] = MemoryRecords()
    await add(records, begin(1, acts=acts(2)))
    first, second = await OutboxReader(records, "desk").take()
    await records.drop([first.seq])
    assert await OutboxReader(records, "desk").take() == [second]


async def test_rows_of_machines_that_become_ours_are_not_passed_over() -> None:
    records: MemoryRecords[Job, JobState] = MemoryRecords()
    mine: set[JobId] = {job_id(2)}
    reader = OutboxReader(records, "desk", mine)
    await add(records, begin(1, acts=acts(1)), begin(2, acts=acts(1)))
    assert [row.subject for row in await reader.take()] == [job_id(2)]
    assert await reader.take() == []
    mine.add(job_id(1))
    assert [row.subject for row in await reader.take()] == [job_id(1)]
    assert await reader.take() == []


async def test_what_was_handed_out_and_is_done_is_forgotten() -> None:
    records: MemoryRecords[Job, JobState] = MemoryRecords()
    reader = OutboxReader(records, "desk", {job_id(1)})
    await add(records, begin(1, acts=acts(300)))
    await records.drop([row.seq for row in await reader.take()])
    assert await reader.take() == []
    assert reader._taken == set()


@settings(max_examples=50)
@given(st.text())
def test_an_event_comes_out_of_the_outbox_as_it_went_in(text: str) -> None:
    event = note(text.encode("utf-8", "ignore").decode())
    row = new_row(Post(event))
    assert entry_of(Row(1, job_id(1), row.desk, row.kind, row.body)) == Post(event)
