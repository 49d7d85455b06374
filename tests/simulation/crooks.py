"""Sellers that lie, and customers that waste everybody's time. None of them is a node of ours."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random

import trio
from attrs import define, evolve, field

from pylon.adapters.keys import LocalSigner
from pylon.adapters.lightning.ledger.wallet import LedgerWallet
from pylon.errors import RelayLost
from pylon.model.event import Draft, Event, Tags
from pylon.model.filter import Filter
from pylon.model.ids import EventId, JobId, PaymentHash, Preimage, PublicKey
from pylon.model.invoice import Invoice
from pylon.model.job import FeedbackStatus
from pylon.model.money import Msat, Network, PayMode
from pylon.model.reply import Locked
from pylon.model.wallet import InvoiceState, IssuedInvoice
from pylon.wire import bolt11, jobs, locked
from pylon.wire.frames import Found, Req, Submit, decode_relay, encode
from tests.market.world import World
from tests.nostr import keys
from tests.simulation.chance import stream
from tests.simulation.record import Chronicle

PRICE = Msat(2_000)
EXPIRY_SECONDS = 60
PATIENCE_SECONDS = 120  # how long a crook waits for the money


@define(eq=False)
class Voice:
    """Somebody who speaks and listens at every relay, over lines that lose nothing."""

    world: World
    number: int
    chance: Random
    chronicle: Chronicle
    _said: list[Event] = field(factory=list)

    @property
    def key(self) -> PublicKey:
        return keys(self.number).public_key

    @property
    def signer(self) -> LocalSigner:
        return LocalSigner(keys(self.number))

    @property
    def wallet(self) -> LedgerWallet:
        return self.world.ledger.wallet(keys(self.number))

    async def say(self, draft: Draft) -> None:
        """Sign and publish, where a relay can be reached."""
        await self.repeat(self.signer.sign(draft))

    async def repeat(self, event: Event) -> None:
        for url in self.world.relays:
            with suppress(RelayLost):
                async with self.world.dial(url) as wire:
                    await wire.send([encode(Submit(event))])
                    await wire.receive()

    async def listen(self, hear: Callable[[Event], Awaitable[None]], *kinds: int) -> None:
        """Hear every event of these kinds, each once."""
        known: set[EventId] = set()
        while True:
            with suppress(RelayLost):
                async with self.world.dial(next(iter(self.world.relays))) as wire:
                    await wire.send([encode(Req("all", (Filter(kinds=kinds),)))])
                    while True:
                        for event in map(_event, await wire.receive()):
                            if event is not None and event.id not in known:
                                known.add(event.id)
                                await hear(event)
            await trio.sleep(1)


def _event(text: str) -> Event | None:
    frame = decode_relay(text)
    return frame.event if isinstance(frame, Found) else None


@define(eq=False)
class Crook:
    """A seller that has a trick for every job."""

    voice: Voice
    offers: dict[str, list[Event]] = field(factory=dict)  # others' offers, by job
    tricks: list[str] = field(factory=list)
    _tasks: trio.Nursery = field(init=False)

    async def run(self) -> None:
        async with trio.open_nursery() as self._tasks:
            await self.voice.listen(self._hear, 5050, 5935, 7000)

    async def _hear(self, event: Event) -> None:
        if event.kind == jobs.FEEDBACK_KIND:
            if event.tag("status") == "payment-required" and event.pubkey != self.voice.key:
                self.offers.setdefault(event.tag("e") or "", []).append(event)
            return
        asked = event.tag_values("p")
        if not asked or self.voice.key in asked:
            trick = self.voice.chance.choice(TRICKS)
            self.voice.chronicle.count(f"crook: {trick.__name__}")
            self._tasks.start_soon(trick, self, event)
        elif self.voice.chance.random() < 0.3:
            meddling = self.voice.chance.choice(MEDDLING)
            self.voice.chronicle.count(f"crook: {meddling.__name__}")
            self._tasks.start_soon(meddling, self, event)

    # What they are made of.

    async def invoice(self, job: Event, *, amount: Msat = PRICE) -> IssuedInvoice:
        return await self.voice.wallet.make_invoice(
            amount,
            description=f"pylon:{job.id}",
            expiry_seconds=EXPIRY_SECONDS,
            preimage=self.preimage(),
        )

    async def hold_invoice(self, job: Event) -> tuple[IssuedInvoice, Preimage]:
        preimage = self.preimage()
        made = await self.voice.wallet.make_hold_invoice(
            locked.hash_of(preimage),
            PRICE,
            description=f"pylon:{job.id}",
            expiry_seconds=EXPIRY_SECONDS,
            hold_seconds=600,
        )
        return made, preimage

    def preimage(self) -> Preimage:
        return Preimage(self.voice.chance.randbytes(32).hex())

    async def offer(
        self, job: Event, invoice: IssuedInvoice, mode: PayMode, *, says: Msat | None = None
    ) -> None:
        shown = invoice if says is None else evolve(invoice, amount=says)
        await self.voice.say(
            jobs.write_feedback(
                job, FeedbackStatus.PAYMENT_REQUIRED, now=self.now(), invoice=shown, mode=mode
            )
        )

    async def becomes(self, payment_hash: PaymentHash, *states: InvoiceState) -> bool:
        """Wait for the money; False if it does not come."""
        for _ in range(PATIENCE_SECONDS):
            status = await self.voice.wallet.lookup(payment_hash)
            if status is not None and status.state in states:
                return True
            await trio.sleep(1)
        return False

    async def sell_locked(
        self, job: Event, invoice: IssuedInvoice, payload: str, tag: Locked, mode: PayMode
    ) -> None:
        """Publish a locked result, whatever is in it."""
        await self.voice.say(
            jobs.write_result(
                job,
                self.voice.signer.encrypt(payload, job.pubkey),
                now=self.now(),
                amount=invoice.amount,
                bolt11=invoice.bolt11 if mode is PayMode.LOCKED else None,
                mode=mode,
                encrypted=True,
                locked=tag,
            )
        )

    def lock(self, job: Event, text: str, preimage: Preimage) -> str:
        nonce = self.voice.chance.randbytes(12)
        return locked.lock(text, preimage, job=JobId(job.id), provider=self.voice.key, nonce=nonce)

    def now(self) -> int:
        return self.voice.world.now()


Trick = Callable[[Crook, Event], Awaitable[None]]


async def takes_the_money(crook: Crook, job: Event) -> None:
    await crook.offer(job, await crook.invoice(job), PayMode.PREPAY)


async def settles_early(crook: Crook, job: Event) -> None:
    invoice, preimage = await crook.hold_invoice(job)
    await crook.offer(job, invoice, crook.voice.chance.choice((PayMode.HOLD, PayMode.HOLD_LOCKED)))
    if await crook.becomes(invoice.payment_hash, InvoiceState.ACCEPTED):
        await crook.voice.wallet.settle_hold(preimage)


async def holds_and_says_nothing(crook: Crook, job: Event) -> None:
    invoice, _ = await crook.hold_invoice(job)
    await crook.offer(job, invoice, PayMode.HOLD)


async def gives_back_what_it_held(crook: Crook, job: Event) -> None:
    invoice, _ = await crook.hold_invoice(job)
    await crook.offer(job, invoice, PayMode.HOLD)
    if await crook.becomes(invoice.payment_hash, InvoiceState.ACCEPTED):
        await crook.voice.wallet.cancel_invoice(invoice.payment_hash)


async def locks_garbage(crook: Crook, job: Event) -> None:
    invoice = await crook.invoice(job)
    tag = Locked(invoice.payment_hash, "ab" * 32)
    await crook.sell_locked(job, invoice, "Z" * 80, tag, PayMode.LOCKED)


async def locks_another_text(crook: Crook, job: Event) -> None:
    invoice = await crook.invoice(job)
    assert invoice.preimage is not None
    payload = crook.lock(job, "not what was promised", invoice.preimage)
    tag = Locked(invoice.payment_hash, "cd" * 32)
    await crook.sell_locked(job, invoice, payload, tag, PayMode.LOCKED)


async def locks_under_another_key(crook: Crook, job: Event) -> None:
    invoice, other = await crook.invoice(job), crook.preimage()
    payload = crook.lock(job, "never to be read", other)
    tag = locked.describe("never to be read", other)
    await crook.sell_locked(job, invoice, payload, tag, PayMode.LOCKED)


async def locks_nonsense_for_held_money(crook: Crook, job: Event) -> None:
    invoice, preimage = await crook.hold_invoice(job)
    await crook.offer(job, invoice, PayMode.HOLD_LOCKED)
    if await crook.becomes(invoice.payment_hash, InvoiceState.ACCEPTED):
        tag = Locked(invoice.payment_hash, "ef" * 32)
        await crook.sell_locked(job, invoice, "Z" * 80, tag, PayMode.HOLD_LOCKED)
        await trio.sleep(1)
        await crook.voice.wallet.settle_hold(preimage)


async def copies_an_offer(crook: Crook, job: Event) -> None:
    """Offer somebody else's invoice as its own."""
    for _ in range(10):
        for event in crook.offers.get(job.id, ()):
            fields = [tag for tag in event.tags if tag[0] not in ("e", "p")]
            tags: Tags = (*fields, ("e", job.id), ("p", job.pubkey))
            await crook.voice.say(Draft(7000, crook.now(), tags, ""))
            return
        await trio.sleep(0.5)


