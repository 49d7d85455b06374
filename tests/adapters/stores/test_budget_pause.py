"""A pause stops all spending, at once, whoever spends."""

from pathlib import Path

import pytest

from pylon.app.store import Store, open_store
from pylon.model.budget import NODE, Scope
from tests.adapters.stores.budgets import reserve, spend
from tests.adapters.stores.processes import run
from tests.adapters.stores.samples import NOW, payment_hash

AGENT = Scope("agent:alice")
BOTH = (NODE, AGENT)


async def test_nothing_is_reserved_while_spending_is_paused(store: Store) -> None:
    await store.budget.pause(now=NOW)

    assert "paused" in (await reserve(store.budget, 1) or "")
    assert await store.budget.committed() == 0

    await store.budget.resume()
    assert await reserve(store.budget, 1) is None


async def test_what_was_reserved_before_a_pause_stays_reserved_and_is_not_dispatched(
    store: Store,
) -> None:
    """A refusal of what stands would make its order forget it, and nobody would give it back."""
    assert await reserve(store.budget, 1) is None
    assert await store.budget.veto(payment_hash(1)) is None

    await store.budget.pause(now=NOW)

    assert await reserve(store.budget, 1) is None
    assert "paused" in (await store.budget.veto(payment_hash(1)) or "")
    assert await store.budget.committed() == 11
    await store.budget.resume()
    assert await store.budget.veto(payment_hash(1)) is None


async def test_what_became_of_a_payment_is_booked_also_during_a_pause(store: Store) -> None:
    assert await reserve(store.budget, 1) is None
    assert await reserve(store.budget, 2) is None
    await store.budget.pause(now=NOW)

    await spend(store.budget, 1)
    await store.budget.release(payment_hash(2))

    assert await store.budget.committed() == 10


async def test_a_payment_that_has_nothing_set_aside_is_vetoed(store: Store) -> None:
    assert "nothing is set aside" in (await store.budget.veto(payment_hash(1)) or "")
    assert await reserve(store.budget, 1) is None
    await store.budget.release(payment_hash(1))
    assert "nothing is set aside" in (await store.budget.veto(payment_hash(1)) or "")


async def test_a_payment_that_was_spent_is_not_vetoed_and_meets_the_wallets_answer(
    store: Store,
) -> None:
    assert await reserve(store.budget, 1) is None
    await spend(store.budget, 1)

    assert await store.budget.veto(payment_hash(1)) is None


async def test_a_pause_is_known_from_its_beginning(store: Store) -> None:
    assert await store.budget.paused() is None
    await store.budget.pause(now=NOW)
    await store.budget.pause(now=NOW + 60)

    assert await store.budget.paused() == NOW
    assert await store.budget.paused(AGENT) is None
    await store.budget.resume()
    await store.budget.resume()
    assert await store.budget.paused() is None


async def test_an_agent_is_paused_alone(store: Store) -> None:
    assert await reserve(store.budget, 1, scopes=BOTH) is None
    await store.budget.pause(now=NOW, scope=AGENT)

    assert "agent:alice is paused" in (await reserve(store.budget, 2, scopes=BOTH) or "")
    assert "agent:alice is paused" in (await store.budget.veto(payment_hash(1)) or "")
    assert await reserve(store.budget, 3, order=3) is None
    assert await store.budget.veto(payment_hash(3)) is None


@pytest.mark.parametrize("scopes", [(NODE,), BOTH])
async def test_a_pause_of_the_node_is_everybodys(store: Store, scopes: tuple[Scope, ...]) -> None:
    assert await reserve(store.budget, 1, scopes=scopes) is None
    await store.budget.pause(now=NOW)

    assert await reserve(store.budget, 2, scopes=scopes) is not None
    assert await store.budget.veto(payment_hash(1)) is not None


PAUSER = """
import sys, trio
from pathlib import Path
from pylon.app.store import open_store

async def main(path):
    async with open_store(path) as store:
        for line in sys.stdin:
            await (store.budget.pause(now=1) if line == "pause\\n" else store.budget.resume())
            print("done", flush=True)

trio.run(main, Path(sys.argv[1]))
"""


async def test_a_pause_by_another_process_holds_as_soon_as_it_is_made(tmp_path: Path) -> None:
    path = tmp_path / "pylon.db"
    async with open_store(path) as store:
        assert await reserve(store.budget, 1) is None
        with run(PAUSER, path) as other:
            other.say("pause")
            assert other.hear() == "done"

            assert await store.budget.veto(payment_hash(1)) is not None
            assert await reserve(store.budget, 2) is not None

            other.say("resume")
            assert other.hear() == "done"
            assert await store.budget.veto(payment_hash(1)) is None
            assert await reserve(store.budget, 2) is None


async def test_a_pause_outlives_the_process(tmp_path: Path) -> None:
    async with open_store(tmp_path / "pylon.db") as store:
        await store.budget.pause(now=NOW)
    async with open_store(tmp_path / "pylon.db") as store:
        assert await store.budget.paused() == NOW
        assert await reserve(store.budget, 1) is not None
