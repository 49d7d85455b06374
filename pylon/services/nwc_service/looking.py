"""Finding one line of a wallet's history."""

from pylon.model.ids import PaymentHash
from pylon.model.wallet import Direction, HistoryEntry
from pylon.ports.wallet import Wallet

HISTORY = 10_000  # lines that are looked through
_RECENT = 100  # most questions are about something recent


async def find(
    wallet: Wallet, payment_hash: PaymentHash, direction: Direction
) -> HistoryEntry | None:
    """Return the line about an invoice made, or a payment sent; None if it is too far back."""
    for limit in (_RECENT, HISTORY):
        for entry in await wallet.history(limit=limit):
            if entry.payment_hash == payment_hash and entry.direction is direction:
                return entry
    return None
