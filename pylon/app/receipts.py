"""Receipts of this home's orders, made of the evidence it has kept."""

from attrs import evolve

from pylon.app.ordering import find_order
from pylon.app.store import Store
from pylon.core.receipt import Receipt
from pylon.errors import Misconfigured
from pylon.model.event import Event
from pylon.model.ids import EventId, JobId
from pylon.model.job import Encryption
from pylon.model.order import Order, OrderState
from pylon.ports.keys import Signer
from pylon.wire import jobs
from pylon.wire.locked import unlock


async def make_receipt(store: Store, job: str, *, reader: Signer | None = None) -> Receipt:
    """Make the receipt of an order, found by its id or the beginning of it.

    With a `reader`, the buyer's own key, it tells the answer as well.

    Raises:
        Misconfigured: if there is no such order, or nothing was paid for it.
        PeerFault: if the answer cannot be read.
    """
    record = await find_order(store, job)
    kept = {event.id: event for event in await store.orders.evidence(record.id)}
    receipt = of_order(record.facts, record.state, kept)
    if reader is None or receipt.result is None:
        return receipt
    return evolve(receipt, answer=_read(receipt.result, reader, receipt))


def of_order(order: Order, state: OrderState, kept: dict[EventId, Event]) -> Receipt:
    """Put together what was signed; raise `Misconfigured` where there is nothing to prove."""
    offer, preimage = getattr(state, "offer", None), getattr(state, "preimage", None)
    if offer is None or preimage is None:
        raise Misconfigured(f"job {order.id[:8]} was not paid for, and has no receipt")
    demand, answer = kept.get(offer.feedback), getattr(state, "answer", None)
    if demand is None:
        raise Misconfigured(f"the offer of job {order.id[:8]} is no longer here")
    return Receipt(
        request=order.request,
        offer=demand,
        result=None if answer is None else kept.get(answer.result),
        invoice=offer.bolt11,
        preimage=preimage,
    )


def _read(result: Event, reader: Signer, receipt: Receipt) -> str:
    """Read a result's content as its provider wrote it, out of both layers it may be hidden in."""
    content = result.content
    if jobs.encryption_of(result) is not Encryption.NONE:
        content = reader.decrypt(content, result.pubkey)
    locked = jobs.read_result(result, content).locked
    if locked is None:
        return content
    job = JobId(receipt.request.id)
    return unlock(content, receipt.preimage, locked, job=job, provider=result.pubkey)
