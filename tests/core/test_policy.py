"""Who may be paid: the same node as before, and real money only under a cap."""

import pytest
from attrs import evolve

from pylon.core.budget import Caps
from pylon.core.policy import Caution, Objection, Policy, is_uncapped, judge
from pylon.model.ids import NodeKey
from pylon.model.money import Msat, Network
from tests.cli.orders import OFFER

OLD, NEW = NodeKey("02" * 33), NodeKey("03" * 33)
WARN, REFUSE = Policy(), Policy(refuse_key_change=True)


@pytest.mark.parametrize("policy", [WARN, REFUSE])
def test_the_first_node_of_a_provider_is_trusted_and_so_is_the_same_again(policy: Policy) -> None:
    offer = evolve(OFFER, node_key=OLD)

    assert judge(offer, policy, None) is None
    assert judge(offer, policy, OLD) is None


def test_another_node_than_before_is_told_or_refused_as_the_policy_has_it() -> None:
    offer = evolve(OFFER, node_key=NEW)
    caution, objection = judge(offer, WARN, OLD), judge(offer, REFUSE, OLD)

    assert isinstance(caution, Caution)
    assert isinstance(objection, Objection)
    for reason in (caution.reason, objection.reason):
        assert OLD in reason
        assert NEW in reason


@pytest.mark.parametrize(
    ("network", "caps", "uncapped"),
    [
        (Network.REGTEST, Caps(), False),
        (Network.SIGNET, Caps(), False),
        (Network.MAINNET, Caps(), True),
        (Network.MAINNET, Caps(per_job=Msat(1), per_provider=Msat(1), per_hour=Msat(1)), True),
        (Network.MAINNET, Caps(per_day=Msat(1)), False),
        (Network.MAINNET, Caps(total=Msat(1)), False),
    ],
)
def test_real_money_needs_a_cap_for_a_day_or_in_total(
    network: Network, caps: Caps, uncapped: bool
) -> None:
    assert is_uncapped(network, caps) is uncapped
