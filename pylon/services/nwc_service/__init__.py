"""Our wallet for others: the service side of Nostr Wallet Connect (NIP-47)."""

from pylon.services.nwc_service.requests import Spending
from pylon.services.nwc_service.service import NwcService

__all__ = ["NwcService", "Spending"]
