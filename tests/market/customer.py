"""A customer that follows a script: it says what the test says, and pays what it is told to."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import trio
from attrs import define, field

from pylon.adapters.keys import LocalSigner
from pylon.config import Config
from pylon.model.event import Event
from pylon.model.ids import JobId
from pylon.model.job import Encryption, FeedbackStatus, JobInput
from pylon.model.money import Msat, PayMode
from pylon.model.reply import Feedback, Result
from pylon.model.wallet import IssuedInvoice, PaymentResult, PaymentSettled
from pylon.wire import jobs, locked
from tests.market.backend import ScriptedBackend
from tests.market.nodes import BUYER, FUNDS, SELLER, NodeHome, Seller, node, selling
from tests.market.world import World, open_world
from tests.nostr import keys

PATIENCE = 20.0  # seconds a payment is waited for
FEE = Msat(5_000)  # most to pay for a payment


@define(eq=False)
class Customer:
    """Somebody with a key, a wallet and a relay."""

    world: World
    number: int = BUYER
    signer: LocalSigner = field(init=False)
    wallet: Any = field(init=False)
    _asked: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.signer = LocalSigner(keys(self.number))
        self.wallet = self.world.ledger.wallet(keys(self.number))

    async def asks(self, seller: NodeHome, *pay: PayMode, text: str = "") -> Event:
        """Publish a request, each another one; without modes it is a stranger's."""
        self._asked += 1
        draft = jobs.write_request(
            5050,
            now=self.world.now(),
            inputs=(JobInput(text or f"What is {self._asked}+2?"),),
            providers=(seller.key,),
            pay=pay or None,
        )
        request = self.signer.sign(draft)
        await self.world.publish(request)
        return request

    async def hears(self, request: Event, status: FeedbackStatus) -> Feedback:
        """Wait for feedback on a request."""
        while True:
            for event in await self._about(request, 7000):
                feedback = jobs.read_feedback(event)
                if feedback.status == status:
                    return feedback
            await trio.sleep(0.1)

    async def gets(self, request: Event) -> Result:
        """Wait for the result, as far as it can be read without paying."""
        while not (found := await self._about(request, request.kind + 1000)):  # noqa: ASYNC110 - a relay tells of nothing unasked
            await trio.sleep(0.1)
        (event,) = found
        is_hidden = jobs.encryption_of(event) is not Encryption.NONE
        hidden = self.signer.decrypt(event.content, event.pubkey) if is_hidden else None
        return jobs.read_result(event, hidden)

    async def pays(self, bolt11: str | None) -> PaymentResult:
        """Pay, and wait for what comes of it, but not for ever."""
        assert bolt11 is not None
        result: PaymentResult = await self.wallet.pay(
            bolt11, max_fee=FEE, deadline_seconds=PATIENCE
        )
        return result

    async def paid(self, bolt11: str | None) -> PaymentSettled:
        result = await self.pays(bolt11)
        assert isinstance(result, PaymentSettled), result
        return result

    def opens(self, result: Result, payment: PaymentSettled) -> str:
        """Open a locked result with what the payment has proved."""
        assert result.locked is not None
        return locked.unlock(
            result.content,
            payment.preimage,
            result.locked,
            job=result.job,
            provider=result.provider,
        )

    async def wants_back(self, request: Event, seller: NodeHome, invoice: IssuedInvoice) -> Event:
        """Send an invoice for what is owed."""
        content = self.signer.encrypt(jobs.hide_refund(invoice), seller.key)
        draft = jobs.write_refund(
            JobId(request.id),
            seller.key,
            content,
            now=self.world.now(),
            expires_at=invoice.expires_at,
        )
        event = self.signer.sign(draft)
        await self.world.publish(event)
        return event

    async def asks_back(
        self, request: Event, seller: NodeHome, amount: Msat, *, key: str = "refund"
    ) -> IssuedInvoice:
        """Make an invoice for what is owed, and send it."""
        invoice: IssuedInvoice = await self.wallet.make_invoice(
            amount, description="a refund", expiry_seconds=3_600, idempotency_key=key
        )
        await self.wants_back(request, seller, invoice)
        return invoice

    async def calls_off(self, request: Event) -> None:
        draft = jobs.write_cancel(JobId(request.id), request.kind, now=self.world.now())
        await self.world.publish(self.signer.sign(draft))

    async def _about(self, request: Event, kind: int) -> list[Event]:
        return await self.world.published(kinds=(kind,), tags={"e": (request.id,)})


@asynccontextmanager
async def one_customer(
    backend: ScriptedBackend | None = None, *, seller: Config | None = None
) -> AsyncGenerator[tuple[World, Seller, Customer], None]:
    """Open a market with one provider, and one customer that does nothing by itself."""
    async with open_world(seconds=10_000) as world:
        customer = Customer(world)
        await customer.wallet.fund(FUNDS)
        async with selling(node(world, SELLER, seller), backend) as sold:
            yield world, sold, customer
