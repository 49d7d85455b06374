"""What a provider says of itself: made of its configuration and of what its backends can do now."""

from pylon.core import pricing
from pylon.core.admission import Service
from pylon.model.event import Draft
from pylon.model.handler import ModelOffer
from pylon.wire import handlers

LIFE_SECONDS = 3600
REFRESH_SECONDS = LIFE_SECONDS // 2


def announce(service: Service, *, name: str, about: str, now: int) -> Draft | None:
    """Write the announcement (NIP-89); None when there is nothing to sell."""
    models = tuple(
        ModelOffer(
            f"{health.backend}:{model}", pricing.rates_of(health.backend, pricing=service.pricing)
        )
        for health in service.healths
        if health.available
        for model in health.models
    )
    if not models or not service.kinds or not service.modes:
        return None
    return handlers.write_handler(
        "pylon",
        now=now,
        expires_at=now + LIFE_SECONDS,
        kinds=service.kinds,
        models=models[: handlers.MAX_MODELS],
        pay=service.modes,
        name=name,
        about=about,
    )
