"""Small values for the stores to hold."""

from typing import TypeAlias

from pylon.model.earning import Earning
from pylon.model.event import Event
from pylon.model.ids import EventId, JobId, PaymentHash, PublicKey
from pylon.model.inference import Message, Prompt
from pylon.model.job import Encryption, Job, JobState, Settled, Working
from pylon.model.money import Msat, Network, PayMode
from pylon.model.order import Order, OrderState
from pylon.ports.records import Change, NewRow

JobChange: TypeAlias = Change[Job, JobState]
OrderChange: TypeAlias = Change[Order, OrderState]

NOW = 1_700_000_000
WORKING = Working(deadline=NOW + 60)


def event(n: int, *, content: str = "2+2?") -> Event:
    return Event(
        id=EventId(f"{n:064x}"),
        pubkey=PublicKey(f"{n % 3:064x}"),
        created_at=NOW,
        kind=5050,
        tags=(("i", 'naïve "quotes"\n\0', "text"), ("bid", "1000")),
        content=content,
        sig="5" * 128,
    )


def job_id(n: int) -> JobId:
    return JobId(event(n).id)


def settled(n: int) -> Settled:
    return Settled(event(n).id, paid=payment_hash(n))


def payment_hash(n: int) -> PaymentHash:
    return PaymentHash(f"{n:064x}")


def job(n: int) -> Job:
    request = event(n)
    return Job(
        id=JobId(request.id),
        request=request,
        prompt=Prompt((Message("user", "2+2?"),), max_tokens=16, stop=("\n",), temperature=0.5),
        backend="embedded",
        model="smollm2",
        mode=PayMode.PREPAY,
        price=Msat(12_000),
        encryption=Encryption.NIP44,
        accepted_at=NOW,
        offer_seconds=60,
        work_seconds=60,
    )


def order(n: int) -> Order:
    request = event(n)
    return Order(
        id=JobId(request.id),
        request=request,
        provider=None,
        max_price=Msat(20_000),
        max_fee=Msat(1_000),
        network=Network.REGTEST,
        auto_pay=True,
        opened_at=NOW,
        offer_seconds=5,
        deadline=NOW + 600,
    )


def begin(
    n: int,
    *,
    state: JobState = WORKING,
    peer: str = "alice",
    due: int | None = None,
    acts: tuple[NewRow, ...] = (),
    key: str | None = None,
    now: int = NOW,
) -> JobChange:
    return Change(job_id(n), state, now, facts=job(n), peer=peer, due=due, acts=acts, key=key)


def end(n: int, *, now: int = NOW + 1, done: tuple[int, ...] = ()) -> JobChange:
    return Change(job_id(n), settled(n), now, final=True, done=done)


def act(desk: str, body: str = "{}") -> NewRow:
    return NewRow(desk, "Run", body)


def earning(n: int, *, at: int = NOW, amount: int = 12_000) -> Earning:
    return Earning(
        payment_hash=payment_hash(n),
        job=job_id(n),
        customer=PublicKey("c" * 64),
        kind=5050,
        backend="embedded",
        amount=Msat(amount),
        at=at,
    )
