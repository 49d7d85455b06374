"""Invoices and payments as a wallet sees them."""

from enum import StrEnum
from typing import TypeAlias

from attrs import field, frozen

from pylon.model.ids import NodeKey, PaymentHash, Preimage
from pylon.model.money import ZERO, Msat, Network


@frozen
class Capabilities:
    """What a wallet can do beyond plain invoices."""

    hold: bool = False  # hold invoices: accept, then settle or cancel
    chosen_preimage: bool = False  # an ordinary invoice over a preimage of our choice
    tells_preimage: bool = False  # an ordinary invoice comes with the preimage the wallet chose
    msat: bool = False  # amounts finer than a satoshi
    max_fee: bool = False  # a fee limit it obeys


@frozen
class WalletInfo:
    """Which wallet this is. `warning` is shown wherever the wallet is."""

    backend: str
    network: Network
    node_key: NodeKey | None
    capabilities: Capabilities
    warning: str = ""


@frozen
class IssuedInvoice:
    """An invoice of our own. `preimage` is None where the wallet keeps it to itself."""

    bolt11: str
    payment_hash: PaymentHash
    amount: Msat
    created_at: int  # unix seconds
    expires_at: int
    preimage: Preimage | None = field(default=None, repr=False)  # whoever has it has the money


class InvoiceState(StrEnum):
    """Where an invoice of ours stands."""

    OPEN = "open"
    ACCEPTED = "accepted"  # hold: the money is locked, not ours yet
    SETTLED = "settled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@frozen
class InvoiceStatus:
    """An invoice of ours, looked up. `cursor` orders changes; `watch` resumes after it."""

    payment_hash: PaymentHash
    state: InvoiceState
    paid: Msat = ZERO
    settle_deadline: int | None = None  # unix seconds by which a hold must be settled or cancelled
    cursor: int = 0


@frozen
class PaymentSettled:
    """The money has moved; the preimage proves it."""

    payment_hash: PaymentHash
    preimage: Preimage
    amount: Msat
    fee: Msat


@frozen
class PaymentFailed:
    """The money has not moved and will not, for this attempt."""

    payment_hash: PaymentHash
    reason: str


@frozen
class PaymentInFlight:
    """Nobody knows yet: ask again by payment hash; never pay anew."""

    payment_hash: PaymentHash


PaymentResult: TypeAlias = PaymentSettled | PaymentFailed | PaymentInFlight


class Direction(StrEnum):
    """Which way money went."""

    INCOMING = "incoming"
    OUTGOING = "outgoing"
    FUNDING = "funding"


@frozen
class HistoryEntry:
    """One line of a wallet's history, newest first. What the wallet does not tell is left out."""

    direction: Direction
    state: str  # settled, pending, failed, open, expired, cancelled, accepted
    amount: Msat
    fee: Msat
    payment_hash: PaymentHash | None
    description: str
    at: int  # unix seconds
    bolt11: str = ""
    preimage: Preimage | None = field(default=None, repr=False)  # of what is settled
    expires_at: int | None = None  # unix seconds
    settled_at: int | None = None
