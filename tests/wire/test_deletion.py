"""NIP-09: an author deletes what is theirs, and nothing else."""

import pytest
from hypothesis import given

from pylon.errors import Malformed
from pylon.model.event import Event
from pylon.wire import deletion
from pylon.wire import event as events
from pylon.wire.deletion import Deletion
from tests.wire.strategies import ALICE, BOB, event, signed

JOB = event(5050, at=100)
ANNOUNCEMENT = event(31990, ("d", "x"), at=100)


def request(*targets: Event, at: int = 200) -> Deletion:
    return deletion.read(events.sign(deletion.draft(targets, now=at, reason="done"), ALICE))


def test_a_request_names_ids_addresses_and_kinds() -> None:
    draft = deletion.draft([JOB, ANNOUNCEMENT, JOB], now=200, reason="done")
    assert (draft.kind, draft.created_at, draft.content) == (5, 200, "done")
    assert draft.tags == (
        ("e", JOB.id),
        ("e", ANNOUNCEMENT.id),
        ("e", JOB.id),
        ("a", f"31990:{ALICE.public_key}:x"),
        ("k", "5050"),
        ("k", "31990"),
    )


@given(signed)
def test_only_the_author_s_own_events_are_deleted(target: Event) -> None:
    covered = deletion.covers(request(target, at=target.created_at), target)
    assert covered is (target.pubkey == ALICE.public_key and target.kind != deletion.KIND)


def test_an_event_that_was_not_named_stays() -> None:
    assert not deletion.covers(request(JOB), event(5050, at=101))


def test_an_address_takes_all_versions_up_to_the_request() -> None:
    gone = request(ANNOUNCEMENT, at=200)
    assert deletion.covers(gone, event(31990, ("d", "x"), at=200))
    assert not deletion.covers(gone, event(31990, ("d", "x"), at=201))
    assert not deletion.covers(gone, event(31990, ("d", "y"), at=100))


def test_deleting_a_deletion_does_nothing() -> None:
    first = event(5, ("e", JOB.id))
    assert not deletion.covers(request(first), first)


def test_a_gift_wrap_is_deleted_by_its_recipient() -> None:
    wrap = event(1059, ("p", ALICE.public_key), keys=BOB)
    assert deletion.covers(request(wrap), wrap)
    other = event(1059, ("p", BOB.public_key), keys=BOB)
    assert not deletion.covers(request(other), other)


def test_targets_that_cannot_be_read_or_are_another_s_are_left_out() -> None:
    read = deletion.read(
        event(5, ("e", "short"), ("e",), ("a", "x"), ("a", f"31990:{BOB.public_key}:x"))
    )
    assert read == Deletion(ALICE.public_key, frozenset(), frozenset(), 1_700_000_000)


def test_another_kind_is_no_deletion() -> None:
    with pytest.raises(Malformed, match="kind 1 "):
        deletion.read(event(1))
