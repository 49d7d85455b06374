"""The actor in which all relays become one: commands fan out, events and verdicts fan in."""

import logging
from collections.abc import Mapping
from typing import TypeVar

import trio
from attrs import define, field, frozen

from pylon.core.recent import Recent
from pylon.errors import Transient
from pylon.model.ids import EventId, RelayUrl
from pylon.model.relays import (
    CaughtUp,
    CursorMoved,
    Heard,
    PublishOutcome,
    RelayCommand,
    RelayHealth,
    RelayReport,
    StoredSent,
    Subscribe,
    SubscriptionRefused,
    Unsubscribe,
)
from pylon.ports.channels import Hint, drain, put
from pylon.ports.cursors import Cursors

Item = TypeVar("Item")

log = logging.getLogger(__name__)

BATCH = 64
RECENT_EVENTS = 16_384  # remembered for each subscription
SAVE_SECONDS = 3.0  # cursors are saved at most so often, and when stored events have been sent


@frozen
class _CatchingUp:
    """A subscription whose `CaughtUp` is still to come, and the relays that have done their part."""

    want: Subscribe
    done: set[RelayUrl] = field(factory=set)


@define(eq=False)
class RelayPool:
    """Many relays as one.

    An event is handed on once for the life of a subscription, which ends with `Unsubscribe`; a
    cursor is saved only after what came before it was handed on. Whoever does not care for `heard` or `outcomes` closes its end of it; then
    nothing more is handed on there, and no cursor moves.
    """

    commands: trio.MemoryReceiveChannel[RelayCommand]
    relays: Mapping[RelayUrl, trio.MemorySendChannel[RelayCommand]]
    reports: trio.MemoryReceiveChannel[tuple[RelayReport, ...]]
    heard: trio.MemorySendChannel[Heard | CaughtUp]
    outcomes: trio.MemorySendChannel[PublishOutcome]
    cursors: Cursors
    handed_on: dict[str, Recent[EventId, None]]
    health: dict[RelayUrl, RelayHealth] = field(factory=dict, init=False)
    _catching_up: dict[str, _CatchingUp] = field(factory=dict, init=False)
    _due: dict[tuple[RelayUrl, str], int] = field(factory=dict, init=False)
    _to_save: Hint = field(factory=Hint, init=False)
    _tried: set[RelayUrl] = field(factory=set, init=False)
    _deaf: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        for url in self.relays:
            self.health[url] = RelayHealth(url, connected=False, detail="connecting")

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until the commands end and every relay has finished."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._fan_out)
            nursery.start_soon(self._keep_saving)
            task_status.started()
            await self._fan_in()
            nursery.cancel_scope.cancel("every relay has finished")
        await self._save()

    async def _fan_out(self) -> None:
        async for first in self.commands:
            for command in drain(self.commands, first, limit=BATCH):
                self._note(command)
                for relay in self.relays.values():
                    await put(relay, command)
        for relay in self.relays.values():
            relay.close()

    def _note(self, command: RelayCommand) -> None:
        match command:
            case Subscribe(name=name):
                self.handed_on.setdefault(name, Recent(RECENT_EVENTS))
                self._catching_up[name] = _CatchingUp(command)
            case Unsubscribe(name=name):
                self.handed_on.pop(name, None)
                self._catching_up.pop(name, None)

    async def _fan_in(self) -> None:
        async for batch in self.reports:
            for report in batch:
                await self._take(report)

    async def _take(self, report: RelayReport) -> None:
        match report:
            case Heard():
                await self._hand_on(report)
            case PublishOutcome():
                await _offer(self.outcomes, report)
            case CursorMoved(relay=url, subscription=name, cursor=cursor):
                if not self._deaf:
                    self._due[url, name] = cursor
            case StoredSent(relay=url, want=want):
                await self._stored_sent(url, want)
            case SubscriptionRefused(relay=url, subscription=name, reason=reason):
                log.warning("%s will not serve %r: %r", url, name, reason)
                self.health[url] = RelayHealth(url, connected=True, detail=f"{name}: {reason}")
            case RelayHealth(url=url):
                self.health[url] = report
                self._tried.add(url)
                await self._tell_caught_up()

    async def _hand_on(self, heard: Heard) -> None:
        known = self.handed_on.get(heard.subscription)
        if known is None or heard.event.id in known:
            return
        if await _offer(self.heard, heard):
            known.put(heard.event.id, None)
        else:
            self._deaf = True

    async def _stored_sent(self, url: RelayUrl, want: Subscribe) -> None:
        waiting = self._catching_up.get(want.name)
        if waiting is not None and waiting.want is want:
            waiting.done.add(url)
            await self._tell_caught_up()
        self._to_save.poke()

    async def _tell_caught_up(self) -> None:
        """Tell of the subscriptions for which no relay that could still answer is waited for."""
        reachable = {
            url for url, now in self.health.items() if now.connected or url not in self._tried
        }
        for name, waiting in list(self._catching_up.items()):
            if waiting.done and reachable <= waiting.done:
                del self._catching_up[name]
                await _offer(self.heard, CaughtUp(name))

    async def _keep_saving(self) -> None:
        while True:
            await self._save()
            with trio.move_on_after(SAVE_SECONDS):
                await self._to_save.wait()

    async def _save(self) -> None:
        """Save the cursors that have moved; those that could not be saved stay due."""
        for key, cursor in list(self._due.items()):
            try:
                await self.cursors.save(*key, cursor)
            except Transient as failure:
                log.warning("relay cursors cannot be saved now: %s", failure)
                return
            if self._due.get(key) == cursor:
                del self._due[key]


async def _offer(channel: trio.MemorySendChannel[Item], item: Item) -> bool:
    """Send, unless nobody will ever receive it; says which."""
    try:
        await put(channel, item)
    except trio.BrokenResourceError:
        return False
    return True
