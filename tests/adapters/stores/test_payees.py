"""The node that each provider was paid at is remembered."""

from pathlib import Path

from pylon.app.store import Store, open_store
from pylon.model.ids import NodeKey, PublicKey
from tests.adapters.stores.samples import NOW

ALICE, BOB, CAROL = (PublicKey(letter * 64) for letter in "abc")
FIRST, SECOND = NodeKey("02" * 33), NodeKey("03" * 33)


async def test_a_provider_is_known_once_it_was_paid(store: Store) -> None:
    assert await store.payees.known([ALICE]) == {}
    await store.payees.pin(ALICE, FIRST, now=NOW)
    await store.payees.pin(BOB, SECOND, now=NOW)

    assert await store.payees.known([ALICE, BOB, CAROL]) == {ALICE: FIRST, BOB: SECOND}
    assert await store.payees.known([CAROL, ALICE]) == {ALICE: FIRST}
    assert await store.payees.known([]) == {}


async def test_the_node_paid_last_is_the_one_known(store: Store) -> None:
    for node_key in (FIRST, FIRST, SECOND):
        await store.payees.pin(ALICE, node_key, now=NOW)

    assert await store.payees.known([ALICE]) == {ALICE: SECOND}


async def test_payees_outlive_the_process(tmp_path: Path) -> None:
    async with open_store(tmp_path / "pylon.db") as store:
        await store.payees.pin(ALICE, FIRST, now=NOW)
    async with open_store(tmp_path / "pylon.db") as store:
        assert await store.payees.known([ALICE]) == {ALICE: FIRST}
