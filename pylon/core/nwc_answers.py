"""What our own wallet answers to NIP-47 requests: who is heard, and values into transactions."""

from collections.abc import Iterable
from typing import Any, Final

from msgspec import structs

from pylon.model.event import Event
from pylon.model.ids import PaymentHash, PublicKey
from pylon.model.money import ZERO, Msat
from pylon.model.wallet import (
    Capabilities,
    Direction,
    HistoryEntry,
    InvoiceState,
    InvoiceStatus,
    IssuedInvoice,
    PaymentFailed,
    PaymentResult,
    PaymentSettled,
)
from pylon.wire import expiration
from pylon.wire.nwc.events import REQUEST_KIND
from pylon.wire.nwc.payloads import (
    MOST_LISTED,
    ErrorCode,
    ListTransactions,
    NotificationType,
    Refusal,
    State,
    Transaction,
    Transactions,
)

MAX_AGE_SECONDS: Final = 600  # of a request, and how far the clocks may be apart
MAX_CONTENT: Final = 1 << 16  # characters of an encrypted request
BLOCK_SECONDS: Final = 600  # where there is no chain, a block is the usual ten minutes
FINAL_BLOCKS: Final = 18  # of a hold's last blocks none is for holding
DEFAULT_HOLD_SECONDS: Final = 600
DEFAULT_EXPIRY_SECONDS: Final = 3_600
MAX_EXPIRY_SECONDS: Final = 31 * 86_400

_ALWAYS: Final = (
    "pay_invoice", "make_invoice", "lookup_invoice", "list_transactions", "get_balance", "get_info",
)  # fmt: skip
_HOLD: Final = ("make_hold_invoice", "settle_hold_invoice", "cancel_hold_invoice")
_STATES: Final = {
    "open": State.PENDING,
    "pending": State.PENDING,
    "accepted": State.ACCEPTED,
    "settled": State.SETTLED,
    "expired": State.EXPIRED,
    "cancelled": State.FAILED,
    "failed": State.FAILED,
}
_LARGEST_PAGE: Final = 48_000  # characters, so that it can be encrypted (NIP-44: 65,535 bytes)
_LARGEST_TEXT: Final = 640  # characters of a description, as in a BOLT-11 invoice


def methods(able: Capabilities) -> tuple[str, ...]:
    """Name the methods of a wallet."""
    return (*_ALWAYS, *_HOLD) if able.hold else _ALWAYS


def notifications(able: Capabilities) -> tuple[str, ...]:
    """Name what a wallet tells by itself."""
    told = (NotificationType.PAYMENT_RECEIVED, NotificationType.PAYMENT_SENT)
    return (*told, NotificationType.HOLD_ACCEPTED) if able.hold else told


def is_heard(event: Event, client: PublicKey, *, now: float) -> bool:
    """Say whether a request is to be answered at all.

    Strangers are not, nor is what has expired, or is so old or far ahead that it may be repeated by
    somebody who has kept it.
    """
    if event.kind != REQUEST_KIND or event.pubkey != client or len(event.content) > MAX_CONTENT:
        return False
    void_at = expiration.expires_at(event)
    if void_at is not None and void_at <= now:
        return False
    return abs(now - event.created_at) <= MAX_AGE_SECONDS


def transaction(
    entry: HistoryEntry, news: InvoiceStatus | PaymentResult | None = None
) -> Transaction:
    """Put a line of the history into a transaction; `news` is the newest word on it."""
    tx = Transaction(
        payment_hash=entry.payment_hash or "",
        amount=entry.amount,
        type=entry.direction.value,
        state=_STATES.get(entry.state, State.PENDING),
        invoice=entry.bolt11 or None,
        description=entry.description[:_LARGEST_TEXT] or None,
        preimage=entry.preimage,
        fees_paid=entry.fee,
        created_at=entry.at,
        expires_at=entry.expires_at,
        settled_at=entry.settled_at,
    )
    known: dict[str, Any]
    match news:
        case InvoiceStatus(state=state, settle_deadline=deadline):
            height = None if deadline is None else block_height(deadline)
            known = {"state": _STATES[state], "settle_deadline": height, "settle_by": deadline}
        case PaymentSettled(preimage=preimage, amount=amount, fee=fee):
            known = {
                "state": State.SETTLED,
                "preimage": preimage,
                "amount": amount,
                "fees_paid": fee,
            }
        case PaymentFailed():
            known = {"state": State.FAILED}
        case _:
            return tx
    return structs.replace(tx, **known)


