"""What proves a payment."""

from hashlib import sha256

from pylon.model.ids import PaymentHash
from pylon.model.wallet import PaymentInFlight, PaymentResult, PaymentSettled


def believed(result: PaymentResult, payment_hash: PaymentHash) -> PaymentResult:
    """Take a wallet's word for a payment; a success without the preimage is as good as unknown."""
    if isinstance(result, PaymentSettled):
        preimage = bytes.fromhex(result.preimage)
        if sha256(preimage).hexdigest() != payment_hash:
            return PaymentInFlight(payment_hash)
    return result
