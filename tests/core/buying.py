"""An order and its offers, in a few words: for tests of the machine that buys."""

from pylon.core.order_machine import News, Step, advance, begin
from pylon.model.event import Event
from pylon.model.ids import EventId, JobId, NodeKey, PaymentHash, Preimage, PublicKey
from pylon.model.money import Msat, Network, PayMode
from pylon.model.order import Answer, Offer, Order, OrderState
from pylon.model.reply import Locked

START = 1_000
DEADLINE = START + 300
FEE = Msat(5_000)
PREIMAGE = Preimage("ee" * 32)
PAID_MODES = (PayMode.HOLD_LOCKED, PayMode.LOCKED, PayMode.HOLD, PayMode.PREPAY)
ANN, BOB, CID = (PublicKey(name * 32) for name in ("aa", "bb", "cc"))


def an_order(
    *,
    provider: PublicKey | None = None,
    auto_pay: bool = True,
    accepts: tuple[PayMode, ...] = PAID_MODES,
) -> Order:
    request = Event(EventId("request"), PublicKey("dd" * 32), START, 5050, (), "", "")
    return Order(
        id=JobId(request.id),
        request=request,
        provider=provider,
        max_price=Msat(50_000),
        max_fee=FEE,
        network=Network.REGTEST,
        auto_pay=auto_pay,
        opened_at=START,
        offer_seconds=2,
        deadline=DEADLINE,
        accepts=accepts,
    )


def an_offer(
    provider: PublicKey,
    sats: int = 10,
    *,
    mode: PayMode = PayMode.PREPAY,
    copy_of: PublicKey | None = None,
    expires: int = 600,
) -> Offer:
    """Make an offer; one in the mode `locked` brings its answer."""
    return Offer(
        provider=provider,
        feedback=EventId(f"offer of {provider}"),
        amount=Msat(sats * 1000),
        bolt11=f"lnbcrt of {copy_of or provider}",
        payment_hash=PaymentHash(copy_of or provider),
        node_key=NodeKey("02" + provider),
        expires_at=START + expires,
        mode=mode,
        answer=locked_by(provider) if mode is PayMode.LOCKED else None,
    )


def answer_of(provider: PublicKey) -> Answer:
    return Answer(EventId(f"result of {provider}"), provider)


def locked_by(provider: PublicKey, *, key_of: PublicKey | None = None) -> Answer:
    """Make an answer that opens with what is paid to its provider, or to another one."""
    locked = Locked(PaymentHash(key_of or provider), "digest")
    return Answer(EventId(f"locked result of {provider}"), provider, locked)


def live(order: Order, *news: News, state: OrderState | None = None, now: int = START) -> Step:
    """Tell an order the news, all at `now`; return the last step."""
    step = begin() if state is None else Step(state)
    for item in news:
        step = advance(order, step.state, item, now)
    return step


A, B, C = an_offer(ANN, 10), an_offer(BOB, 20), an_offer(CID, 30)
