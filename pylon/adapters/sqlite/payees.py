"""Payees in SQLite."""

from collections.abc import Mapping, Sequence

import apsw
from attrs import frozen

from pylon.adapters.sqlite.codec import to_json
from pylon.adapters.sqlite.database import Database
from pylon.model.ids import NodeKey, PublicKey

_KNOWN = """
    SELECT provider, node_key FROM json_each(?) AS asked
    CROSS JOIN payees ON provider = asked.value"""
_PIN = """
    INSERT INTO payees (provider, node_key, since) VALUES (?, ?, ?)
    ON CONFLICT (provider) DO UPDATE SET node_key = excluded.node_key, since = excluded.since
    WHERE node_key <> excluded.node_key"""


@frozen(eq=False)
class SqlitePayees:
    """A `Payees` in pylon.db."""

    _database: Database

    async def known(self, providers: Sequence[PublicKey]) -> Mapping[PublicKey, NodeKey]:
        rows = await self._database.read(_KNOWN, (to_json(tuple(providers)),))
        return dict(rows)

    async def pin(self, provider: PublicKey, node_key: NodeKey, *, now: int) -> None:
        def work(db: apsw.Connection) -> None:
            db.execute(_PIN, (provider, node_key, now))

        await self._database.write(work)
