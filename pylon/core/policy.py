"""What a buyer demands of the one it is about to pay, beyond an offer that fits its order.

That an invoice fits the order, its network and its highest price is for `core.offers` to say, and
that its payment hash was never paid for the budget.
"""

from typing import TypeAlias

from attrs import frozen

from pylon.core.budget import Caps
from pylon.model.ids import NodeKey
from pylon.model.money import Network
from pylon.model.order import Offer


@frozen
class Policy:
    """What is done when a provider wants to be paid at another Lightning node than the last time."""

    refuse_key_change: bool = False


@frozen
class Objection:
    """The offer is not to be paid."""

    reason: str


@frozen
class Caution:
    """The offer may be paid, and whoever watches is told why it might better not be."""

    reason: str


Judgement: TypeAlias = Objection | Caution | None


def judge(offer: Offer, policy: Policy, known_key: NodeKey | None) -> Judgement:
    """Judge an offer by where its money would go.

    `known_key` is the node that the provider was last paid at; the first is trusted as it is.
    """
    if known_key is None or offer.node_key == known_key:
        return None
    changed = f"its Lightning node is {offer.node_key}, and it was paid at {known_key} before"
    return Objection(changed) if policy.refuse_key_change else Caution(changed)


def is_uncapped(network: Network, caps: Caps) -> bool:
    """Say whether real money could be spent without end: then none may be."""
    return network is Network.MAINNET and caps.per_day is None and caps.total is None
