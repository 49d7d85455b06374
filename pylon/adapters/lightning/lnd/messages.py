"""What lnd says, in the names and shapes of its REST interface; members not used are not named."""

from enum import StrEnum
from typing import Annotated, Generic, TypeAlias, TypeVar

import msgspec
from attrs import frozen

from pylon.model.ids import PaymentHash

T = TypeVar("T")

Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # comes as a string
Hash: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]  # base64
HexHash: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class State(StrEnum):
    """Of an invoice."""

    OPEN = "OPEN"
    ACCEPTED = "ACCEPTED"
    SETTLED = "SETTLED"
    CANCELED = "CANCELED"


class HtlcState(StrEnum):
    """Of one part of an invoice's payment."""

    ACCEPTED = "ACCEPTED"
    SETTLED = "SETTLED"
    CANCELED = "CANCELED"


@frozen
class Htlc:
    """One part of the payment of an invoice."""

    state: HtlcState
    amt_msat: Int64
    accept_height: Int64
    accept_time: Int64  # unix seconds
    expiry_height: Int64


@frozen
class Invoice:
    """lnrpc.Invoice."""

    r_hash: Hash
    payment_request: str
    state: State
    memo: str = ""
    r_preimage: bytes = b""  # a hold invoice has none until it is settled
    value_msat: Int64 = 0
    amt_paid_msat: Int64 = 0
    creation_date: Int64 = 0
    expiry: Int64 = 0  # seconds
    settle_index: Int64 = 0
    htlcs: tuple[Htlc, ...] = ()

    @property
    def payment_hash(self) -> PaymentHash:
        return PaymentHash(self.r_hash.hex())

    @property
    def is_hold(self) -> bool:
        """Whether its preimage is not lnd's to give; no longer known once it is settled."""
        return not self.r_preimage


@frozen
class Invoices:
    """lnrpc.ListInvoiceResponse."""

    invoices: tuple[Invoice, ...] = ()
    first_index_offset: Int64 = 0
    last_index_offset: Int64 = 0


@frozen
class AddedInvoice:
    """lnrpc.AddInvoiceResponse, or invoicesrpc.AddHoldInvoiceResp."""

    payment_request: str


class PaymentStatus(StrEnum):
    """Of a payment."""

    UNKNOWN = "UNKNOWN"
    INITIATED = "INITIATED"
    IN_FLIGHT = "IN_FLIGHT"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


@frozen
class Payment:
    """lnrpc.Payment."""

    payment_hash: HexHash
    status: PaymentStatus
    payment_preimage: HexHash = "00" * 32
    value_msat: Int64 = 0
    fee_msat: Int64 = 0
    failure_reason: str = ""
    payment_request: str = ""
    creation_time_ns: Int64 = 0


@frozen
class Payments:
    """lnrpc.ListPaymentsResponse."""

    payments: tuple[Payment, ...] = ()


@frozen
class Amount:
    """lnrpc.Amount."""

    msat: Int64


@frozen
class ChannelBalance:
    """lnrpc.ChannelBalanceResponse."""

    local_balance: Amount


@frozen
class Chain:
    """lnrpc.Chain."""

    network: str


@frozen
class NodeInfo:
    """lnrpc.GetInfoResponse."""

    identity_pubkey: Annotated[str, msgspec.Meta(pattern="^0[23][0-9a-f]{64}$")]
    block_height: Int64
    chains: tuple[Chain, ...]


@frozen
class Nothing:
    """An answer that says no more than that it went well."""


@frozen
class Fault:
    """google.rpc.Status; before a stream's first line it comes inside of `error`."""

    code: int = 2
    message: str = ""


@frozen
class Refusal:
    """The body of any answer that is not 200."""

    code: int = 2
    message: str = ""
    error: Fault | str | None = None


@frozen
class Line(Generic[T]):
    """One line of a stream."""

    result: T | None = None
    error: Fault | None = None
