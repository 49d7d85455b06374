"""A job as its provider sees it: the facts that never change, and the states it passes through."""

from enum import StrEnum
from typing import TypeAlias

from attrs import field, frozen

from pylon.model.event import Event
from pylon.model.ids import EventId, JobId, PaymentHash, Preimage, PublicKey
from pylon.model.inference import Prompt
from pylon.model.money import ZERO, Msat, PayMode
from pylon.model.wallet import IssuedInvoice


class Encryption(StrEnum):
    """How a request hid its inputs; the answer hides itself the same way."""

    NONE = "none"
    NIP44 = "nip44"
    NIP04 = "nip04"


class FeedbackStatus(StrEnum):
    """The statuses of NIP-90 feedback (kind 7000)."""

    PAYMENT_REQUIRED = "payment-required"
    PROCESSING = "processing"
    PARTIAL = "partial"
    SUCCESS = "success"
    ERROR = "error"


@frozen
class JobInput:
    """One `i` tag. `type` is url, event, job or text (NIP-90); `prompt` is read as text."""

    data: str
    type: str = "text"
    relay: str = ""
    marker: str = ""


@frozen
class JobRequest:
    """A NIP-90 request, read and decrypted: what a customer wants, nothing decided yet."""

    id: JobId
    kind: int
    customer: PublicKey
    created_at: int  # unix seconds, by the customer's clock
    inputs: tuple[JobInput, ...] = ()
    params: tuple[tuple[str, ...], ...] = ()  # (key, value, ...), in the order given
    output: str | None = None
    bid: Msat | None = None
    providers: tuple[PublicKey, ...] = ()  # empty: a broadcast
    relays: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    pay: tuple[PayMode, ...] | None = None  # None: a stranger, who knows of no modes
    encryption: Encryption = Encryption.NONE
    expires_at: int | None = None
    content: str = ""

    def param(self, name: str) -> str | None:
        """Return the first value of the first param called `name`."""
        for key, *values in self.params:
            if key == name and values:
                return values[0]
        return None


@frozen
class Job:
    """Admitted work and its terms, fixed when it was admitted."""

    id: JobId
    request: Event
    prompt: Prompt
    backend: str
    model: str
    mode: PayMode
    price: Msat  # whole sats; ZERO when the mode is free
    encryption: Encryption
    accepted_at: int  # unix seconds
    offer_seconds: int  # how long an offer stands
    work_seconds: int  # how long the work may take once it may start
    streaming: bool = False  # the customer asked for partial results

    @property
    def customer(self) -> PublicKey:
        """Who asked, and who alone may pay, cancel and read."""
        return self.request.pubkey

    @property
    def kind(self) -> int:
        """The request's kind; the result's is 1000 more."""
        return self.request.kind


@frozen
class Received:
    """Admitted and priced; its invoice is being made."""


@frozen
class Offered:
    """The customer may pay until the invoice expires.

    `closing`: it has expired, and the wallet is asked whether it was paid, or can no longer be.
    """

    invoice: IssuedInvoice
    closing: bool = False


@frozen
class Working:
    """To be computed by `deadline`; resumed after a restart.

    `invoice` is not settled yet: its money is held for us (`held`, until `settle_by`), or it is to
    be sold with the result. `paid` is one that was settled before the work.
    """

    deadline: int
    paid: PaymentHash | None = None
    invoice: IssuedInvoice | None = None
    held: bool = False
    settle_by: int | None = None  # unix seconds; what is held goes back to its payer then


@frozen
class Finished:
    """The signed result is stored and on its way to the relays; invoice as in `Working`."""

    result: EventId
    paid: PaymentHash | None = None
    give_up_at: int = field(kw_only=True)  # unix seconds; what no relay took by then has failed
    invoice: IssuedInvoice | None = None
    held: bool = False


@frozen
class Delivered:
    """A relay has the locked result, whose key is for sale until the invoice expires.

    `closing`: as in `Offered`.
    """

    result: EventId
    invoice: IssuedInvoice
    closing: bool = False


@frozen
class Settling:
    """A relay has the result; the wallet is told to take what it holds."""

    result: EventId
    invoice: IssuedInvoice


@frozen
class Settled:
    """A relay has the result and the money, if any was asked, is ours."""

    result: EventId
    paid: PaymentHash | None = None


@frozen
class Unpaid:
    """Delivered, and never paid for."""

    result: EventId
    invoice: PaymentHash
    reason: str


@frozen
class Refused:
    """Turned away before any work, for a reason the customer was told."""

    reason: str


@frozen
class Failed:
    """Ended without an answer. What was paid is owed back; an `invoice` was not, as far as known."""

    reason: str
    paid: PaymentHash | None = None
    owed: Msat = ZERO
    invoice: PaymentHash | None = None


@frozen
class Expired:
    """Never paid in time."""

    invoice: PaymentHash


@frozen
class Cancelled:
    """Called off by its author. What was paid is owed back."""

    invoice: PaymentHash | None = None
    paid: PaymentHash | None = None
    owed: Msat = ZERO


@frozen
class Refund:
    """The customer's invoice for what is owed, and the most that paying it may cost on top."""

    bolt11: str
    payment_hash: PaymentHash
    max_fee: Msat
    expires_at: int = 0  # unix seconds; until then a payment that has failed is tried again


@frozen
class Refunding:
    """Ended without an answer; the customer's invoice is being paid, this one and no other.

    `asked_at`: when the wallet was last asked about a payment of which it did not know the outcome.
    `retry_at`: when one that has certainly failed is tried again.
    """

    reason: str
    paid: PaymentHash
    owed: Msat
    refund: Refund
    asked_at: int | None = None  # unix seconds
    retry_at: int | None = None


@frozen
class Refunded:
    """Ended without an answer, and what was paid is given back: `preimage` proves it."""

    reason: str
    paid: PaymentHash
    owed: Msat  # what was
    refund: PaymentHash
    preimage: Preimage


JobState: TypeAlias = (
    Received
    | Offered
    | Working
    | Finished
    | Delivered
    | Settling
    | Settled
    | Unpaid
    | Refused
    | Failed
    | Expired
    | Cancelled
    | Refunding
    | Refunded
)
