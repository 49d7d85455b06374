"""What is sold is announced while it is sold, and no longer."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
import trio.testing
from trio.testing import MockClock

from pylon.adapters.keys import LocalSigner
from pylon.adapters.memory.clock import MemoryClock
from pylon.adapters.memory.events import MemoryEventStore
from pylon.config import BackendsConfig, PricingConfig, ProviderConfig
from pylon.core.admission import Service
from pylon.core.announcement import LIFE_SECONDS, REFRESH_SECONDS
from pylon.core.relay_rules import Added
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.model.inference import BackendHealth
from pylon.model.relays import Publish
from pylon.ports.channels import Hint
from pylon.services.announcer import Announcer
from pylon.wire import expiration
from tests.market.actors import working
from tests.nostr import NOW, keys

UP = (BackendHealth("llamacpp", available=True, models=("qwen",)),)
DOWN = (BackendHealth("llamacpp", available=False, models=("qwen",)),)


class Stand:
    """An announcer, and a relay that keeps what it says by the rules."""

    def __init__(self) -> None:
        self.clock = MemoryClock(NOW - trio.current_time())
        self.healths: tuple[BackendHealth, ...] = UP
        self.changed = Hint()
        self.store = MemoryEventStore()
        self.said: list[Event] = []
        commands, self.commands = trio.open_memory_channel[Publish](9)
        self.announcer = Announcer(
            LocalSigner(keys()), self.clock, self.service, "n", "about", self.changed, commands
        )

    def service(self) -> Service:
        return Service(ProviderConfig(), PricingConfig(), BackendsConfig(), self.healths)

    async def becomes(self, healths: tuple[BackendHealth, ...]) -> None:
        self.healths = healths
        self.changed.poke()
        await trio.testing.wait_all_tasks_blocked()

    async def relay(self) -> None:
        async for command in self.commands:
            self.said.append(command.event)
            assert await self.store.add([command.event]) == [Added.STORED]

    async def shown(self) -> list[Event]:
        await trio.testing.wait_all_tasks_blocked()
        return await self.store.query([Filter(kinds=(31990,))], keys=(), now=self.clock.now())


@asynccontextmanager
async def stand() -> AsyncGenerator[Stand, None]:
    made = Stand()
    async with working(made.announcer.run), trio.open_nursery() as nursery:
        nursery.start_soon(made.relay)
        await trio.testing.wait_all_tasks_blocked()
        yield made
        nursery.cancel_scope.cancel()


async def test_what_is_sold_is_said_with_an_end_and_said_again_before_it(
    autojump_clock: MockClock,
) -> None:
    async with stand() as at:
        (first,) = await at.shown()
        assert expiration.expires_at(first) == NOW + LIFE_SECONDS
        await trio.sleep(3 * LIFE_SECONDS + 1)
        assert len(at.said) == 1 + 3 * LIFE_SECONDS // REFRESH_SECONDS
        (latest,) = await at.shown()
        assert latest.created_at >= NOW + 3 * LIFE_SECONDS - REFRESH_SECONDS


async def test_what_changes_within_a_second_is_shown_as_it_is_at_last(
    autojump_clock: MockClock,
) -> None:
    async with stand() as at:
        more = (*UP, BackendHealth("ollama", available=True, models=("llama3.2",)))
        await at.becomes(more)
        await at.becomes(UP)
        await at.becomes(more)
        (shown,) = await at.shown()
        assert "llama3.2" in str(shown)


async def test_nothing_is_announced_while_nothing_can_be_sold(autojump_clock: MockClock) -> None:
    async with stand() as at:
        await at.becomes(DOWN)
        assert await at.shown() == []
        await at.becomes(UP)
        assert len(await at.shown()) == 1, "although it was withdrawn within the same second"
        await at.becomes(DOWN)
        assert await at.shown() == []
        said = len(at.said)
        await at.becomes(())
        assert len(at.said) == said, "what is withdrawn need not be withdrawn again"


async def test_after_the_end_nothing_is_announced_any_more(autojump_clock: MockClock) -> None:
    async with stand() as at:
        await at.announcer.end()
        assert await at.shown() == []
        await at.becomes((*UP, *UP))
        await trio.sleep(2 * LIFE_SECONDS)
        assert await at.shown() == []
        await at.announcer.end()
        assert [event.kind for event in at.said] == [31990, 5]
