"""A payment is believed with its proof."""

import pytest

from pylon.core.proof import believed
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.money import Msat
from pylon.model.wallet import PaymentFailed, PaymentInFlight, PaymentResult, PaymentSettled

SECRET = Preimage("00" * 32)
HASH = PaymentHash("66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925")


@pytest.mark.parametrize(
    "result",
    [
        PaymentSettled(HASH, SECRET, Msat(1), Msat(0)),
        PaymentFailed(HASH, "no route"),
        PaymentInFlight(HASH),
    ],
)
def test_what_a_wallet_can_prove_or_need_not_is_believed(result: PaymentResult) -> None:
    assert believed(result, HASH) is result


def test_a_success_without_its_proof_is_not_known_to_be_one() -> None:
    told = PaymentSettled(HASH, Preimage("11" * 32), Msat(1), Msat(0))

    assert believed(told, HASH) == PaymentInFlight(HASH)
