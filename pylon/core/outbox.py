"""Acts as outbox rows: which desk carries out which, and how they are written down."""

from typing import TypeAlias, TypeVar

import msgspec
from attrs import frozen

from pylon.core import job_machine as jobs
from pylon.core import order_machine as orders
from pylon.model.event import Event

CASHIER = "cashier"  # makes, settles and withdraws invoices
REFUNDER = "refunder"  # pays back what is owed to customers
WORKER = "worker"  # computes answers
PUBLISHER = "publisher"  # brings signed events to the relays
ACCOUNTANT = "accountant"  # counts earnings
TREASURER = "treasurer"  # keeps the budget
PAYER = "payer"  # pays invoices and asks what became of payments
OPENER = "opener"  # opens locked results with the preimage that was paid for
ORDER_DESK = "order desk"  # drives orders: what another process asks of the one that does
COLLECTOR = "collector"  # makes invoices for what providers owe us


@frozen
class Post:
    """Publish a signed event. With `tell`, its fate is news; else it is only carried out."""

    event: Event
    tell: bool = False


Entry: TypeAlias = (
    jobs.MakeInvoice
    | jobs.MakeHoldInvoice
    | jobs.SettleHold
    | jobs.CancelInvoice
    | jobs.Run
    | jobs.StopWork
    | jobs.Credit
    | jobs.PayRefund
    | jobs.LookUpRefund
    | orders.Reserve
    | orders.Release
    | orders.Spend
    | orders.Pay
    | orders.LookUp
    | orders.Open
    | orders.MakeRefundInvoice
    | orders.CheckRefund
    | orders.CancelAsked
    | Post
)

_DESKS: dict[type[Entry], str] = {
    jobs.MakeInvoice: CASHIER,
    jobs.MakeHoldInvoice: CASHIER,
    jobs.SettleHold: CASHIER,
    jobs.CancelInvoice: CASHIER,
    jobs.Run: WORKER,
    jobs.StopWork: WORKER,
    jobs.Credit: ACCOUNTANT,
    jobs.PayRefund: REFUNDER,
    jobs.LookUpRefund: REFUNDER,
    orders.Reserve: TREASURER,
    orders.Release: TREASURER,
    orders.Spend: TREASURER,
    orders.Pay: PAYER,
    orders.LookUp: PAYER,
    orders.Open: OPENER,
    orders.MakeRefundInvoice: COLLECTOR,
    orders.CheckRefund: COLLECTOR,
    orders.CancelAsked: ORDER_DESK,
    Post: PUBLISHER,
}
_DECODERS = {kind.__name__: msgspec.json.Decoder(kind) for kind in _DESKS}
_encode = msgspec.json.Encoder().encode

EntryT = TypeVar("EntryT", bound=Entry)


def desk_of(entry: Entry) -> str:
    """Name the desk that carries an act out."""
    return _DESKS[type(entry)]


def write(entry: Entry) -> tuple[str, str]:
    """Write an act down as (kind, JSON body)."""
    return type(entry).__name__, _encode(entry).decode()


def read(kind: str, body: str) -> Entry:
    """Read an act back.

    Raises:
        KeyError: for a kind of act that this version does not know.
    """
    entry: Entry = _DECODERS[kind].decode(body)
    return entry
