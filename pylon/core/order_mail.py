"""What reaches the order desk: events heard from providers, and news of orders it drives."""

from typing import TypeAlias

from attrs import frozen

from pylon.core.order_machine import News
from pylon.model.event import Event
from pylon.model.ids import JobId
from pylon.model.order import Order


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