async def says_another_amount(crook: Crook, job: Event) -> None:
    invoice = await crook.invoice(job, amount=Msat(50_000))
    await crook.offer(job, invoice, PayMode.PREPAY, says=PRICE)


async def wants_real_money(crook: Crook, job: Event) -> None:
    await crook.offer(job, _forged(crook, job, network=Network.MAINNET), PayMode.PREPAY)


async def sells_what_has_expired(crook: Crook, job: Event) -> None:
    old = crook.now() - 2 * EXPIRY_SECONDS
    await crook.offer(job, _forged(crook, job, created_at=old), PayMode.PREPAY)


async def promises_a_refund(crook: Crook, job: Event) -> None:
    """Take the money, promise it back, and keep it."""
    invoice = await crook.invoice(job)
    await crook.offer(job, invoice, PayMode.PREPAY)
    if await crook.becomes(invoice.payment_hash, InvoiceState.SETTLED):
        await crook.voice.say(
            jobs.write_feedback(
                job, FeedbackStatus.ERROR, now=crook.now(), text="sorry", refund=PRICE
            )
        )


async def answers_a_job_of_others(crook: Crook, job: Event) -> None:
    await trio.sleep(crook.voice.chance.uniform(0, 5))
    await crook.voice.say(jobs.write_result(job, "a lie", now=crook.now()))


