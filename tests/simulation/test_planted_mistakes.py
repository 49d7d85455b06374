"""The simulator is worth what it finds: mistakes that somebody could make, planted one at a time."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import trio

from pylon.adapters.keys import LocalSigner
from pylon.adapters.memory.budget import MemoryBudget
from pylon.core import admission, budget, job_machine
from pylon.model.ids import JobId, Preimage
from pylon.model.job import Settled
from pylon.services.deadlines import Deadlines
from pylon.services.earnings_tracker import EarningsTracker
from pylon.services.publisher import Publisher
from tests.simulation.plan import draw
from tests.simulation.run import run

JOBS = 40
Plant = Callable[[pytest.MonkeyPatch], None]


def nothing_is_refused_by_the_budget(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(budget, "excess", lambda *_: None)


def nobody_is_too_many_at_the_door(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(admission, "_overloaded", lambda *_: None)


def a_preimage_is_logged(patch: pytest.MonkeyPatch) -> None:
    derive = LocalSigner.preimage

    def telling(self: LocalSigner, job: JobId) -> Preimage:
        preimage = derive(self, job)
        logging.getLogger("pylon.services.cashier").debug("with %s", preimage)
        return preimage

    patch.setattr(LocalSigner, "preimage", telling)


def spending_is_not_booked(patch: pytest.MonkeyPatch) -> None:
    async def forget(*_: Any, **__: Any) -> None:
        await trio.lowlevel.checkpoint()

    patch.setattr(MemoryBudget, "spend", forget)


def results_are_said_to_be_published_and_are_not(patch: pytest.MonkeyPatch) -> None:
    post = Publisher._post

    async def pretend(self: Publisher[Any], row: Any) -> None:
        kind = '"kind":6'
        if kind in row.body and '"tell":true' in row.body:
            event_id = row.body.split('"id":"')[1][:64]
            await self.mail.send(self.published(row.subject, event_id, row.seq))
        else:
            await post(self, row)

    patch.setattr(Publisher, "_post", pretend)


def time_is_no_news(patch: pytest.MonkeyPatch) -> None:
    async def sleep(_: Any, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trio.sleep_forever()

    patch.setattr(Deadlines, "run", sleep)


def credits_are_left_undone(patch: pytest.MonkeyPatch) -> None:
    async def sleep(_: Any, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trio.sleep_forever()

    patch.setattr(EarningsTracker, "run", sleep)


def settled_is_said_at_once(patch: pytest.MonkeyPatch) -> None:
    """Believe that a settled hold was paid before the wallet says so, and count nothing."""
    patch.setattr(
        job_machine,
        "_settle",
        lambda result, invoice: job_machine.Step(Settled(result, invoice.payment_hash)),
    )


@pytest.mark.parametrize(
    ("plant", "seed", "invariant"),
    [
        (spending_is_not_booked, 7, "I1"),
        (credits_are_left_undone, 7, "I1|I6"),
        (results_are_said_to_be_published_and_are_not, 7, "I3"),
        (settled_is_said_at_once, 7, "I[1346]"),
        (nothing_is_refused_by_the_budget, 11, "I5"),
        (time_is_no_news, 7, "I6|I1|I3"),
        (a_preimage_is_logged, 7, "I8"),
        (nobody_is_too_many_at_the_door, 6, "I10"),
    ],
)
def test_a_planted_mistake_breaks_its_invariant(
    monkeypatch: pytest.MonkeyPatch, plant: Plant, seed: int, invariant: str
) -> None:
    plant(monkeypatch)
    failure = AssertionError
    with pytest.RaisesGroup(
        pytest.RaisesExc(failure, match=f"^({invariant}):"), flatten_subgroups=True
    ):
        run(draw(seed, JOBS))
