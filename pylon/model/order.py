"""A job as its buyer sees it: the facts that never change, and the states it passes through."""

from enum import StrEnum
from typing import TypeAlias

from attrs import frozen

from pylon.model.budget import NODE, Scope
from pylon.model.event import Event
from pylon.model.ids import EventId, JobId, NodeKey, PaymentHash, Preimage, PublicKey
from pylon.model.money import ZERO, Msat, Network, PayMode
from pylon.model.reply import Locked
from pylon.model.wallet import IssuedInvoice


@frozen
class Order:
    """What was asked, and the limits set on paying for it."""

    id: JobId
    request: Event
    provider: PublicKey | None  # None: a broadcast, any provider may make an offer
    max_price: Msat  # the most the answer may cost, fees apart
    max_fee: Msat  # the most the payment may cost on top
    network: Network  # invoices of any other are refused
    auto_pay: bool
    opened_at: int  # unix seconds
    offer_seconds: int  # how long offers to a broadcast are collected
    deadline: int  # unix seconds; after it an unpaid order fails and a paid one is disputed
    encrypted: bool = False
    scopes: tuple[Scope, ...] = (NODE,)  # the budgets it is paid from, the widest first
    accepts: tuple[PayMode, ...] = (PayMode.PREPAY,)  # as listed in the request, the best first


@frozen
class Answer:
    """A provider's result, verified and addressed to us; readable, unless it is locked."""

    result: EventId
    provider: PublicKey
    locked: Locked | None = None


@frozen
class Failure:
    """What a provider says that it failed for, and will give back."""

    reason: str
    refund: Msat = ZERO


@frozen
class Offer:
    """One provider's demand for payment, read and checked against the order."""

    provider: PublicKey
    feedback: EventId  # the signed event that makes the offer: evidence
    amount: Msat
    bolt11: str
    payment_hash: PaymentHash
    node_key: NodeKey
    expires_at: int  # unix seconds
    mode: PayMode = PayMode.PREPAY
    answer: Answer | None = None  # the locked result that the payment will open


@frozen
class Draft:
    """Stored, its request not yet taken by a relay."""


@frozen
class Published:
    """On the relays; offers are collected."""

    offers: tuple[Offer, ...] = ()
    window_ends: int | None = None  # unix seconds; set by the first offer to a broadcast


@frozen
class Chosen:
    """One offer is picked and waits for a person's yes."""

    offer: Offer
    others: tuple[Offer, ...] = ()


@frozen
class Reserving:
    """Amount and fee cap are being set aside in the budget."""

    offer: Offer
    others: tuple[Offer, ...] = ()


@frozen
class Paying:
    """The wallet has been told to pay, or soon will be."""

    offer: Offer
    others: tuple[Offer, ...] = ()
    answer: Answer | None = None  # an answer that overtook the wallet's word
    failure: Failure | None = None  # and so may bad news
    cancelled: bool = False  # we have called it off, and wait for what is held to come back


@frozen
class Unknown:
    """The payment's outcome is not known, or it is held: it is looked up, never repeated."""

    offer: Offer
    since: int  # unix seconds
    answer: Answer | None = None
    others: tuple[Offer, ...] = ()
    failure: Failure | None = None
    cancelled: bool = False
    asking: bool = False  # the wallet has been asked, and has not answered yet
    returned: str | None = None  # why it was not paid after all; the provider may say more


@frozen
class Paid:
    """The preimage is ours; the answer is awaited, or is being opened with it."""

    offer: Offer
    preimage: Preimage
    fee: Msat
    answer: Answer | None = None


@frozen
class Done:
    """Answered. `offer` is None for work that was given away."""

    answer: Answer
    offer: Offer | None = None
    preimage: Preimage | None = None
    fee: Msat = ZERO


class Cause(StrEnum):
    """What an order ended for, so that programs need not read the reason."""

    RELAYS = "relays"  # no relay took the request
    TIME = "time"  # nobody made an offer, or an answer, in time
    PROVIDER = "provider"  # the provider refused
    PAYMENT = "payment"  # the wallet could not pay
    BUDGET = "budget"  # a cap does not allow it
    PERSON = "person"  # somebody said no, or did not say yes


@frozen
class Declined:
    """Not paid, by the budget's or a person's decision."""

    reason: str
    cause: Cause


@frozen
class NotServed:
    """Ended without an answer and without a payment."""

    reason: str
    cause: Cause


@frozen
class Disputed:
    """Paid and not answered: the evidence is kept, and a late answer still counts."""

    offer: Offer
    preimage: Preimage
    fee: Msat
    reason: str
    refund: Msat = ZERO  # what the provider has said that it will give back
    answer: Answer | None = None  # a late one, being opened
    attempt: int = 0  # invoices that were made to get it back, to no avail


@frozen
class Cheated:
    """Paid for a locked result that is not what it was sold as: provable, and the end of trust."""

    offer: Offer
    preimage: Preimage
    fee: Msat
    answer: Answer
    reason: str


@frozen
class Reclaiming:
    """Paid and refused, with a promise to give it back: our invoice for that is out, or soon is."""

    offer: Offer
    preimage: Preimage
    fee: Msat
    reason: str
    amount: Msat
    attempt: int = 1  # invoices expire; each has its own number
    invoice: IssuedInvoice | None = None
    asked_at: int | None = None  # unix seconds; when the wallet was last asked whether it is paid


@frozen
class Refunded:
    """Paid, refused, and given back."""

    offer: Offer
    preimage: Preimage
    fee: Msat
    reason: str
    amount: Msat
    invoice: PaymentHash


@frozen
class Withdrawn:
    """Called off by its buyer; nothing was paid."""


OrderState: TypeAlias = (
    Draft
    | Published
    | Chosen
    | Reserving
    | Paying
    | Unknown
    | Paid
    | Done
    | Declined
    | NotServed
    | Disputed
    | Cheated
    | Reclaiming
    | Refunded
    | Withdrawn
)


def offer_of(state: OrderState) -> Offer | None:
    """Return the offer that was picked, as soon as there is one."""
    offer = getattr(state, "offer", None)
    return offer if isinstance(offer, Offer) else None
