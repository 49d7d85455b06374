"""Wallets that pay one another within one process, for tests: the ledger without file or thread."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw
import trio
from attrs import define, field, frozen

from pylon.adapters.lightning.ledger.accounts import open_account
from pylon.adapters.lightning.ledger.book import Desk
from pylon.adapters.lightning.ledger.schema import prepare
from pylon.adapters.lightning.ledger.settlement import Terms
from pylon.adapters.lightning.ledger.wallet import LedgerWallet
from pylon.ports.clock import Clock
from pylon.wire.secp import KeyPair

T = TypeVar("T")


def open_tables() -> apsw.Connection:
    """Return an empty ledger in memory."""
    db = apsw.Connection(":memory:")
    db.execute("PRAGMA foreign_keys = ON")
    prepare(Path(":memory:"), db)
    return db


@define
class MemoryBook:
    """Tables in memory. A commit wakes who waits at once, so it works under a jumping clock."""

    _db: apsw.Connection = field(factory=open_tables)
    _version: int = 0
    _changed: trio.Event = field(factory=trio.Event)

    async def write(self, work: Callable[[apsw.Connection], T]) -> T:
        await trio.lowlevel.checkpoint()
        with self._db:
            result = work(self._db)
        self._version += 1
        self._changed.set()
        self._changed = trio.Event()
        return result

    def read(self, work: Callable[[apsw.Connection], T]) -> T:
        return work(self._db)

    def version(self) -> int:
        return self._version

    async def changed(self, since: int) -> None:
        await trio.lowlevel.checkpoint()
        while self._version == since:
            await self._changed.wait()


@frozen
class MemoryMarket:
    """A ledger that ends with the process; each key has a wallet in it."""

    _clock: Clock
    _terms: Terms = field(factory=Terms)
    _entropy: Callable[[int], bytes] = secrets.token_bytes
    _book: MemoryBook = field(factory=MemoryBook)

    def wallet(self, key: KeyPair, *, label: str = "") -> LedgerWallet:
        """Return the wallet of a node; the same key has the same wallet."""
        account = self._book.read(lambda db: open_account(key.node_key, label, db))
        return LedgerWallet(Desk(self._book, self._clock), account, key, self._terms, self._entropy)
