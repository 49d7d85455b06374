"""The budget of a home: its caps, as the configuration has them, and what is used of each."""

from attrs import frozen

from pylon.config import Config
from pylon.core.policy import is_uncapped
from pylon.errors import Misconfigured
from pylon.model.money import Msat, Network, from_sats
from pylon.ports.budget import NODE, Budget, Caps, Purpose, Span, Used


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


@frozen
class CapUse:
    """How much of a cap is used."""

    span: Span
    limit: Msat | None
    used: Used
    most: str | None = (
        None  # the job, or the provider, that has cost most: the one that `used` is of
    )

    @property
    def left(self) -> Msat | None:
        """What may still be committed; None without a limit."""
        return None if self.limit is None else Msat(max(0, self.limit - self.used.committed))


async def cap_uses(budget: Budget, caps: Caps, *, now: int) -> list[CapUse]:
    """Say of each cap of the node how much is used."""
    used = (await budget.usage(Purpose(), now=now))[NODE]
    uses = []
    for span, limit in caps.by_span().items():
        if span in used:
            uses.append(CapUse(span, limit, used[span]))
        else:
            most, most_used = await budget.most(span) or (None, Used())
            uses.append(CapUse(span, limit, most_used, most))
    return uses
