"""One thread that writes, for any number of tasks, in groups.

A durable commit costs about as much for one change as for fifty, so whatever waits when the thread
comes round is committed together; each change in a savepoint of its own, so that one that fails
takes nobody else's rows with it.
"""

import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar, cast

import apsw
import trio
from attrs import define, frozen
from outcome import Error, Outcome, Value

from pylon.adapters.sqlite.connection import BUSY_SECONDS, connect, known_error

T = TypeVar("T")

_GROUP = 256  # changes a commit: bounds how long the first of them waits for the last


@define(eq=False)
class _Call:
    """Work for the thread, and the task that waits for it."""

    work: Callable[[apsw.Connection], object]
    task: trio.lowlevel.Task | None = None
    result: Outcome[object] | None = None

    async def wait(self) -> object:
        """Sleep until `_deliver` brings the result; cancelled, let the work go on unwatched."""

        def abort(_: object) -> trio.lowlevel.Abort:
            self.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        self.task = trio.lowlevel.current_task()
        return await trio.lowlevel.wait_task_rescheduled(abort)


_Inbox = SimpleQueue[_Call | None]  # None: close the database and end


@frozen(eq=False)
class Writer:
    """The sending end of the writer thread; made by `open_writer`."""

    _inbox: _Inbox
    _closed: trio.Event

    async def run(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run `work` in the writer thread and return its result once it is on disk.

        `work` runs inside a transaction that it shares with others: it must not commit or roll
        back. What it raises undoes its own changes alone and is raised here. Cancelled before it
        begins to wait, nothing was asked; cancelled while waiting, the change may still be made,
        so `work` must be safe to repeat.

        Raises:
            StoreBusy: Another program held the database for too long; nothing was written.
            StoreFull: The disk is full; nothing was written.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._closed.is_set():
            raise trio.ClosedResourceError
        call = _Call(work)
        self._inbox.put(call)
        return cast("T", await call.wait())


@asynccontextmanager
async def open_writer(
    path: Path,
    *,
    prepare: Callable[[apsw.Connection], None] = lambda _: None,
    busy_seconds: float = BUSY_SECONDS,
) -> AsyncGenerator[Writer, None]:
    """Open `path` as `connection.connect` does and serve it until the block is left.

    `prepare` runs first, outside any transaction: the place for migrations. On leaving, what was
    handed over is written before the thread ends, also when the block was cancelled.

    Raises: what `connect` and `prepare` raise.
    """
    inbox: _Inbox = SimpleQueue()
    opened, closed, ended = _Call(prepare), trio.Event(), trio.Event()
    worker = _Worker(path, busy_seconds, opened, ended, inbox, trio.lowlevel.current_trio_token())
    thread = threading.Thread(target=worker.run, name=f"writer {path.name}", daemon=True)
    thread.start()
    # Shielded, so that the file is closed and the thread gone by the time the caller goes on.
    try:
        with trio.CancelScope(shield=True):
            await opened.wait()
        yield Writer(inbox, closed)
    finally:
        closed.set()
        inbox.put(None)
        with trio.CancelScope(shield=True):
            await ended.wait()
        thread.join()


@frozen(eq=False)
class _Worker:
    """What runs outside Trio. It touches nothing of Trio's but the token."""

    _path: Path
    _busy_seconds: float
    _opened: _Call
    _ended: trio.Event
    _inbox: _Inbox
    _token: trio.lowlevel.TrioToken

    def run(self) -> None:
        try:
            self._open_and_serve()
        finally:
            self._token.run_sync_soon(self._ended.set)

    def _open_and_serve(self) -> None:
        try:
            db = connect(self._path, busy_seconds=self._busy_seconds)
        except BaseException as error:  # noqa: BLE001 - raised by whoever opens
            self._hand_back([self._opened], Error(error))
            return
        try:
            self._opened.result = _capture(partial(self._opened.work, db))
            self._hand_back([self._opened])
            self._serve(db)
        finally:
            db.close()

    def _serve(self, db: apsw.Connection) -> None:
        while (first := self._inbox.get()) is not None:
            group = [first]
            more = self._gather(group)
            self._write(db, group)
            if not more:
                return

    def _gather(self, group: list[_Call]) -> bool:
        """Add what waits already; False once the end has been asked for."""
        try:
            while len(group) < _GROUP:
                call = self._inbox.get_nowait()
                if call is None:
                    return False
                group.append(call)
        except Empty:
            pass
        return True

    def _write(self, db: apsw.Connection, group: Sequence[_Call]) -> None:
        try:
            _commit_together(db, group)
        except BaseException as error:  # noqa: BLE001 - raised by each of those who wait
            with suppress(apsw.Error):  # already undone, or beyond help: the next BEGIN will say so
                db.execute("ROLLBACK")
            self._hand_back(group, Error(known_error(error, self._path) or error))
        else:
            self._hand_back(group)

    def _hand_back(self, group: Sequence[_Call], failure: Error | None = None) -> None:
        """Wake everybody at once; a `failure` of the group is the failure of each."""
        for call in group:
            call.result = failure or call.result
        self._token.run_sync_soon(_deliver, group)


def _commit_together(db: apsw.Connection, group: Sequence[_Call]) -> None:
    db.execute("BEGIN IMMEDIATE")
    for call in group:
        db.execute("SAVEPOINT one")
        call.result = _capture(partial(call.work, db))
        if isinstance(call.result, Error):
            if not db.in_transaction:  # a full disk, say: SQLite has undone the whole group
                raise call.result.error
            db.execute("ROLLBACK TO one")
        db.execute("RELEASE one")
    db.execute("COMMIT")


def _capture(work: Callable[[], object]) -> Outcome[object]:
    try:
        return Value(work())
    except BaseException as error:  # noqa: BLE001 - raised by the task that waits
        return Error(error)


def _deliver(group: Sequence[_Call]) -> None:
    for call in group:
        if call.task is not None and call.result is not None:
            trio.lowlevel.reschedule(call.task, call.result)
