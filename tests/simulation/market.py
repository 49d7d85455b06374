"""A market with everybody in it."""

from attrs import define, field

from pylon.model.order import Order, OrderState, offer_of
from pylon.ports.records import Record
from tests.market.nodes import NodeHome, open_rows
from tests.market.world import World
from tests.simulation.crooks import Crook
from tests.simulation.people import Customer, Vendor
from tests.simulation.plan import Plan
from tests.simulation.record import Chronicle
from tests.simulation.sky import Sky


@define(eq=False)
class Market:
    """Everything in one run."""

    plan: Plan
    world: World
    sky: Sky
    chronicle: Chronicle
    vendors: list[Vendor] = field(factory=list)
    customers: list[Customer] = field(factory=list)
    crooks: list[Crook] = field(factory=list)
    calm: bool = False
    ended_at: float = 0.0

    @property
    def people(self) -> list[Vendor | Customer]:
        """All honest ones."""
        return [*self.vendors, *self.customers]

    @property
    def homes(self) -> list[NodeHome]:
        """Return their homes."""
        return [person.home for person in self.people]

    def is_calm(self) -> bool:
        """Say whether trouble has ended."""
        return self.calm

    def is_honest(self, record: Record[Order, OrderState]) -> bool:
        """Say whether an order was placed with a node of ours."""
        offer = offer_of(record.state)
        return offer is None or offer.provider in {vendor.home.key for vendor in self.vendors}

    async def is_over(self) -> bool:
        """Say whether nobody has anything left to do."""
        for customer in self.customers:
            for trip in customer.trips:
                if not await customer.is_known(trip):
                    return False
        for home in self.homes:
            store = home.store
            if await store.jobs.unfinished() or await store.orders.unfinished():
                return False
            if await open_rows(home) or await store.jobs.in_phases(("Refunding",)):
                return False
            if any(self.is_honest(r) for r in await store.orders.in_phases(("Reclaiming",))):
                return False
        return True
