"""A provider that says what it likes: it signs anything, and takes money for it."""

from hashlib import sha256
from typing import Any

from attrs import define, evolve

from pylon.adapters.keys import LocalSigner
from pylon.adapters.lightning.ledger.wallet import LedgerWallet
from pylon.model.event import Event
from pylon.model.ids import JobId, PaymentHash, Preimage, PublicKey
from pylon.model.job import FeedbackStatus
from pylon.model.money import Msat, PayMode
from pylon.model.order import Order
from pylon.model.reply import Locked
from pylon.model.wallet import IssuedInvoice
from pylon.wire import jobs, locked
from tests.market.nodes import RIVAL
from tests.market.world import World
from tests.nostr import keys

PRICE = Msat(12_000)
PREIMAGE = Preimage("07" * 32)
HASH = PaymentHash(sha256(bytes.fromhex(PREIMAGE)).hexdigest())


@define(eq=False)
class Liar:
    """Knows the protocol well, and uses it against whoever believes too much."""

    world: World
    number: int = RIVAL

    @property
    def key(self) -> PublicKey:
        return keys(self.number).public_key

    @property
    def wallet(self) -> LedgerWallet:
        return self.world.ledger.wallet(keys(self.number))

    @property
    def signer(self) -> LocalSigner:
        return LocalSigner(keys(self.number))

    async def invoice(self, preimage: Preimage = PREIMAGE, **terms: Any) -> IssuedInvoice:
        """Make an ordinary invoice over a preimage of its choice."""
        how: dict[str, Any] = {"description": "work", "expiry_seconds": 600} | terms
        return await self.wallet.make_invoice(PRICE, preimage=preimage, **how)

    async def hold_invoice(self) -> IssuedInvoice:
        return await self.wallet.make_hold_invoice(
            HASH, PRICE, description="work", expiry_seconds=600, hold_seconds=900
        )

    def locked_result(
        self,
        asked: Order | Event,
        text: str = "four",
        *,
        invoice: IssuedInvoice | None = None,
        mode: PayMode = PayMode.LOCKED,
        lock: Locked | None = None,
        payload: str | None = None,
    ) -> Event:
        """Sign a locked result, true but for what is given."""
        request = asked if isinstance(asked, Event) else asked.request
        job = JobId(request.id)
        if payload is None:
            payload = locked.lock(text, PREIMAGE, job=job, provider=self.key, nonce=bytes(12))
        draft = jobs.write_result(
            request,
            self.signer.encrypt(payload, request.pubkey),
            now=self.world.now(),
            amount=None if invoice is None else invoice.amount,
            bolt11=None if invoice is None else invoice.bolt11,
            mode=mode,
            encrypted=True,
            locked=lock or locked.describe(text, PREIMAGE),
        )
        return self.signer.sign(draft)

    def offer(self, order: Order, invoice: IssuedInvoice, mode: PayMode) -> Event:
        """Demand to be paid before the work."""
        draft = jobs.write_feedback(
            order.request,
            FeedbackStatus.PAYMENT_REQUIRED,
            now=self.world.now(),
            invoice=invoice,
            mode=mode,
        )
        return self.signer.sign(draft)

    def error(self, order: Order, *, refund: Msat) -> Event:
        """Say that nothing will come of it, and what will be given back."""
        draft = jobs.write_feedback(
            order.request,
            FeedbackStatus.ERROR,
            now=self.world.now(),
            text="no memory",
            refund=refund,
        )
        return self.signer.sign(draft)

    def result(self, order: Order, text: str) -> Event:
        """Answer in clear."""
        return self.signer.sign(jobs.write_result(order.request, text, now=self.world.now()))


def not_that(lock: Locked) -> Locked:
    """Promise another text."""
    return evolve(lock, digest=sha256(b"a long and wise answer").hexdigest())
