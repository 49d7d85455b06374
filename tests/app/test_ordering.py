"""What one command takes up of what others have left behind."""

import pytest

from pylon.app.ordering import _unsettled
from pylon.core.order_machine import Release, is_final
from pylon.core.outbox import Entry, Post
from pylon.model.ids import PaymentHash
from pylon.model.order import Draft, OrderState, Withdrawn
from pylon.ports.outbox import new_row
from pylon.ports.records import Change
from tests.core.buying import an_order
from tests.market.nodes import new_store
from tests.nostr import NOW, note


@pytest.mark.parametrize(
    ("state", "act", "is_taken_up"),
    [
        (Withdrawn(), Release(PaymentHash("ab" * 32)), True),
        (Withdrawn(), Post(note("", ("e", "ab" * 32), kind=5)), True),
        (Withdrawn(), None, False),
        (Draft(), Post(note("a request", kind=5050), tell=True), False),  # its own command does
    ],
)
async def test_an_order_that_ended_is_taken_up_for_what_a_crash_left_undone(
    state: OrderState, act: Entry | None, is_taken_up: bool
) -> None:
    store, order = new_store(), an_order()
    acts = () if act is None else (new_row(act),)
    final = is_final(state)
    await store.orders.save([Change(order.id, state, NOW, facts=order, final=final, acts=acts)])
    assert await _unsettled(store) == ([order.id] if is_taken_up else [])
