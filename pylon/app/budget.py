"""The budget of a home, as its configuration has it."""

from pylon.config import Config
from pylon.core.policy import is_uncapped
from pylon.errors import Misconfigured
from pylon.model.money import Network, from_sats
from pylon.ports.budget import Caps


def caps_of(config: Config) -> Caps:
    """Read the caps on spending; 0 in the file means none."""
    budget = config.budget
    sats = (
        budget.per_job_sats,
        budget.per_provider_sats,
        budget.per_hour_sats,
        budget.per_day_sats,
        budget.total_sats,
    )
    return Caps(*(from_sats(cap) if cap else None for cap in sats))


def refuse_uncapped(config: Config, network: Network) -> None:
    """Raise `Misconfigured` where a wallet may not be opened for spending: real money needs a cap."""
    if is_uncapped(network, caps_of(config)):
        raise Misconfigured(
            "this node is on mainnet, where money is real, and no cap limits what it spends: "
            "pylon budget set --per-day SATS, or --total SATS"
        )
