"""What befalls a node: it is killed between any two acts, its disk is full, its wallet away."""

from collections.abc import Callable
from random import Random

import trio
from attrs import define, field, frozen

from pylon.errors import StoreBusy, StoreFull, WalletUnavailable
from tests.market.trouble import WRITES
from tests.simulation.record import Chronicle

STORE_PORTS = frozenset({"jobs", "orders", "budget", "earnings", "cursors", "payees"})


@frozen
class Dangers:
    """How likely each danger is, for each act of a node upon the world."""

    kill: float = 0.0
    store: float = 0.0
    wallet: float = 0.0  # it is away before an act, or its answer is lost after it


@define(eq=False)
class Hazard:
    """One life of a node: every act passes here twice, before it happens and after."""

    name: str
    dangers: Dangers
    chance: Random
    chronicle: Chronicle
    is_calm: Callable[[], bool]
    watch: Callable[[str], None]  # looks after each act
    life: trio.CancelScope = field(factory=trio.CancelScope)
    dead: bool = field(default=False, init=False)

    def counts(self, port: str, method: str) -> bool:
        """Say whether a method is an act."""
        return method in WRITES or port in STORE_PORTS or port == "wallet"

    def kill(self, where: str) -> None:
        """End this life at once. Whatever still runs of it acts no more."""
        if not self.dead:
            self.dead = True
            self.chronicle.count("node: killed")
            self.chronicle.note("kill", self.name, where)
            self.life.cancel("kill -9")

    async def __call__(self, when: str, what: str) -> None:
        if when == "after":
            self.watch(what)
        if self.dead:
            await trio.sleep_forever()
        if self.is_calm():
            return
        port, _, method = what.partition(".")
        if method in WRITES and self._hits(self.dangers.kill):
            self.kill(f"{when} {what}")
            await trio.sleep_forever()
        if port == "wallet" and self._hits(self.dangers.wallet):
            self.chronicle.count(f"wallet: away {when} an act")
            raise WalletUnavailable("not now")
        if port in STORE_PORTS and when == "before" and self._hits(self.dangers.store):
            trouble = self.chance.choice((StoreBusy, StoreFull))
            self.chronicle.count(f"store: {trouble.__name__}")
            raise trouble("not now")

    def _hits(self, odds: float) -> bool:
        return odds > 0 and self.chance.random() < odds