def issued(made: IssuedInvoice, description: str) -> Transaction:
    """Put a new invoice of ours into a transaction."""
    return Transaction(
        payment_hash=made.payment_hash,
        amount=made.amount,
        type=Direction.INCOMING.value,
        state=State.PENDING,
        invoice=made.bolt11,
        description=description or None,
        fees_paid=ZERO,
        created_at=made.created_at,
        expires_at=made.expires_at,
    )


def unlisted(
    payment_hash: PaymentHash, direction: Direction, news: InvoiceStatus | PaymentResult
) -> HistoryEntry:
    """Stand in for a line that is further back than the history was read."""
    paid = news.paid if isinstance(news, InvoiceStatus) else ZERO
    return HistoryEntry(direction, "pending", paid, ZERO, payment_hash, "", 0)


def page(entries: Iterable[HistoryEntry], asked: ListTransactions) -> Transactions:
    """Pick what was asked for; a page ends early where it would become too long to encrypt."""
    matching = [entry for entry in entries if _is_asked_for(entry, asked)]
    offset = asked.offset or 0
    limit = min(asked.limit or MOST_LISTED, MOST_LISTED)
    listed, size = list[Transaction](), 0
    for entry in matching[offset : offset + limit]:
        size += 500 + len(entry.bolt11) + 6 * len(entry.description)
        if listed and size > _LARGEST_PAGE:
            break
        listed.append(transaction(entry))
    return Transactions(tuple(listed))


def _is_asked_for(entry: HistoryEntry, asked: ListTransactions) -> bool:
    if entry.payment_hash is None:  # the faucet's gift is no Lightning payment
        return False
    return (
        (asked.type is None or entry.direction.value == asked.type)
        and (asked.since is None or entry.at >= asked.since)
        and (asked.until is None or entry.at <= asked.until)
        and (bool(asked.unpaid) or entry.state == "settled")
    )


def payment_failure(failed: PaymentFailed, *, amount: Msat, balance: Msat) -> Refusal:
    """Say why a payment failed: for want of money, or for another reason."""
    short = balance < amount
    code = ErrorCode.INSUFFICIENT_BALANCE if short else ErrorCode.PAYMENT_FAILED
    return Refusal(code, failed.reason)


def unsettled(status: InvoiceStatus) -> Refusal | None:
    """Say why a hold was not settled; None if it is."""
    if status.state is InvoiceState.SETTLED:
        return None
    return Refusal(ErrorCode.OTHER, f"nothing is held: the invoice is {status.state}")


def uncancelled(status: InvoiceStatus) -> Refusal | None:
    """Say why an invoice was not cancelled; None if it can be paid no more."""
    if status.state in (InvoiceState.CANCELLED, InvoiceState.EXPIRED):
        return None
    return Refusal(ErrorCode.OTHER, f"the invoice is {status.state}")


def block_height(at: float) -> int:
    """Count time in blocks, for wallets without a chain: the height at a time, rounded down."""
    return int(at) // BLOCK_SECONDS


def hold_seconds(min_cltv_expiry_delta: int | None) -> int:
    """Say how long a hold is wanted, from the blocks that it is asked for in."""
    if min_cltv_expiry_delta is None:
        return DEFAULT_HOLD_SECONDS
    return max(1, min_cltv_expiry_delta - FINAL_BLOCKS) * BLOCK_SECONDS


def expiry_seconds(asked: int | None) -> int:
    """Say how long an invoice is to be open."""
    return min(asked or DEFAULT_EXPIRY_SECONDS, MAX_EXPIRY_SECONDS)
