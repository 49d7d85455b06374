"""What a wallet says, in the words of the port."""

from hashlib import sha256

from pylon.errors import BadInvoice, Misconfigured, WalletUnavailable
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.invoice import Invoice
from pylon.model.money import ZERO, Msat, Network
from pylon.model.wallet import (
    Direction,
    HistoryEntry,
    InvoiceState,
    InvoiceStatus,
    PaymentFailed,
    PaymentInFlight,
    PaymentResult,
    PaymentSettled,
)
from pylon.wire import hexes
from pylon.wire.bolt11 import decode
from pylon.wire.nwc.payloads import ErrorCode, Refusal, State, Transaction

OUTGOING = "outgoing"
_NETWORKS = {"bitcoin": Network.MAINNET, "main": Network.MAINNET, "testnet3": Network.TESTNET} | {
    network.value: network for network in Network
}
_FOR_A_HUMAN = (
    ErrorCode.NOT_IMPLEMENTED,
    ErrorCode.RESTRICTED,
    ErrorCode.UNAUTHORIZED,
    ErrorCode.QUOTA_EXCEEDED,
    ErrorCode.INSUFFICIENT_BALANCE,
    ErrorCode.UNSUPPORTED_ENCRYPTION,
    ErrorCode.NOT_FOUND,
)
_STATES = {
    State.PENDING: InvoiceState.OPEN,
    State.ACCEPTED: InvoiceState.ACCEPTED,
    State.SETTLED: InvoiceState.SETTLED,
    State.EXPIRED: InvoiceState.EXPIRED,
    State.FAILED: InvoiceState.CANCELLED,
}


def refusal_error(refusal: Refusal) -> Misconfigured | WalletUnavailable:
    """Return the error that a refusal amounts to, for anything but a payment."""
    text = f"the wallet refuses: {why(refusal)}"
    return Misconfigured(text) if refusal.error in _FOR_A_HUMAN else WalletUnavailable(text)


def why(refusal: Refusal) -> str:
    """Put a refusal into words."""
    return f"{refusal.message} ({refusal.code})" if refusal.message else refusal.code


def network_of(name: str) -> Network | None:
    """Read the name of a network, as wallets spell it."""
    return _NETWORKS.get(name.lower())


def our_invoice(tx: Transaction, amount: Msat, network: Network) -> Invoice:
    """Read an invoice that the wallet made for us, and see that it is the one we asked for.

    Raises:
        Misconfigured: It is of another network than this node.
        WalletUnavailable: It is another invoice, or none.
    """
    try:
        invoice = decode(tx.invoice or "")
    except BadInvoice as fault:
        raise WalletUnavailable(f"the wallet made no invoice: {fault}") from fault
    if invoice.network is not network:
        raise Misconfigured(f"the wallet is on {invoice.network}, and this node on {network}")
    if invoice.amount != amount or invoice.payment_hash != tx.payment_hash:
        raise WalletUnavailable("the wallet made another invoice than it was asked for")
    return invoice


def invoice_status(tx: Transaction, *, now: float, deadline: int | None) -> InvoiceStatus:
    """Say where an invoice of ours stands; `deadline` is what is known of it otherwise."""
    state = _STATES[tx.stands()]
    if state is InvoiceState.OPEN and tx.expires_at is not None and now > tx.expires_at:
        state = InvoiceState.EXPIRED
    taken = state in (InvoiceState.ACCEPTED, InvoiceState.SETTLED)
    return InvoiceStatus(
        PaymentHash(tx.payment_hash),
        state,
        Msat(tx.amount) if taken else ZERO,
        (tx.settle_by or deadline) if state is InvoiceState.ACCEPTED else None,
        tx.settled_at or tx.created_at or 0,
    )


def payment_result(tx: Transaction) -> PaymentResult:
    """Say what became of a payment of ours; a success without its proof is none yet."""
    payment_hash = PaymentHash(tx.payment_hash)
    match tx.stands():
        case State.SETTLED if is_preimage(tx.preimage or "", payment_hash):
            preimage = Preimage(tx.preimage or "")
            return PaymentSettled(payment_hash, preimage, Msat(tx.amount), Msat(tx.fees_paid or 0))
        case State.FAILED | State.EXPIRED:
            return PaymentFailed(payment_hash, "the wallet says that the payment failed")
        case _:
            return PaymentInFlight(payment_hash)


def hash_of(preimage: Preimage) -> PaymentHash:
    """Return the payment hash that a preimage belongs to."""
    return PaymentHash(sha256(bytes.fromhex(preimage)).hexdigest())


def is_preimage(text: str, payment_hash: PaymentHash) -> bool:
    """Say whether a text is the preimage of a payment hash."""
    return hexes.is_hex(text, 32) and hash_of(Preimage(text)) == payment_hash


def history_entry(tx: Transaction, *, now: float) -> HistoryEntry:
    """Put a transaction into a line of the history."""
    outgoing = tx.type == OUTGOING
    if outgoing:
        state = tx.stands().value
        at = tx.settled_at or tx.created_at or 0
    else:
        state = invoice_status(tx, now=now, deadline=None).state.value
        at = tx.created_at or 0
    return HistoryEntry(
        Direction.OUTGOING if outgoing else Direction.INCOMING,
        state,
        Msat(tx.amount),
        Msat(tx.fees_paid or 0) if outgoing else ZERO,
        PaymentHash(tx.payment_hash),
        tx.description or "",
        at,
    )
