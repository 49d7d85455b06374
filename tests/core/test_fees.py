"""A payment may cost a share of its amount on top, and small ones a little more."""

import pytest

from pylon.core.fees import fee_limit
from pylon.model.money import from_sats


@pytest.mark.parametrize(("sats", "limit"), [(12, 5), (500, 5), (501, 5.01), (100_000, 1000)])
def test_the_limit_is_one_percent_or_five_sat(sats: int, limit: float) -> None:
    assert fee_limit(from_sats(sats), percent=1, floor=from_sats(5)) == limit * 1000
