"""The shapes of lnd's REST interface, as its double reads and writes them."""

import base64
from hashlib import sha256
from typing import Annotated, Any

import msgspec
import trio
from attrs import define, field, frozen

from pylon.model.ids import PaymentHash
from pylon.model.wallet import (
    InvoiceState,
    PaymentFailed,
    PaymentResult,
    PaymentSettled,
)
from tests.adapters.lightning.https_double import Asked

UNKNOWN_CODE, INVALID, NOT_FOUND, EXISTS, UNAVAILABLE = 2, 3, 5, 6, 14  # of gRPC
STATUS = {UNKNOWN_CODE: 500, INVALID: 400, NOT_FOUND: 404, EXISTS: 409, UNAVAILABLE: 503}


class GrpcError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message

    @property
    def body(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "details": []}


Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class AddInvoice(msgspec.Struct, forbid_unknown_fields=True):
    value_msat: Number
    memo: str = ""
    expiry: Number = 86_400
    private: bool = False
    r_preimage: bytes = b""
    cltv_expiry: Number = 80


class AddHold(msgspec.Struct, forbid_unknown_fields=True):
    hash: bytes
    value_msat: Number
    memo: str = ""
    expiry: Number = 86_400
    private: bool = False
    cltv_expiry: Number = 80


class SettleHold(msgspec.Struct, forbid_unknown_fields=True):
    preimage: bytes


class CancelInvoice(msgspec.Struct, forbid_unknown_fields=True):
    payment_hash: bytes


class SendPayment(msgspec.Struct, forbid_unknown_fields=True):
    payment_request: str
    fee_limit_msat: Number
    timeout_seconds: int = 60
    no_inflight_updates: bool = False


@frozen
class Added:
    """An invoice as lnd remembers it."""

    payment_hash: PaymentHash
    add_index: int
    bolt11: str
    preimage: str  # empty for a hold
    cltv_expiry: int
    memo: str
    value: int
    created: int
    expiry: int
    state: InvoiceState = InvoiceState.OPEN
    settle_index: int = 0
    accepted_at: int | None = None


@define
class Sent:
    """A payment as lnd remembers it."""

    bolt11: str
    created_ns: int
    result: PaymentResult
    value: int
    fee: int = 0
    changed: trio.Event = field(factory=trio.Event)


def shown_invoice(one: Added, *, accept_height: int) -> dict[str, Any]:
    """Write an invoice as lnd does, members that Pylon has no use for included."""
    names = {"cancelled": "CANCELED", "expired": "CANCELED"}
    paid = one.state is InvoiceState.SETTLED
    return {
        "memo": one.memo,
        "r_preimage": b64(one.preimage),
        "r_hash": b64(one.payment_hash),
        "value": str(one.value // 1000),
        "value_msat": str(one.value),
        "settled": paid,
        "creation_date": str(one.created),
        "settle_date": "0",
        "payment_request": one.bolt11,
        "description_hash": "",
        "expiry": str(one.expiry),
        "cltv_expiry": str(one.cltv_expiry),
        "add_index": str(one.add_index),
        "settle_index": str(one.settle_index),
        "amt_paid_msat": str(one.value if paid else 0),
        "state": names.get(one.state, one.state.upper()),
        "htlcs": [] if one.accepted_at is None else [_htlc(one, accept_height)],
        "features": {"9": {"name": "tlv-onion", "is_required": False, "is_known": True}},
        "is_keysend": False,
    }


def _htlc(one: Added, accept_height: int) -> dict[str, Any]:
    states = {"accepted": "ACCEPTED", "settled": "SETTLED"}
    return {
        "chan_id": "879609302220800",
        "htlc_index": "0",
        "amt_msat": str(one.value),
        "accept_height": accept_height,
        "accept_time": str(one.accepted_at),
        "resolve_time": "0",
        "expiry_height": accept_height + one.cltv_expiry,
        "state": states.get(one.state, "CANCELED"),
        "custom_records": {},
    }


_REASONS = {
    "insufficient funds": "FAILURE_REASON_INSUFFICIENT_BALANCE",
    "the fee of": "FAILURE_REASON_NO_ROUTE",
    "no route": "FAILURE_REASON_NO_ROUTE",
}


def shown_payment(sent: Sent) -> dict[str, Any]:
    status, preimage, reason = "IN_FLIGHT", "00" * 32, "FAILURE_REASON_NONE"
    match sent.result:
        case PaymentSettled():
            status, preimage = "SUCCEEDED", sent.result.preimage
        case PaymentFailed(reason=why):
            found = [name for words, name in _REASONS.items() if why.startswith(words)]
            status = "FAILED"
            reason = found[0] if found else "FAILURE_REASON_INCORRECT_PAYMENT_DETAILS"
    return {
        "payment_hash": sent.result.payment_hash,
        "value": str(sent.value // 1000),
        "value_msat": str(sent.value),
        "payment_preimage": preimage,
        "payment_request": sent.bolt11,
        "status": status,
        "fee_msat": str(sent.fee),
        "creation_time_ns": str(sent.created_ns),
        "failure_reason": reason,
        "htlcs": [],
        "payment_index": "1",
    }


def body_of(asked: Asked, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(asked.body, type=kind, strict=False)
    except msgspec.DecodeError as error:
        raise GrpcError(INVALID, f"proto: {error}") from None


def hash_of(preimage: str) -> PaymentHash:
    return PaymentHash(sha256(bytes.fromhex(preimage)).hexdigest())


def b64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


def from_hex(text: str) -> PaymentHash:
    try:
        return _checked(bytes.fromhex(text))
    except ValueError:
        raise GrpcError(INVALID, "type mismatch, parameter: r_hash_str") from None


def from_base64url(text: str) -> PaymentHash:
    try:
        return _checked(base64.b64decode(text, altchars=b"-_", validate=True))
    except ValueError:
        raise GrpcError(INVALID, "type mismatch, parameter: payment_hash") from None


def _checked(raw: bytes) -> PaymentHash:
    if len(raw) != 32:
        raise ValueError("a hash has 32 bytes")
    return PaymentHash(raw.hex())
