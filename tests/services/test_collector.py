"""What is owed is asked for with one invoice an attempt, and is back when the wallet says so."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from pylon.adapters.memory.records import MemoryRecords
from pylon.core.order_machine import (
    CheckRefund,
    MakeRefundInvoice,
    News,
    RefundArrived,
    RefundInvoiceClosed,
    RefundInvoiceImpossible,
    RefundInvoiceMade,
)
from pylon.core.order_mail import AboutOrder, OrderMail
from pylon.errors import Misconfigured, WalletUnavailable
from pylon.model.ids import PaymentHash
from pylon.model.money import Msat
from pylon.model.order import Order, OrderState, Withdrawn
from pylon.model.wallet import InvoiceState, InvoiceStatus, IssuedInvoice
from pylon.ports.channels import Hint
from pylon.services.collector import Collector
from tests.adapters.stores.samples import order
from tests.market.actors import step, working

ORDER = order(1)
HASH = PaymentHash("ab" * 32)
INVOICE = IssuedInvoice("lnbcrt120n1ours", HASH, Msat(12_000), 0, 86_400)
MAKE = MakeRefundInvoice(Msat(12_000), 2, 86_400)


class Till:
    """A wallet that receives; its next words are given."""

    def __init__(self, *says: Any) -> None:
        self.says = list(says)
        self.asked: list[dict[str, Any]] = []

    async def make_invoice(self, amount: Msat, **terms: Any) -> IssuedInvoice:
        self.asked.append({"amount": amount} | terms)
        invoice: IssuedInvoice = await self._say()
        return invoice

    async def lookup(self, payment_hash: PaymentHash) -> InvoiceStatus | None:
        assert payment_hash == HASH
        status: InvoiceStatus | None = await self._say()
        return status

    async def _say(self) -> Any:
        await trio.lowlevel.checkpoint()
        word = self.says.pop(0)
        if isinstance(word, Exception):
            raise word
        return word


async def told(till: Till, act: MakeRefundInvoice | CheckRefund) -> News | None:
    """Return the news of an act; None where it is dropped without any."""
    records: MemoryRecords[Order, OrderState] = MemoryRecords()
    await records.save([step(ORDER, Withdrawn(), act, begins=True)])
    mail_in, mail = trio.open_memory_channel[OrderMail](9)
    wallet: Any = till
    collector = Collector(records, {ORDER.id}, wallet, Hint(), mail_in)
    news: OrderMail | None = None
    async with working(collector.run):
        with trio.move_on_after(30):
            news = await mail.receive()
    if news is None:
        assert await records.outbox("collector") == []
        return None
    assert isinstance(news, AboutOrder)
    assert (news.order, news.done) == (ORDER.id, (1,))
    return news.news


async def test_an_invoice_is_made_once_an_attempt(autojump_clock: MockClock) -> None:
    till = Till(INVOICE)
    assert await told(till, MAKE) == RefundInvoiceMade(INVOICE)
    (asked,) = till.asked
    assert asked["amount"] == 12_000
    assert asked["expiry_seconds"] == 86_400
    assert asked["idempotency_key"] == f"refund 2 of {ORDER.id}"
    assert ORDER.id in asked["description"]


async def test_a_wallet_that_is_away_is_asked_for_the_invoice_again(
    autojump_clock: MockClock,
) -> None:
    till = Till(WalletUnavailable("away"), INVOICE)
    assert await told(till, MAKE) == RefundInvoiceMade(INVOICE)
    first, second = till.asked
    assert first == second


async def test_a_wallet_that_cannot_receive_says_so(autojump_clock: MockClock) -> None:
    news = await told(Till(Misconfigured("it only pays")), MAKE)
    assert news == RefundInvoiceImpossible("it only pays")


@pytest.mark.parametrize(
    ("status", "news"),
    [
        (InvoiceState.SETTLED, RefundArrived(HASH)),
        (InvoiceState.EXPIRED, RefundInvoiceClosed(HASH)),
        (InvoiceState.CANCELLED, RefundInvoiceClosed(HASH)),
        (None, RefundInvoiceClosed(HASH)),
        (InvoiceState.OPEN, None),
        (InvoiceState.ACCEPTED, None),
    ],
)
async def test_a_refund_is_back_when_the_wallet_says_that_it_is(
    autojump_clock: MockClock, status: InvoiceState | None, news: News | None
) -> None:
    word = None if status is None else InvoiceStatus(HASH, status)
    assert await told(Till(word), CheckRefund(HASH)) == news


async def test_a_wallet_that_is_away_says_nothing_about_a_refund(
    autojump_clock: MockClock,
) -> None:
    assert await told(Till(WalletUnavailable("away")), CheckRefund(HASH)) is None
