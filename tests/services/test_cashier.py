"""One invoice a job, whatever the wallet can: made again it is the same, and it ends only once."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from pylon.adapters.keys import LocalSigner
from pylon.adapters.memory.clock import MemoryClock
from pylon.adapters.memory.records import MemoryRecords
from pylon.adapters.memory.wallet import MemoryMarket
from pylon.core.job_machine import (
    CancelInvoice,
    InvoiceClosed,
    InvoiceImpossible,
    InvoiceMade,
    MakeHoldInvoice,
    MakeInvoice,
    News,
    Paid,
    SettleHold,
)
from pylon.core.mail import AboutJob, Mail
from pylon.core.outbox import Entry
from pylon.errors import Misconfigured, WalletUnavailable
from pylon.model.job import Job, JobState, Received
from pylon.model.money import Msat
from pylon.model.wallet import Capabilities, InvoiceState, InvoiceStatus, IssuedInvoice
from pylon.ports.channels import Cell, Hint
from pylon.services.cashier import Cashier
from pylon.wire.bolt11 import decode
from pylon.wire.locked import hash_of
from tests.market.actors import a_paid_job, begun, working
from tests.market.trouble import Trouble
from tests.nostr import NOW, keys

JOB = a_paid_job()
SIGNER = LocalSigner(keys(2))
OURS = SIGNER.preimage(JOB.id)
HASH = hash_of(OURS)
ME = SIGNER.public_key
PRICE = Msat(12_000)
MAKE = MakeInvoice(PRICE, 600)
MAKE_KEYED = MakeInvoice(PRICE, 600, knows_preimage=True)
MAKE_HOLD = MakeHoldInvoice(PRICE, 600, hold_seconds=900)
HOLD, CHOOSE, TELL = (
    Capabilities(hold=True),
    Capabilities(hold=True, chosen_preimage=True),
    Capabilities(tells_preimage=True),
)


def a_wallet(number: int = 2) -> Any:
    return MemoryMarket(MemoryClock(NOW)).wallet(keys(number))


def status(state: InvoiceState) -> InvoiceStatus:
    return InvoiceStatus(HASH, state)


async def news_of(
    *acts: Entry, wallet: Any, able: Capabilities = CHOOSE, within: float = 1_000
) -> list[News]:
    """Let a cashier carry acts out, and return what it tells of each, in the order it tells."""
    records: MemoryRecords[Job, JobState] = MemoryRecords()
    await records.save([begun(JOB, Received(), *acts)])
    mail_in, mail = trio.open_memory_channel[Mail](9)
    cashier = Cashier(records, wallet, Cell(able), SIGNER.preimage, ME, Hint(), mail_in)
    told: list[News] = []
    async with working(cashier.run):
        with trio.move_on_after(within):
            for _ in acts:
                news = await mail.receive()
                assert isinstance(news, AboutJob)
                assert news.job == JOB.id
                told.append(news.news)
    return told


async def made_by(act: Entry, wallet: Any, able: Capabilities = CHOOSE) -> IssuedInvoice:
    (news,) = await news_of(act, wallet=wallet, able=able)
    assert isinstance(news, InvoiceMade), news
    return news.invoice


@pytest.mark.parametrize(
    ("act", "able"),
    [(MAKE_KEYED, CHOOSE), (MAKE_KEYED, HOLD), (MAKE_HOLD, HOLD)],
    ids=["a preimage of our choice", "sold over a hold", "a hold"],
)
async def test_an_invoice_made_again_is_the_same_and_its_preimage_is_known(
    autojump_clock: MockClock, act: Entry, able: Capabilities
) -> None:
    wallet = a_wallet()
    first = await made_by(act, wallet, able)
    assert await made_by(act, wallet, able) == first
    assert (first.preimage, first.payment_hash, first.amount) == (OURS, HASH, PRICE)
    other_wallet = await made_by(act, a_wallet(), able)
    assert other_wallet.payment_hash == HASH, "a lost wallet loses no key"


@pytest.mark.parametrize("act", [MAKE, MAKE_KEYED, MAKE_HOLD])
async def test_an_invoice_says_what_it_is_for_and_whose_it_is(
    autojump_clock: MockClock, act: Entry
) -> None:
    """Signed by our Lightning node, so that nobody else can offer it as its own."""
    invoice = decode((await made_by(act, a_wallet())).bolt11)
    assert invoice.description == f"pylon:{JOB.id}:{ME}"


async def test_the_preimage_that_a_wallet_tells_is_taken(autojump_clock: MockClock) -> None:
    class Telling(Trouble):
        async def make_invoice(self, amount: Msat, **how: Any) -> IssuedInvoice:
            assert how.pop("preimage") is None
            made: IssuedInvoice = await self._port.make_invoice(amount, preimage=OURS, **how)
            return made

    assert (await made_by(MAKE_KEYED, Telling(a_wallet()), TELL)).preimage == OURS


@pytest.mark.parametrize(
    ("able", "reason"),
    [(TELL, "whose preimage we do not have"), (Capabilities(), "keeps preimages to itself")],
    ids=["it said that it tells", "it never does"],
)
async def test_no_result_is_locked_under_a_preimage_that_the_wallet_keeps(
    autojump_clock: MockClock, able: Capabilities, reason: str
) -> None:
    (news,) = await news_of(MAKE_KEYED, wallet=a_wallet(), able=able)
    assert isinstance(news, InvoiceImpossible)
    assert reason in news.reason


async def test_an_invoice_over_another_hash_than_ours_is_none_of_ours(
    autojump_clock: MockClock,
) -> None:
    class Confused(Trouble):
        async def make_hold_invoice(self, _: Any, amount: Msat, **how: Any) -> IssuedInvoice:
            other = hash_of(SIGNER.preimage(a_paid_job(2).id))
            made: IssuedInvoice = await self._port.make_hold_invoice(other, amount, **how)
            return made

    (news,) = await news_of(MAKE_HOLD, wallet=Confused(a_wallet()))
    assert isinstance(news, InvoiceImpossible)


async def test_a_prepaid_job_leaves_the_preimage_to_the_wallet(autojump_clock: MockClock) -> None:
    wallet = a_wallet()
    first = await made_by(MAKE, wallet)
    assert first.preimage is None
    assert first.payment_hash != HASH
    assert await made_by(MAKE, wallet) == first


async def test_a_hold_longer_than_the_wallet_holds_is_impossible(autojump_clock: MockClock) -> None:
    (news,) = await news_of(MakeHoldInvoice(PRICE, 600, hold_seconds=3_601), wallet=a_wallet())
    assert isinstance(news, InvoiceImpossible)
    assert "3,600 s" in news.reason


class Told(Trouble):
    """A wallet that answers to one call with what the test says, in turn."""

    def __init__(self, method: str, *answers: InvoiceStatus | Exception | None) -> None:
        super().__init__(a_wallet())
        self.method, self.answers = method, list(answers)

    def __getattr__(self, name: str) -> Any:
        if name != self.method:
            return super().__getattr__(name)

        async def call(*_: Any) -> InvoiceStatus | None:
            await trio.lowlevel.checkpoint()
            self.calls.append(name)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


SETTLE, CANCEL = SettleHold(OURS), CancelInvoice(HASH)
ENDS = [(SETTLE, "settle_hold"), (CANCEL, "cancel_invoice")]


@pytest.mark.parametrize(("act", "method"), ENDS, ids=["settle", "cancel"])
@pytest.mark.parametrize(
    ("state", "news"),
    [
        (InvoiceState.SETTLED, Paid(HASH)),
        (InvoiceState.CANCELLED, InvoiceClosed(HASH)),
        (InvoiceState.EXPIRED, InvoiceClosed(HASH)),
    ],
)
async def test_what_the_wallet_says_of_an_invoice_is_how_it_has_ended(
    autojump_clock: MockClock, act: Entry, method: str, state: InvoiceState, news: News
) -> None:
    wallet = Told(method, status(state))
    assert await news_of(act, wallet=wallet) == [news]
    assert wallet.calls == [method]


@pytest.mark.parametrize(("act", "method"), ENDS, ids=["settle", "cancel"])
@pytest.mark.parametrize(
    "undecided",
    [
        WalletUnavailable("away"),
        status(InvoiceState.ACCEPTED),
        status(InvoiceState.OPEN),
    ],
    ids=["away", "held still", "open still"],
)
async def test_the_wallet_is_asked_until_money_can_neither_come_nor_go_back(
    autojump_clock: MockClock, act: Entry, method: str, undecided: Any
) -> None:
    wallet = Told(method, undecided, undecided, undecided, status(InvoiceState.SETTLED))
    began = trio.current_time()
    assert await news_of(act, wallet=wallet) == [Paid(HASH)]
    assert len(wallet.calls) == 4
    assert 0 < trio.current_time() - began < 10


async def test_a_wallet_that_cannot_cancel_is_watched_until_the_invoice_is_closed(
    autojump_clock: MockClock,
) -> None:
    """It expires by itself, or what is held goes back by itself; until then money may come."""
    wallet = Told("lookup", *[status(InvoiceState.ACCEPTED)] * 3, status(InvoiceState.CANCELLED))
    wallet.fail("cancel_invoice", *[Misconfigured("it expires by itself")] * 4)
    assert await news_of(CANCEL, wallet=wallet) == [InvoiceClosed(HASH)]
    assert wallet.calls.count("lookup") == 4


@pytest.mark.parametrize(("act", "method"), ENDS, ids=["settle", "cancel"])
async def test_an_invoice_of_another_wallet_is_beyond_us(
    autojump_clock: MockClock, act: Entry, method: str
) -> None:
    wallet = Told("lookup", None)
    wallet.fail(method, Misconfigured("is it the right wallet?"))
    assert await news_of(act, wallet=wallet) == [InvoiceClosed(HASH)]


async def test_a_row_that_the_wallet_cannot_decide_keeps_no_other_waiting(
    autojump_clock: MockClock,
) -> None:
    wallet = Told("settle_hold", WalletUnavailable("this one is stuck"))
    (first,) = await news_of(SETTLE, MAKE_KEYED, wallet=wallet, within=300)
    assert isinstance(first, InvoiceMade)
    assert 5 < wallet.calls.count("settle_hold") < 20, "asked for as long as it takes, at a pace"


async def test_a_wallet_that_hangs_is_asked_again(autojump_clock: MockClock) -> None:
    class Hanging(Trouble):
        async def settle_hold(self, _: Any) -> InvoiceStatus:
            self.calls.append("settle_hold")
            if self.calls == ["settle_hold"]:
                await trio.sleep_forever()
            await trio.lowlevel.checkpoint()
            return status(InvoiceState.SETTLED)

    assert await news_of(SETTLE, wallet=Hanging(a_wallet())) == [Paid(HASH)]
