"""A store of an earlier version is brought up to date, and what it held counts on."""

from pathlib import Path

import apsw
import pytest

from pylon.adapters.sqlite import budget, payees, schema
from pylon.adapters.sqlite.connection import connect, migrate
from pylon.adapters.sqlite.database import open_database
from pylon.app.store import open_store
from pylon.model.budget import NODE, Purpose
from pylon.model.ids import PublicKey
from pylon.model.money import Msat
from pylon.ports.budget import Caps, Span, Used
from tests.adapters.stores.budgets import MIDNIGHT, reserve
from tests.adapters.stores.samples import job_id, payment_hash

SELLER = PublicKey("a" * 64)
HOUR, DAY = 3_600, 86_400
ROWS = (  # payment, order, standing, amount, fee, at
    (1, 1, "spent", 100, 1, MIDNIGHT - 1),
    (2, 1, "spent", 200, 2, MIDNIGHT),
    (3, 1, "spent", 400, 4, MIDNIGHT + HOUR),
    (4, 2, "reserved", 800, 8, MIDNIGHT),
    (5, 2, "released", 1_600, 16, MIDNIGHT),
    (6, None, "spent", 3_200, 32, MIDNIGHT),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make a store as version 1 left it: one order with a provider, one without."""
    path = tmp_path / "pylon.db"
    db = connect(path)
    migrate(db, path, (schema._VERSION_1,))
    for n, peer in ((1, SELLER), (2, "")):
        db.execute(
            "INSERT INTO orders (id, peer, phase, state, final, updated_at)"
            " VALUES (?, ?, 'Withdrawn', '{}', 1, 0)",
            (job_id(n), peer),
        )
    for n, order, *rest in ROWS:
        known = None if order is None else job_id(order)
        db.execute(
            "INSERT INTO budget (payment_hash, order_id, standing, amount, fee, at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (payment_hash(n), known, *rest),
        )
    db.close()
    return path


def version(path: Path) -> int:
    db = apsw.Connection(str(path))
    found: int = db.pragma("user_version")
    db.close()
    return found


async def test_what_was_spent_and_reserved_counts_in_every_span(path: Path) -> None:
    assert version(path) == 1
    async with open_store(path) as store:
        first = await store.budget.usage(Purpose(job_id(1), SELLER), now=MIDNIGHT + DAY - 1)
        second = await store.budget.usage(Purpose(job_id(2)), now=MIDNIGHT + HOUR)
        yesterday = await store.budget.usage(Purpose(), now=MIDNIGHT - 1)

    assert version(path) == len(schema.MIGRATIONS)
    assert first[NODE] == {
        Span.JOB: Used(Msat(707)),
        Span.PROVIDER: Used(Msat(707)),
        Span.HOUR: Used(Msat(0), Msat(808)),
        Span.DAY: Used(Msat(202 + 404 + 3_232), Msat(808)),
        Span.TOTAL: Used(Msat(707 + 3_232), Msat(808)),
    }
    assert second[NODE][Span.JOB] == Used(Msat(0), Msat(808))
    assert second[NODE][Span.HOUR] == Used(Msat(404), Msat(808))
    assert yesterday[NODE][Span.DAY] == Used(Msat(101), Msat(808))


async def test_what_was_reserved_can_be_spent_or_given_back(path: Path) -> None:
    async with open_store(path) as store:
        assert list(await store.budget.reserved()) == [payment_hash(4)]
        assert await store.budget.veto(payment_hash(4)) is None
        await store.budget.spend(payment_hash(4), amount=Msat(800), fee=Msat(0), now=MIDNIGHT)

        used = (await store.budget.usage(Purpose(job_id(2)), now=MIDNIGHT))[NODE]
        assert used[Span.JOB] == Used(Msat(800))
        assert used[Span.TOTAL] == Used(Msat(3_939 + 800))


async def test_what_was_paid_is_not_paid_again_and_caps_take_it_into_account(path: Path) -> None:
    async with open_store(path) as store:
        for paid in (1, 6):
            assert "paid before" in (await reserve(store.budget, paid) or "")
        total = 707 + 3_232 + 808
        assert await reserve(store.budget, 7, caps=Caps(total=Msat(total + 10))) is not None
        assert await reserve(store.budget, 7, caps=Caps(total=Msat(total + 11))) is None


async def test_a_store_made_today_has_the_tables_of_one_that_was_migrated(
    path: Path, tmp_path: Path
) -> None:
    fresh = tmp_path / "fresh.db"
    tables = []
    for file in (path, fresh):
        async with open_store(file):
            pass
        db = apsw.Connection(str(file))
        tables.append(db.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY 2").fetchall())
        db.close()

    assert tables[0] == tables[1]


async def test_no_question_to_the_budget_reads_through_a_whole_table(tmp_path: Path) -> None:
    asked = [budget._FIND, budget._FIND_WITH_PAUSES, budget._USED, budget._MOST, budget._RESERVED]
    asked += [budget._PUT, budget._POST, payees._KNOWN, payees._PIN]
    async with open_database(tmp_path / "pylon.db") as database:
        for sql in asked:
            bindings = (None,) * (5 if sql is budget._POST else sql.count("?"))
            plan = await database.read("EXPLAIN QUERY PLAN " + sql, bindings)
            scans = [row[3] for row in plan if row[3].startswith("SCAN")]
            small = ("json_each", "asked", "budget_pauses", "USING INDEX budget_reserved")
            assert all(any(name in scan for name in small) for scan in scans), (sql, scans)
