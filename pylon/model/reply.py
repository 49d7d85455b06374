"""What providers send back for a job: feedback on the way, a result at the end (NIP-90)."""

from attrs import frozen

from pylon.model.ids import EventId, JobId, PaymentHash, PublicKey
from pylon.model.job import Encryption
from pylon.model.money import Msat, PayMode


@frozen
class Locked:
    """A result's content is hidden under the preimage of `payment_hash` (market.md, version 1)."""

    payment_hash: PaymentHash
    digest: str  # sha256 of what will be read, 64 hex


@frozen
class Feedback:
    """A kind 7000 event, read and decrypted. Nothing in it is checked against an order yet."""

    id: EventId
    provider: PublicKey
    job: JobId
    customer: PublicKey
    created_at: int  # unix seconds, by the provider's clock
    status: str  # a `FeedbackStatus`, or a word that NIP-90 does not know
    text: str = ""  # what the status says more, for a person
    amount: Msat | None = None  # asked for; only a suggestion unless payment is required
    bolt11: str | None = None
    mode: PayMode | None = None
    content: str = ""
    seq: int | None = None  # the place of a partial answer among its fellows, from 0
    refund: Msat | None = None  # what the provider says it will give back


@frozen
class Result:
    """A kind 6000-6999 event, read and decrypted."""

    id: EventId
    provider: PublicKey
    job: JobId
    customer: PublicKey
    created_at: int  # unix seconds, by the provider's clock
    kind: int  # 1000 more than the request's
    content: str
    amount: Msat | None = None
    bolt11: str | None = None
    mode: PayMode | None = None
    encryption: Encryption = Encryption.NONE  # what hid the content from all others
    locked: Locked | None = None  # then `content` is base64 of what the preimage opens
