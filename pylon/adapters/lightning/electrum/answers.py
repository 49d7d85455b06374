"""What Electrum says, in its own names and shapes; members not used are not named."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final, TypeAlias

from attrs import frozen

from pylon.errors import WalletUnavailable
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.money import Msat


class Status(IntEnum):
    """Of a request of ours or of an invoice that we pay (`PR_...` in electrum/invoices.py)."""

    UNPAID = 0
    EXPIRED = 1
    UNKNOWN = 2
    PAID = 3
    INFLIGHT = 4
    FAILED = 5
    ROUTING = 6
    UNCONFIRMED = 7
    BROADCASTING = 8
    BROADCAST = 9


@frozen
class GetInfo:
    """Of `getinfo`: the network by its usual name, and how far the chain is known."""

    network: str
    version: str
    blockchain_height: int = 0


@frozen
class Balance:
    """Of `getbalance`: a decimal of bitcoin, absent where it is nothing."""

    lightning: str = "0"


@frozen
class Request:
    """An invoice of our own. Its end is a moment in 4.3, and seconds from `timestamp` later on."""

    request_id: PaymentHash
    status: Status
    timestamp: int
    message: str = ""
    amount_msat: int | None = None
    expiration: int = 0
    expiry: int | None = None
    lightning_invoice: str | None = None

    @property
    def expires_at(self) -> int | None:
        """The unix second after which it is not to be paid; None for never."""
        if self.expiry is not None:
            return self.timestamp + self.expiry if self.expiry else None
        return self.expiration or None


@frozen
class Invoice:
    """An invoice that we pay or wanted to."""

    invoice_id: PaymentHash
    status: Status
    timestamp: int
    message: str = ""
    amount_msat: int | str | None = None
    lightning_invoice: str | None = None


@frozen
class Attempt:
    """Of `lnpay`. Each line of `log` is an HTLC: its hops, the failing channel, why it failed."""

    success: bool
    preimage: str | None = None
    log: tuple[tuple[Any, ...], ...] = ()


@frozen
class Moved:
    """A line of `lightning_history`: negative where we paid, the fee included."""

    amount_msat: int
    timestamp: int | None = None
    payment_hash: PaymentHash | None = None
    preimage: Preimage | None = None
    label: str | None = None
    type: str = ""


@frozen
class Channel:
    """Of `list_channels`: how often its state was signed, and the satoshi on their way."""

    channel_id: str
    state: str
    local_ctn: int = 0
    remote_ctn: int = 0
    local_unsettled_sent: int = 0
    remote_unsettled_sent: int = 0

    @property
    def is_past(self) -> bool:
        """Whether what was in it is decided on the chain."""
        return self.state == "REDEEMED"


@frozen
class Hold:
    """Of `check_hold_invoice`."""

    status: str  # unpaid, paid, settled or unknown
    received_amount_sat: int = 0
    closest_htlc_expiry_height: int | None = None


@frozen
class HoldMade:
    """Of `add_hold_invoice`."""

    invoice: str


@frozen
class Expected:
    """A row of the wallet's table of incoming payments."""

    amount: Msat
    is_paid: bool


Table: TypeAlias = Mapping[PaymentHash, Expected]  # oldest first

_RECEIVED: Final = 1


def incoming(rows: Mapping[str, list[Any]]) -> Table:
    """Read `lightning_payments` of the wallet file, the only list that costs little.

    4.3 has `hash: [msat, direction, status]`, later versions `hash:direction: [msat, status, ...]`.
    """
    try:
        return dict(item for key, row in rows.items() if (item := _expected(key, row)))
    except (IndexError, TypeError) as exc:
        raise WalletUnavailable("Electrum keeps its payments in another way than is known") from exc


def _expected(key: str, row: list[Any]) -> tuple[PaymentHash, Expected] | None:
    payment_hash, has_direction, direction = key.partition(":")
    if not has_direction:
        direction, status = str(row[1]), row[2]
    else:
        status = row[1]
    if direction != str(_RECEIVED):
        return None
    return PaymentHash(payment_hash), Expected(Msat(row[0] or 0), status == Status.PAID)
