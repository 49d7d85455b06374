"""An order in each of its states."""

from typing import Final

from attrs import evolve

from pylon.model import order as orders
from pylon.model.ids import EventId, NodeKey, PaymentHash, Preimage, PublicKey
from pylon.model.money import Msat
from pylon.model.order import Cause, Offer, Order, OrderState
from pylon.wire import entities
from tests.adapters.stores import samples

SELLER: Final = PublicKey("ab" * 32)
NPUB: Final = entities.npub(SELLER)
RESULT: Final = EventId("ef" * 32)
PREIMAGE: Final = Preimage("cd" * 32)
OFFER: Final = Offer(
    provider=SELLER,
    feedback=EventId("01" * 32),
    amount=Msat(12_000),
    bolt11="lnbcrt120n1...",
    payment_hash=PaymentHash("23" * 32),
    node_key=NodeKey("02" * 33),
    expires_at=samples.NOW + 600,
)
ANSWER: Final = orders.Answer(RESULT, SELLER)
FEE: Final = Msat(101)
JOB: Final = f"{1:064x}"
ORDER: Final[Order] = evolve(
    samples.order(1), request=evolve(samples.event(1), tags=(("i", "What is 2+2?", "text"),))
)
DONE: Final = orders.Done(ANSWER, OFFER, PREIMAGE, FEE)
DISPUTED: Final = orders.Disputed(OFFER, PREIMAGE, FEE, "paid, and not answered in time")
STATES: Final[tuple[OrderState, ...]] = (
    orders.Draft(),
    orders.Published((OFFER,)),
    orders.Chosen(OFFER),
    orders.Reserving(OFFER),
    orders.Paying(OFFER),
    orders.Unknown(OFFER, samples.NOW),
    orders.Paid(OFFER, PREIMAGE, FEE),
    DONE,
    orders.Declined("not approved", Cause.PERSON),
    orders.NotServed("no provider answered in time", Cause.TIME),
    DISPUTED,
    orders.Withdrawn(),
)
