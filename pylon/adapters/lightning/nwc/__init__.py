"""Any wallet that speaks Nostr Wallet Connect (NIP-47)."""

from pylon.adapters.lightning.nwc.opening import open_nwc

__all__ = ["open_nwc"]
