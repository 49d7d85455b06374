"""Access to a ledger's tables: writing, reading, and noticing what others wrote."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar

import apsw
import trio
from attrs import frozen

from pylon.adapters.lightning.ledger import invoices, settlement
from pylon.adapters.sqlite.connection import known_error
from pylon.adapters.sqlite.writer import Writer
from pylon.errors import StoreBusy, StoreFull, WalletUnavailable
from pylon.ports.clock import Clock

T = TypeVar("T")

_LOOK_SECONDS = 0.02
_SLICE_SECONDS = 5.0  # the wall clock may be set, or stand still while a laptop sleeps


class Book(Protocol):
    """The tables of one ledger, which others write as well."""

    def write(self, work: Callable[[apsw.Connection], T]) -> Awaitable[T]:
        """Run `work` in a transaction and return its result once that is committed."""
        ...

    def read(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run a short `work` that only reads, at once."""
        ...

    def version(self) -> int:
        """Return a number that is another one after any commit, whoever made it."""
        ...

    async def changed(self, since: int) -> None:
        """Wait until the version is not `since`."""
        ...


@frozen
class FileBook:
    """A ledger in a file. Own commits, like other programs', show through the reader."""

    _path: Path
    _writer: Writer
    _reader: apsw.Connection

    async def write(self, work: Callable[[apsw.Connection], T]) -> T:
        return await self._writer.run(work)

    def read(self, work: Callable[[apsw.Connection], T]) -> T:
        try:
            return work(self._reader)
        except apsw.Error as error:
            raise known_error(error, self._path) or error from error

    def version(self) -> int:
        return self.read(_data_version)

    async def changed(self, since: int) -> None:
        await trio.lowlevel.checkpoint()
        while self.version() == since:  # noqa: ASYNC110 - SQLite tells nobody of a commit
            await trio.sleep(_LOOK_SECONDS)


@frozen
class Desk:
    """A book and a clock: what each of a wallet's calls begins with."""

    _book: Book
    _clock: Clock

    def now(self) -> float:
        """Return unix seconds."""
        return self._clock.now()

    async def write(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run `work` in a transaction; raise `WalletUnavailable` when the file is not to be had."""
        try:
            return await self._book.write(work)
        except (StoreBusy, StoreFull) as error:
            raise WalletUnavailable(str(error)) from error

    async def read(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run a short `work` that only reads, once what is overdue has been given back."""
        await trio.lowlevel.checkpoint()
        due = self._read(invoices.next_deadline)
        if due is not None and due <= self.now():
            now = self.now()
            await self.write(lambda db: settlement.cancel_overdue(now, db))
        return self._read(work)

    def version(self) -> int:
        """Return what to wait from: taken before reading, so that nothing falls in between."""
        return self._book.version()

    async def news(self, since: int) -> None:
        """Wait until something may have changed since `version` returned `since`."""
        due = self._read(invoices.next_deadline)
        wait = float("inf") if due is None else min(max(due - self.now(), 0.0), _SLICE_SECONDS)
        with trio.move_on_after(wait):
            await self._book.changed(since)

    def _read(self, work: Callable[[apsw.Connection], T]) -> T:
        try:
            return self._book.read(work)
        except StoreBusy as error:
            raise WalletUnavailable(str(error)) from error


def _data_version(db: apsw.Connection) -> int:
    version: int = db.pragma("data_version")
    return version
