"""Every way to pay, from the buyer's side: what it costs, what it brings, and when it costs nothing."""

import pytest
from trio.testing import MockClock

from pylon.model.money import PayMode
from pylon.model.order import Done
from tests.market.nodes import is_one_paid_job, one_of_each

PAID_MODES = (PayMode.PREPAY, PayMode.HOLD, PayMode.LOCKED, PayMode.HOLD_LOCKED)
LOCKED_MODES = (PayMode.LOCKED, PayMode.HOLD_LOCKED)


@pytest.mark.parametrize("mode", PAID_MODES)
@pytest.mark.parametrize("targeted", [True, False], ids=["of one provider", "of anybody"])
async def test_a_job_is_answered_and_paid_once_in_each_mode(
    autojump_clock: MockClock, mode: PayMode, targeted: bool
) -> None:
    async with one_of_each() as (world, seller, shopper):
        provider = seller.home.key if targeted else None
        order = shopper.home.order(provider=provider, modes=(mode,))
        end = await shopper.buy(order)
        assert isinstance(end, Done)
        assert end.offer is not None
        assert end.offer.mode is mode
        assert (end.answer.locked is not None) == (mode in LOCKED_MODES)
        assert await shopper.home.result_text(order) == "four"
        await is_one_paid_job(world, seller.home, shopper.home, order)
