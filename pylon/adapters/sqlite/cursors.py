"""Relay cursors in SQLite."""

import apsw
from attrs import frozen

from pylon.adapters.sqlite.database import Database
from pylon.model.ids import RelayUrl

_LOAD = "SELECT cursor FROM cursors WHERE relay = ? AND subscription = ?"
_SAVE = """
    INSERT INTO cursors (relay, subscription, cursor) VALUES (?, ?, ?)
    ON CONFLICT (relay, subscription) DO UPDATE SET cursor = excluded.cursor"""


@frozen(eq=False)
class SqliteCursors:
    """A `Cursors` in pylon.db."""

    _database: Database

    async def load(self, relay: RelayUrl, subscription: str) -> int | None:
        for (cursor,) in await self._database.read(_LOAD, (relay, subscription)):
            return int(cursor)
        return None

    async def save(self, relay: RelayUrl, subscription: str, cursor: int) -> None:
        def work(db: apsw.Connection) -> None:
            db.execute(_SAVE, (relay, subscription, cursor))

        await self._database.write(work)
