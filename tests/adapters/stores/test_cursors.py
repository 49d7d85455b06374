"""What every `Cursors` promises, asked of each."""

from pylon.app.store import Store
from pylon.model.ids import RelayUrl

A, B = RelayUrl("wss://a"), RelayUrl("wss://b")


async def test_a_cursor_is_each_relays_and_each_subscriptions_own(store: Store) -> None:
    await store.cursors.save(A, "jobs", 5)
    await store.cursors.save(B, "jobs", 6)
    await store.cursors.save(A, "offers", 7)

    assert await store.cursors.load(A, "jobs") == 5
    assert await store.cursors.load(B, "jobs") == 6
    assert await store.cursors.load(A, "offers") == 7
    assert await store.cursors.load(B, "offers") is None


async def test_the_last_cursor_saved_is_the_one_loaded(store: Store) -> None:
    await store.cursors.save(A, "jobs", 5)
    await store.cursors.save(A, "jobs", 3)

    assert await store.cursors.load(A, "jobs") == 3
