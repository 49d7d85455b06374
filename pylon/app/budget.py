"""The budget of a home: its caps, and paying an invoice within them."""

from pylon.config import Config
from pylon.model.money import from_sats
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
