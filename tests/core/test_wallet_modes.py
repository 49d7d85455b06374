"""Which payment modes a wallet is good for."""

import pytest

from pylon.core.wallet_modes import selling_modes
from pylon.model.wallet import Capabilities


@pytest.mark.parametrize(
    ("able", "modes"),
    [
        (Capabilities(), "free prepay"),
        (Capabilities(msat=True, max_fee=True), "free prepay"),
        (Capabilities(hold=True), "free prepay hold locked hold+locked"),
        (Capabilities(tells_preimage=True), "free prepay locked"),
        (Capabilities(chosen_preimage=True), "free prepay locked"),
        (Capabilities(hold=True, chosen_preimage=True), "free prepay hold locked hold+locked"),
    ],
)
def test_a_provider_sells_by_what_its_wallet_can(able: Capabilities, modes: str) -> None:
    assert list(selling_modes(able)) == modes.split()
