"""The node's memory, opened as one."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import frozen

from pylon.adapters.sqlite.budget import SqliteBudget
from pylon.adapters.sqlite.codec import JOBS, ORDERS
from pylon.adapters.sqlite.cursors import SqliteCursors
from pylon.adapters.sqlite.database import open_database
from pylon.adapters.sqlite.earnings import SqliteEarnings
from pylon.adapters.sqlite.payees import SqlitePayees
from pylon.adapters.sqlite.records import SqliteRecords
from pylon.model.job import Job, JobState
from pylon.model.order import Order, OrderState
from pylon.ports.budget import Budget
from pylon.ports.cursors import Cursors
from pylon.ports.earnings import Earnings
from pylon.ports.payees import Payees
from pylon.ports.records import Records


@frozen
class Store:
    """Everything that outlives the process, port by port."""

    jobs: Records[Job, JobState]
    orders: Records[Order, OrderState]
    budget: Budget
    earnings: Earnings
    cursors: Cursors
    payees: Payees


@asynccontextmanager
async def open_store(path: Path) -> AsyncGenerator[Store, None]:
    """Open pylon.db at `path`, creating it if need be, until the block is left.

    Several processes may have it open at once.

    Raises:
        StoreBusy: Another program holds the database.
        Misconfigured: The file is damaged, no database, not ours, or newer than this program.
    """
    async with open_database(path) as database:
        yield Store(
            jobs=SqliteRecords(database, JOBS),
            orders=SqliteRecords(database, ORDERS),
            budget=SqliteBudget(database),
            earnings=SqliteEarnings(database),
            cursors=SqliteCursors(database),
            payees=SqlitePayees(database),
        )
