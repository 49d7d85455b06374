"""An order in each of its states."""

from typing import Final

from attrs import evolve

from pylon.model import order as orders
from pylon.model.ids import EventId, NodeKey, PaymentHash, Preimage, PublicKey
from pylon.model.money import Msat, PayMode
from pylon.model.order import Cause, Offer, Order, OrderState
from pylon.model.reply import Locked
from pylon.model.wallet import IssuedInvoice
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
LOCKED_ANSWER: Final = orders.Answer(RESULT, SELLER, Locked(OFFER.payment_hash, "67" * 32))
HELD_OFFER: Final = evolve(OFFER, mode=PayMode.HOLD_LOCKED)
FEE: Final = Msat(101)
JOB: Final = f"{1:064x}"
ORDER: Final[Order] = evolve(
    samples.order(1), request=evolve(samples.event(1), tags=(("i", "What is 2+2?", "text"),))
)
DONE: Final = orders.Done(ANSWER, OFFER, PREIMAGE, FEE)
DISPUTED: Final = orders.Disputed(OFFER, PREIMAGE, FEE, "paid, and not answered in time")
FAILED: Final = "paid, then refused: no memory"
REFUND: Final = IssuedInvoice(
    "lnbcrt120n1ours...", PaymentHash("45" * 32), Msat(12_000), samples.NOW, samples.NOW + 86_400
)
CHEATED: Final = orders.Cheated(
    OFFER, PREIMAGE, FEE, LOCKED_ANSWER, "the preimage does not open the locked result"
)
RECLAIMING: Final = orders.Reclaiming(
    OFFER, PREIMAGE, FEE, FAILED, Msat(12_000), invoice=REFUND, asked_at=samples.NOW
)
REFUNDED: Final = orders.Refunded(OFFER, PREIMAGE, FEE, FAILED, Msat(12_000), REFUND.payment_hash)
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
    CHEATED,
    RECLAIMING,
    REFUNDED,
    orders.Withdrawn(),
)
