"""Money made, one row a settled job."""

from attrs import frozen

from pylon.model.ids import JobId, PaymentHash, PublicKey
from pylon.model.money import Msat


@frozen
class Earning:
    """What one payment brought; the payment hash makes it count once."""

    payment_hash: PaymentHash
    job: JobId
    customer: PublicKey
    kind: int
    backend: str
    amount: Msat
    at: int  # unix seconds


@frozen
class EarningsTotal:
    """Earnings added up over a span of time."""

    amount: Msat
    jobs: int
