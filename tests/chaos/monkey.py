"""What goes wrong, and when: drawn from one seed."""

import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

import trio
from attrs import define, field

from tests.adapters.inference.scripted import Cut, Hang, Reply
from tests.chaos.cable import Cable
from tests.integration.market import BUYER, SELLER, Market, Process

PAUSE_SECONDS = (0.1, 1.2)  # between two pieces of mischief
DOWN_SECONDS = (0.0, 0.8)  # how long what was killed stays down
FROZEN_SECONDS = (0.2, 2.0)
FAULTS = {  # of a wallet: what `pylon wallet fault` is told
    "lose-payment": ("--times", "3"),
    "lose-invoice": ("--times", "3"),
    "fail": ("--times", "2", "--reason", "temporary channel failure"),
    "latency": ("--value", "400", "--times", "5"),
    "stuck": ("--times", "2"),
    "duplicate": ("--times", "5"),
}

SPOILT = {
    "hangs up": Reply((Cut(),)),
    "hangs": Reply((Hang(),)),
    "refuses": Reply(status=503),
}


@define
class Program:
    """One that is started, killed and started again."""

    start: Callable[[], Awaitable[Process]]
    ready: Callable[[Process], Awaitable[object]]
    process: Process | None = None
    recoveries: list[float] = field(factory=list)  # seconds from a start after a kill to ready

    async def run(self) -> None:
        """Start it, and wait until it serves."""
        began = trio.current_time()
        self.process = await self.start()
        await self.ready(self.process)
        self.recoveries.append(trio.current_time() - began)


@define
class Monkey:
    """Does one piece of mischief after another until it is told to stop."""

    market: Market
    chance: random.Random
    programs: dict[str, Program]
    cable: Cable
    kills: Counter[str] = field(factory=Counter)
    faults: Counter[str] = field(factory=Counter)

    async def rage(self) -> None:
        """Go on until cancelled between two pieces of mischief."""
        mischief: list[Callable[[], Awaitable[None]]] = [
            *[partial(self._kill, name) for name in self.programs for _ in range(2)],
            *[partial(self._freeze, name) for name in self.programs],
            self._cut,
            self._cut,
            *[partial(self._trouble, home) for home in (SELLER, BUYER)],
            self._spoil_backend,
        ]
        while True:
            await trio.sleep(self.chance.uniform(*PAUSE_SECONDS))
            act = self.chance.choice(mischief)
            with trio.CancelScope(shield=True):  # what is begun is put right again
                await act()

    async def calm(self) -> None:
        """End every wallet's trouble: what was stuck arrives late, or comes back."""
        for home in (SELLER, BUYER):
            await self._clear(home)

    async def _clear(self, home: str) -> None:
        ended = await self.market.pylon(home, "wallet", "fault", "clear")
        assert ended.status == 0, ended

    async def _kill(self, name: str) -> None:
        program = self.programs[name]
        if program.process is None or program.process.ended:
            return
        await program.process.kill()
        self.kills[name] += 1
        await trio.sleep(self.chance.uniform(*DOWN_SECONDS))
        await program.run()

    async def _freeze(self, name: str) -> None:
        process = self.programs[name].process
        if process is None or process.ended:
            return
        process.send(signal.SIGSTOP)
        self.faults[f"{name} frozen"] += 1
        await trio.sleep(self.chance.uniform(*FROZEN_SECONDS))
        process.send(signal.SIGCONT)

    async def _cut(self) -> None:
        self.faults["connections cut"] += self.cable.cut()

    async def _trouble(self, home: str) -> None:
        kind = self.chance.choice(list(FAULTS))
        ended = await self.market.pylon(home, "wallet", "fault", kind, *FAULTS[kind])
        assert ended.status == 0, ended
        self.faults[f"{home}'s wallet: {kind}"] += 1
        if kind == "stuck":  # or every order would get stuck in time
            await trio.sleep(self.chance.uniform(*FROZEN_SECONDS))
            await self._clear(home)

    async def _spoil_backend(self) -> None:
        """Let the model's server hang up, hang or refuse for a while."""
        server = self.market.backend.server
        healthy = server.script
        how, spoilt = self.chance.choice(list(SPOILT.items()))
        server.script = lambda _: spoilt
        self.faults[f"backend: {how}"] += 1
        await trio.sleep(self.chance.uniform(*FROZEN_SECONDS))
        server.script = healthy
