"""What wallets and their clients say to one another, once decrypted (NIP-47).

Amounts are millisatoshi, times unix seconds. Wallets in the field leave much out and write null for
more, so of a result little is demanded; of a request, what the method cannot do without.
"""

from enum import StrEnum
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct, field

from pylon.errors import Malformed
from pylon.wire import json

T = TypeVar("T")

MAX_PAYLOAD: Final = 1 << 17  # characters of a decrypted request, response or notification
MOST_LISTED: Final = 20  # transactions on one page

Hex32: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Natural: TypeAlias = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Amount: TypeAlias = Annotated[int, Meta(ge=1, le=21_000_000 * 10**11)]
Text: TypeAlias = Annotated[str, Meta(max_length=8192)]


class ErrorCode(StrEnum):
    """Why a wallet did not do what it was asked; a code we do not know is `OTHER`."""

    RATE_LIMITED = "RATE_LIMITED"
    NOT_IMPLEMENTED = "NOT_IMPLEMENTED"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    RESTRICTED = "RESTRICTED"
    UNAUTHORIZED = "UNAUTHORIZED"
    INTERNAL = "INTERNAL"
    UNSUPPORTED_ENCRYPTION = "UNSUPPORTED_ENCRYPTION"
    PAYMENT_FAILED = "PAYMENT_FAILED"
    NOT_FOUND = "NOT_FOUND"
    OTHER = "OTHER"


class State(StrEnum):
    """Where a transaction stands."""

    PENDING = "pending"
    SETTLED = "settled"
    ACCEPTED = "accepted"  # a hold: locked, neither taken nor given back
    EXPIRED = "expired"
    FAILED = "failed"


# Requests: the parameters of each method


class _Params(Struct, frozen=True, omit_defaults=True):
    pass


class PayInvoice(_Params, frozen=True):
    """Pay; `amount` is for an invoice that names none."""

    invoice: Text
    amount: Amount | None = None


class MakeInvoice(_Params, frozen=True):
    """Make an ordinary invoice."""

    amount: Amount
    description: Text | None = None
    description_hash: Text | None = None
    expiry: Natural | None = None  # seconds


class LookupInvoice(_Params, frozen=True):
    """Look up an invoice made or paid, by one of the two."""

    payment_hash: Hex32 | None = None
    invoice: Text | None = None


class ListTransactions(_Params, frozen=True):
    """List transactions, newest first; settled ones only unless `unpaid`."""

    since: Natural | None = field(default=None, name="from")
    until: Natural | None = None
    limit: Natural | None = None
    offset: Natural | None = None
    unpaid: bool | None = None
    type: Literal["incoming", "outgoing"] | None = None


class GetBalance(_Params, frozen=True):
    """Ask what can be spent."""


class GetInfo(_Params, frozen=True):
    """Ask which wallet this is."""


class MakeHoldInvoice(_Params, frozen=True):
    """Make an invoice that is settled with the preimage of this hash, or cancelled."""

    amount: Amount
    payment_hash: Hex32
    description: Text | None = None
    description_hash: Text | None = None
    expiry: Natural | None = None
    min_cltv_expiry_delta: Natural | None = None  # blocks


class SettleHoldInvoice(_Params, frozen=True):
    """Take what is held."""

    preimage: Hex32


class CancelHoldInvoice(_Params, frozen=True):
    """Give back what is held."""

    payment_hash: Hex32


Request: TypeAlias = (
    PayInvoice | MakeInvoice | LookupInvoice | ListTransactions | GetBalance | GetInfo
    | MakeHoldInvoice | SettleHoldInvoice | CancelHoldInvoice
)  # fmt: skip

METHODS: Final[dict[str, type[Request]]] = {
    "pay_invoice": PayInvoice,
    "make_invoice": MakeInvoice,
    "lookup_invoice": LookupInvoice,
    "list_transactions": ListTransactions,
    "get_balance": GetBalance,
    "get_info": GetInfo,
    "make_hold_invoice": MakeHoldInvoice,
    "settle_hold_invoice": SettleHoldInvoice,
    "cancel_hold_invoice": CancelHoldInvoice,
}
NAMES: Final[dict[type[Request], str]] = {kind: name for name, kind in METHODS.items()}


# Results


class Paid(Struct, frozen=True, omit_defaults=True):
    """A payment that has happened."""

    preimage: str
    fees_paid: Natural | None = None


class Transaction(Struct, frozen=True, omit_defaults=True):
    """An invoice made or paid. `settle_by` is ours: other wallets give blocks alone."""

    payment_hash: str
    amount: Natural
    type: str = ""  # incoming, outgoing
    state: str | None = None
    invoice: str | None = None
    description: str | None = None
    description_hash: str | None = None
    preimage: str | None = None
    fees_paid: Natural | None = None
    created_at: Natural | None = None
    expires_at: Natural | None = None
    settled_at: Natural | None = None
    settle_deadline: Natural | None = None  # block height
    settle_by: Natural | None = None  # unix seconds

    def stands(self) -> State:
        """Say where it stands; older wallets say so only by the time it was settled at."""
        try:
            return State((self.state or "").lower())
        except ValueError:
            return State.SETTLED if self.settled_at else State.PENDING


