"""A buyer of many jobs in one process: `python -m tests.chaos.buyer HOME COUNT SEED SINCE PROVIDER`.

Killed and started again it goes on where it was: every order has its number for a key, and what
has not ended is resumed. It ends when every order has.
"""

import os
import random
import sys
from functools import partial
from pathlib import Path

import trio
from attrs import define

from pylon.adapters.config_file import load_config
from pylon.adapters.home import find_home
from pylon.app.identity import unlock
from pylon.app.node import Opened, system
from pylon.app.ordering import Desk, open_desk, place, prepare
from pylon.core.order_machine import is_final
from pylon.core.order_mail import OrderChanged
from pylon.core.ordering import Wish
from pylon.model.ids import JobId, PublicKey
from pylon.model.money import Network, PayMode
from tests.integration.market import REFUSED

AT_ONCE = 64
TIMEOUT_SECONDS = 40
MODES = (PayMode.PREPAY, PayMode.HOLD, PayMode.LOCKED, PayMode.HOLD_LOCKED)
ONE_IN = 20  # prompts that the backend refuses


@define
class Shopper:
    """Keeps some orders open until all have ended."""

    desk: Desk
    opened: Opened
    count: int
    seed: int
    provider: PublicKey

    def wish(self, number: int) -> Wish:
        """Return the same wish for a number whenever it is asked."""
        chance = random.Random(f"{self.seed} {number}")  # noqa: S311 - to be repeated, not secret
        refused = chance.randrange(ONE_IN) == 0
        return Wish(
            f"{number}: {REFUSED if refused else 'what is 2+2?'}",
            provider=chance.choice((self.provider, None)),
            modes=(chance.choice(MODES),),
            timeout_seconds=TIMEOUT_SECONDS,
            auto_pay=True,
        )

    async def shop(self) -> None:
        """Begin what has not begun, go on with what has not ended."""
        keys = {f"chaos-{number}": number for number in range(self.count)}
        begun = await self.desk.store.orders.find(list(keys))
        room = trio.Semaphore(AT_ONCE)
        watching: dict[JobId, trio.Event] = {}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, watching)
            async with trio.open_nursery() as orders:
                for job in await self.desk.store.orders.unfinished():
                    await room.acquire()
                    orders.start_soon(self._resume, job, watching, room)
                for key, number in keys.items():
                    if key not in begun:
                        await room.acquire()
                        orders.start_soon(self._begin, key, number, watching, room)
            nursery.cancel_scope.cancel()

    async def _watch(self, watching: dict[JobId, trio.Event]) -> None:
        async for item in self.desk.buyer.progress:
            if isinstance(item, OrderChanged) and is_final(item.state):
                watching.setdefault(item.order_id, trio.Event()).set()

    async def _begin(
        self, key: str, number: int, watching: dict[JobId, trio.Event], room: trio.Semaphore
    ) -> None:
        order = prepare(self.opened, self.wish(number))
        ended = watching.setdefault(order.id, trio.Event())
        await place(self.desk, order, key)
        await self._until(order.id, ended)
        room.release()

    async def _resume(
        self, job: JobId, watching: dict[JobId, trio.Event], room: trio.Semaphore
    ) -> None:
        ended = watching.setdefault(job, trio.Event())
        await self.desk.buyer.resume(job)
        await self._until(job, ended)
        room.release()

    async def _until(self, job: JobId, ended: trio.Event) -> None:
        """Wait for an order's end; progress may be missed, so the store is asked as well."""
        while not ended.is_set():
            with trio.move_on_after(1):
                await ended.wait()
                return
            record = (await self.desk.store.orders.load([job]))[job]
            if is_final(record.state):
                return


async def main(home: str, count: str, seed: str, since: str, provider: str) -> None:
    environ = dict(os.environ)
    place_ = find_home(environ, asked=Path(home))
    identity = unlock(place_, Network.REGTEST, ask_passphrase=str)
    opened = system(place_, load_config(place_, environ), identity, environ)
    async with open_desk(opened, since=int(since)) as desk:
        print("ready", flush=True)  # noqa: T201 - told to the one who started it
        await Shopper(desk, opened, int(count), int(seed), PublicKey(provider)).shop()
        print("done", flush=True)  # noqa: T201


if __name__ == "__main__":
    trio.run(partial(main, *sys.argv[1:]))
