"""Channels beyond plain ones: nothing that must be delivered is lost, no wake-up is missed."""

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from pylon.adapters.memory.clock import MemoryClock
from pylon.ports.channels import Hint, Inbox, drain, put


async def test_a_hint_given_before_anybody_waits_is_not_lost() -> None:
    hint = Hint()
    hint.poke()
    hint.poke()
    with trio.fail_after(1):
        await hint.wait()
    with trio.move_on_after(0) as waiting:
        await hint.wait()
    assert waiting.cancelled_caught, "two pokes are one hint"


async def test_waiting_for_a_hint_ends_when_it_comes_or_when_it_is_time(
    autojump_clock: MockClock,
) -> None:
    hint, clock = Hint(), MemoryClock()
    began = clock.now()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hint.wait_until, began + 100, clock)
        await trio.sleep(7)
        hint.poke()
    assert clock.now() == began + 7
    await hint.wait_until(began + 30, clock)
    assert clock.now() == began + 30
    await hint.wait_until(began, clock)
    assert clock.now() == began + 30, "a time that has passed is not waited for"
    hint.poke()
    await hint.wait_until(None, clock)
    with trio.move_on_after(1_000) as waiting:
        await hint.wait_until(None, clock)
    assert waiting.cancelled_caught


async def test_a_batch_stays_in_hand_until_it_is_done() -> None:
    mail_in, mail_out = trio.open_memory_channel[int](9)
    inbox = Inbox(mail_out, 3)
    with mail_in:
        for number in range(4):
            await mail_in.send(number)
        assert await inbox.take() == [0, 1, 2]
        assert await inbox.take() == [0, 1, 2], "it was not done"
        inbox.done()
        assert await inbox.take() == [3]
        inbox.done()
    assert await inbox.take() == []


async def test_draining_takes_what_is_there_and_waits_for_nothing() -> None:
    mail_in, mail_out = trio.open_memory_channel[int](9)
    for number in range(5):
        mail_in.send_nowait(number)
    assert drain(mail_out, -1, limit=3) == [-1, 0, 1]
    assert drain(mail_out, -1, limit=9) == [-1, 2, 3, 4]
    mail_in.close()
    assert drain(mail_out, -1, limit=9) == [-1]


async def test_what_is_put_is_received_in_order_and_waits_for_room() -> None:
    mail_in, mail_out = trio.open_memory_channel[int](2)

    async def put_all() -> None:
        with mail_in:
            for number in range(5):
                await put(mail_in, number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(put_all)
        await trio.testing.wait_all_tasks_blocked()
        assert mail_out.statistics().current_buffer_used == 2
        assert [number async for number in mail_out] == [0, 1, 2, 3, 4]


async def test_whoever_puts_at_the_end_is_cancelled_not_surprised() -> None:
    """Tasks end in any order: the receiver may have closed when the sender is yet to run."""
    mail_in, mail_out = trio.open_memory_channel[int](2)
    with trio.CancelScope() as life:
        mail_out.close()
        life.cancel()
        await put(mail_in, 1)
    assert life.cancelled_caught
    with pytest.raises(trio.BrokenResourceError):
        await put(mail_in, 1)


async def test_a_poke_after_the_end_is_nobodys_business() -> None:
    hint = Hint()
    hint._out.close()
    hint.poke()
    with pytest.raises(trio.ClosedResourceError):
        await hint.wait()
