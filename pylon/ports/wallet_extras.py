"""What some wallets can do beyond `Wallet`; whoever asks looks with `isinstance`."""

from typing import Protocol, runtime_checkable

from pylon.model.money import Msat


@runtime_checkable
class Faucet(Protocol):
    """A wallet that can be given play money."""

    async def fund(self, amount: Msat) -> Msat:
        """Ask for play money and return the new balance.

        Raises `Misconfigured` where there is none to be had; the message says what to do instead.
        """
        ...


@runtime_checkable
class Audited(Protocol):
    """A wallet whose books can be checked by whoever uses it."""

    async def audit(self) -> list[str]:
        """Return what is wrong with the books: nothing."""
        ...


@runtime_checkable
class Addressed(Protocol):
    """A wallet that can be paid on chain."""

    async def deposit_address(self) -> str:
        """Return an address whose deposits become this wallet's balance."""
        ...
