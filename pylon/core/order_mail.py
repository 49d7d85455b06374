"""What reaches the order desk: events heard from providers, and news of orders it drives."""

from typing import TypeAlias

from attrs import frozen

from pylon.core.order_machine import News
from pylon.model.event import Event
from pylon.model.ids import JobId, PublicKey
from pylon.model.order import Order, OrderState


@frozen
class NewOrder:
    """Begin an order; a `key` that has been used begins nothing."""

    order: Order
    key: str | None = None


@frozen
class EventHeard:
    """A verified feedback or result event."""

    event: Event


@frozen
class AboutOrder:
    """News of one order. `done` are the outbox rows that it answers."""

    order: JobId
    news: News
    done: tuple[int, ...] = ()


OrderMail: TypeAlias = NewOrder | EventHeard | AboutOrder

# What the desk tells whoever watches; it may be missed.


@frozen
class OrderChanged:
    """An order has a new state, stored."""

    order: Order
    state: OrderState

    @property
    def order_id(self) -> JobId:
        return self.order.id


@frozen
class PartialHeard:
    """A provider has published a piece of the answer; only for showing."""

    order_id: JobId
    provider: PublicKey
    text: str
    seq: int | None = None  # its place among its fellows, from 0; strangers leave it out


@frozen
class StatusHeard:
    """A provider says how it is getting on; only for showing."""

    order_id: JobId
    provider: PublicKey
    status: str
    text: str


@frozen
class OfferRefused:
    """An offer that we will not pay, and why; only for showing."""

    order_id: JobId
    provider: PublicKey
    reason: str


@frozen
class OfferDoubted:
    """An offer that we may pay, and why one might rather not; only for showing."""

    order_id: JobId
    provider: PublicKey
    reason: str


Progress: TypeAlias = OrderChanged | PartialHeard | StatusHeard | OfferRefused | OfferDoubted
