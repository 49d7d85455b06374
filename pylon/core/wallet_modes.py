"""Which payment modes a wallet is good for."""

from pylon.model.money import PayMode
from pylon.model.wallet import Capabilities


def selling_modes(able: Capabilities) -> tuple[PayMode, ...]:
    """Return the modes a provider with such a wallet can offer.

    A locked result needs an invoice whose preimage is known before anybody pays: one of our choice,
    one that the wallet tells, or that of a hold invoice, which is settled as soon as it is paid.
    """
    knows_preimage = able.hold or able.chosen_preimage or able.tells_preimage
    needs = {
        PayMode.FREE: True,
        PayMode.PREPAY: True,
        PayMode.HOLD: able.hold,
        PayMode.LOCKED: knows_preimage,
        PayMode.HOLD_LOCKED: able.hold,
    }
    return tuple(mode for mode, can in needs.items() if can)
