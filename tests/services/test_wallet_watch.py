"""What the wallet can do is known before anything is sold, and noticed when it changes."""

import pytest
import trio
from trio.testing import MockClock

from pylon.adapters.memory.clock import MemoryClock
from pylon.errors import WalletUnavailable
from pylon.model.money import Network
from pylon.model.wallet import Capabilities, WalletInfo
from pylon.ports.channels import Cell, Hint
from pylon.services.wallet_watch import EVERY_SECONDS, WalletWatch
from tests.market.actors import working
from tests.nostr import NOW

PLAIN, HOLD = Capabilities(), Capabilities(hold=True)


class Changing:
    """A wallet that can do what the test says."""

    def __init__(self, *says: Capabilities | Exception) -> None:
        self.says = list(says)

    async def info(self) -> WalletInfo:
        await trio.lowlevel.checkpoint()
        word = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(word, Exception):
            raise word
        return WalletInfo("test", Network.REGTEST, None, word)


@pytest.mark.parametrize("says", [(HOLD,), (WalletUnavailable("away"), HOLD)])
async def test_nothing_starts_before_the_wallet_has_answered(
    autojump_clock: MockClock, says: tuple[Capabilities | Exception, ...]
) -> None:
    able, changed = Cell(PLAIN), Hint()
    watch = WalletWatch(Changing(*says), able, MemoryClock(NOW), (changed,))  # type: ignore[arg-type]  # it only says what it can
    async with working(watch.run):
        assert able.value == HOLD
        with trio.fail_after(1):
            await changed.wait()


async def test_a_change_is_noticed_and_told_once(autojump_clock: MockClock) -> None:
    able, changed = Cell(PLAIN), Hint()
    watch = WalletWatch(Changing(PLAIN, PLAIN, HOLD), able, MemoryClock(NOW), (changed,))  # type: ignore[arg-type]  # it only says what it can
    async with working(watch.run):
        with trio.move_on_after(1.5 * EVERY_SECONDS) as waiting:
            await changed.wait()
        assert waiting.cancelled_caught
        await changed.wait()
        assert able.value == HOLD
        with trio.move_on_after(3 * EVERY_SECONDS) as again:
            await changed.wait()
        assert again.cancelled_caught