async def ends_a_job_of_others(crook: Crook, job: Event) -> None:
    await trio.sleep(crook.voice.chance.uniform(0, 5))
    await crook.voice.say(
        jobs.write_feedback(job, FeedbackStatus.ERROR, now=crook.now(), text="no", refund=PRICE)
    )


async def cancels_a_job_of_others(crook: Crook, job: Event) -> None:
    await trio.sleep(crook.voice.chance.uniform(0, 5))
    await crook.voice.say(jobs.write_cancel(JobId(job.id), job.kind, now=crook.now()))


async def asks_for_the_money_of_others(crook: Crook, job: Event) -> None:
    """Send the seller of somebody else's job an invoice for a refund."""
    await trio.sleep(crook.voice.chance.uniform(0, 60))
    invoice = await crook.invoice(job)
    for seller in job.tag_values("p"):
        hidden = crook.voice.signer.encrypt(jobs.hide_refund(invoice), PublicKey(seller))
        await crook.voice.say(
            jobs.write_refund(
                JobId(job.id),
                PublicKey(seller),
                hidden,
                now=crook.now(),
                expires_at=invoice.expires_at,
            )
        )


async def replays_a_job(crook: Crook, job: Event) -> None:
    await trio.sleep(crook.voice.chance.uniform(0, 60))
    await crook.voice.repeat(job)


def _forged(
    crook: Crook, job: Event, *, network: Network = Network.REGTEST, created_at: int | None = None
) -> IssuedInvoice:
    made = crook.now() if created_at is None else created_at
    invoice = Invoice(
        network=network,
        amount=PRICE,
        created_at=made,
        payment_hash=PaymentHash(crook.voice.chance.randbytes(32).hex()),
        payment_secret="5e" * 32,
        payee=keys(crook.voice.number).node_key,
        description=f"pylon:{job.id}",
        expiry_seconds=EXPIRY_SECONDS,
    )
    text = bolt11.encode(invoice, keys(crook.voice.number))
    return IssuedInvoice(text, invoice.payment_hash, PRICE, made, invoice.expires_at)


TRICKS: tuple[Trick, ...] = (
    takes_the_money,
    settles_early,
    holds_and_says_nothing,
    gives_back_what_it_held,
    locks_garbage,
    locks_another_text,
    locks_under_another_key,
    locks_nonsense_for_held_money,
    copies_an_offer,
    says_another_amount,
    wants_real_money,
    sells_what_has_expired,
    promises_a_refund,
)
MEDDLING: tuple[Trick, ...] = (
    answers_a_job_of_others,
    ends_a_job_of_others,
    cancels_a_job_of_others,
    asks_for_the_money_of_others,
    replays_a_job,
    copies_an_offer,
)


def crook(world: World, number: int, seed: int, chronicle: Chronicle) -> Crook:
    """Make one; `number` says whose key it has."""
    return Crook(Voice(world, number, stream(seed, f"crook {number}"), chronicle))