class Transactions(Struct, frozen=True):
    """A page of transactions."""

    transactions: tuple[Transaction, ...]


class Balance(Struct, frozen=True):
    """What can be spent."""

    balance: Natural


class NodeInfo(Struct, frozen=True, omit_defaults=True):
    """Which wallet this is."""

    alias: str | None = None
    color: str | None = None
    pubkey: str | None = None
    network: str | None = None
    block_height: Natural | None = None
    block_hash: str | None = None
    methods: tuple[str, ...] = ()
    notifications: tuple[str, ...] | None = None


class Done(Struct, frozen=True):
    """It has been done."""


Result: TypeAlias = Paid | Transaction | Transactions | Balance | NodeInfo | Done


class Refusal(Struct, frozen=True):
    """What a wallet says that did not do it."""

    code: str
    message: str | None = None

    @property
    def error(self) -> ErrorCode:
        """The code, of those that NIP-47 knows."""
        known = set(ErrorCode)
        return ErrorCode(self.code) if self.code in known else ErrorCode.OTHER


class NotificationType(StrEnum):
    """What a wallet tells unasked."""

    PAYMENT_RECEIVED = "payment_received"
    PAYMENT_SENT = "payment_sent"
    HOLD_ACCEPTED = "hold_invoice_accepted"


class Notification(Struct, frozen=True):
    """What a wallet tells unasked; the type may be one we do not know."""

    notification_type: str
    notification: Transaction


# Text


class BadRequest(Malformed):
    """A request that cannot be served: what to answer, and to which method."""

    def __init__(self, method: str, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.method = method
        self.refusal = refusal


class _Request(Struct, frozen=True):
    method: Annotated[str, Meta(max_length=64)]
    params: Raw = Raw(b"{}")


class _Response(Struct, frozen=True):
    result_type: str | None = None
    error: Refusal | None = None
    result: Raw = Raw(b"null")


_REQUEST: Final = msgspec.json.Decoder(_Request)
_RESPONSE: Final = msgspec.json.Decoder(_Response)
_NOTIFICATION: Final = msgspec.json.Decoder(Notification)
_PARAMS: Final = {name: msgspec.json.Decoder(kind) for name, kind in METHODS.items()}


def read_request(text: str) -> Request:
    """Read a request.

    Raises:
        BadRequest: if the method is unknown, or its parameters are not what it takes.
        Malformed: if it is no request at all.
    """
    asked = json.decode_as(_REQUEST, text, max_size=MAX_PAYLOAD)
    decoder = _PARAMS.get(asked.method)
    if decoder is None:
        unknown = Refusal(ErrorCode.NOT_IMPLEMENTED, "this wallet has no such method")
        raise BadRequest(asked.method, unknown)
    try:
        return json.decode_as(decoder, bytes(asked.params), max_size=MAX_PAYLOAD)
    except Malformed as fault:
        raise BadRequest(asked.method, Refusal(ErrorCode.OTHER, str(fault))) from None


def write_request(request: Request) -> str:
    """Write a request."""
    return json.encode({"method": NAMES[type(request)], "params": request})


def read_response(text: str, wanted: type[T]) -> T | Refusal:
    """Read the response to a request whose result is a `wanted`; see `RESULTS`.

    Raises:
        Malformed: if it is none, or its result is of another shape.
    """
    answer = json.decode_as(_RESPONSE, text, max_size=MAX_PAYLOAD)
    if answer.error is not None:
        return answer.error
    result: Any = json.decode_as(_RESULTS[wanted], bytes(answer.result), max_size=MAX_PAYLOAD)
    return wanted() if result is None else result


def write_response(method: str, result: Result | Refusal) -> str:
    """Write a response: exactly one of `error` and `result` is not null."""
    refused = isinstance(result, Refusal)
    return json.encode(
        {
            "result_type": method,
            "error": result if refused else None,
            "result": None if refused else result,
        }
    )


def read_notification(text: str) -> Notification:
    """Read a notification.

    Raises:
        Malformed: if it is none.
    """
    return json.decode_as(_NOTIFICATION, text, max_size=MAX_PAYLOAD)


def write_notification(notification: Notification) -> str:
    """Write a notification."""
    return json.encode(notification)


_RESULTS: Final[dict[type, msgspec.json.Decoder[Any]]] = {
    kind: msgspec.json.Decoder(kind)
    for kind in (Paid, Transaction, Transactions, Balance, NodeInfo)
} | {Done: msgspec.json.Decoder(Done | None)}
