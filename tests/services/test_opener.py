"""What was paid for is opened, and held against what was promised."""

import trio
from attrs import evolve
from trio.testing import MockClock

from pylon.adapters.keys import LocalSigner
from pylon.adapters.memory.records import MemoryRecords
from pylon.core.order_machine import News, NotOpened, Open, Opened
from pylon.core.order_mail import AboutOrder, OrderMail
from pylon.model.event import Event
from pylon.model.ids import JobId, Preimage
from pylon.model.order import Order, OrderState, Withdrawn
from pylon.ports.channels import Hint
from pylon.services.opener import Opener
from pylon.wire import jobs, locked
from tests.adapters.stores.samples import order
from tests.market.actors import step, working
from tests.nostr import NOW, keys, note

BUYER, SELLER = 1, 2
PREIMAGE = Preimage("07" * 32)
REQUEST = note("2+2?", kind=5050, by=BUYER)
ORDER = evolve(order(1), id=JobId(REQUEST.id), request=REQUEST)


def sealed(text: str) -> Event:
    """Publish a locked result, encrypted to the buyer."""
    provider, seller = keys(SELLER).public_key, LocalSigner(keys(SELLER))
    payload = locked.lock(text, PREIMAGE, job=ORDER.id, provider=provider, nonce=bytes(12))
    hidden, lock = seller.encrypt(payload, REQUEST.pubkey), locked.describe(text, PREIMAGE)
    return seller.sign(jobs.write_result(REQUEST, hidden, now=NOW, encrypted=True, locked=lock))


async def told(result: Event, preimage: Preimage = PREIMAGE) -> News:
    """Return the news of opening a result."""
    records: MemoryRecords[Order, OrderState] = MemoryRecords()
    act = Open(result.id, preimage)
    begun = step(ORDER, Withdrawn(), act, begins=True)
    await records.save([evolve(begun, evidence=(note("other"), result))])
    mail_in, mail = trio.open_memory_channel[OrderMail](9)
    opener = Opener(records, {ORDER.id}, LocalSigner(keys(BUYER)), Hint(), mail_in)
    async with working(opener.run):
        news = await mail.receive()
    assert isinstance(news, AboutOrder)
    assert (news.order, news.done) == (ORDER.id, (1,))
    return news.news


async def test_the_preimage_opens_the_result(autojump_clock: MockClock) -> None:
    result = sealed("four")
    assert await told(result) == Opened(result.id)


async def test_another_preimage_opens_nothing(autojump_clock: MockClock) -> None:
    result = sealed("four")
    news = await told(result, Preimage("08" * 32))
    assert news == NotOpened(result.id, "the preimage does not open the locked result")


async def test_an_answer_of_nothing_is_none(autojump_clock: MockClock) -> None:
    result = sealed("  ")
    assert await told(result) == NotOpened(result.id, "the locked answer is empty")


async def test_what_cannot_even_be_decrypted_is_not_opened(autojump_clock: MockClock) -> None:
    result = sealed("four")
    draft = jobs.write_result(REQUEST, "no ciphertext", now=NOW, encrypted=True)
    broken = evolve(LocalSigner(keys(SELLER)).sign(draft), id=result.id)
    assert isinstance(await told(broken), NotOpened)
