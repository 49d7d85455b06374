"""The ledger's file: who may open it, what it refuses to hold, and how quickly it is noticed."""

import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest
import trio

from pylon.adapters.clock import SystemClock
from pylon.adapters.lightning.ledger.accounts import FAUCET_LIMIT, post
from pylon.adapters.lightning.ledger.opening import open_ledger
from pylon.adapters.lightning.ledger.schema import FAUCET
from pylon.adapters.lightning.ledger.settlement import Terms
from pylon.adapters.lightning.ledger.wallet import LedgerWallet
from pylon.adapters.memory.clock import MemoryClock
from pylon.adapters.sqlite.connection import connect
from pylon.errors import Misconfigured, WalletUnavailable
from pylon.model.ids import Preimage
from pylon.model.money import ZERO, Msat, Network
from pylon.model.wallet import InvoiceState, InvoiceStatus, IssuedInvoice, PaymentSettled
from pylon.wire.secp import KeyPair
from tests.adapters.lightning.town import LedgerTown, ledger_town
from tests.adapters.wallet_contract import AMOUNT, ENOUGH, FUNDS, hold, invoice, pay, start_paying

KEY = KeyPair(b"\1" * 32)


async def open_and_close(path: Path) -> None:
    async with open_ledger(path, KEY, clock=MemoryClock()) as wallet:
        await wallet.balance()


async def test_a_new_ledger_is_for_this_user_alone_and_survives_a_power_cut(tmp_path: Path) -> None:
    path = tmp_path / "share" / "ledger.db"
    async with open_ledger(path, KEY, clock=MemoryClock()) as wallet:
        await wallet.fund(AMOUNT)
        assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
        assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_it_says_what_it_is(tmp_path: Path) -> None:
    async with open_ledger(tmp_path / "ledger.db", KEY, clock=MemoryClock()) as wallet:
        info = await wallet.info()
    assert info.network is Network.REGTEST
    assert info.node_key == KEY.node_key
    assert "no value" in info.warning
    assert info.capabilities.hold


async def test_one_node_has_one_account_whoever_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with open_ledger(path, KEY, clock=MemoryClock(), label="alice") as wallet:
        await wallet.fund(AMOUNT)
    async with open_ledger(path, KEY, clock=MemoryClock()) as wallet:
        assert await wallet.balance() == AMOUNT
    db = connect(path)
    assert db.execute("SELECT label FROM account WHERE name = ?", (KEY.node_key,)).get == "alice"
    db.close()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("PRAGMA user_version = 99", "newer"),
        ("PRAGMA application_id = 7", "not a ledger"),
    ],
)
async def test_a_ledger_we_do_not_understand_is_refused_and_left_alone(
    tmp_path: Path, change: str, complaint: str
) -> None:
    path = tmp_path / "ledger.db"
    await open_and_close(path)
    db = apsw.Connection(str(path))
    db.execute(change)
    db.close()
    before = path.read_bytes()

    with pytest.raises(Misconfigured, match=complaint) as raised:
        await open_and_close(path)

    assert "\n" not in str(raised.value)
    assert path.read_bytes() == before


async def test_another_programs_database_does_not_become_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    db = apsw.Connection(str(path))
    db.execute("CREATE TABLE note (text)")
    db.close()

    with pytest.raises(Misconfigured, match="not a ledger"):
        await open_and_close(path)


async def test_a_damaged_ledger_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    await open_and_close(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xaa" * 4000 + whole[4100:])

    with pytest.raises(Misconfigured, match=r"ledger\.db.*damaged"):
        await open_and_close(path)


async def test_a_ledger_that_is_held_is_unavailable_and_then_is_not(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with open_ledger(path, KEY, clock=MemoryClock(), busy_seconds=0.05) as wallet:
        other = connect(path)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(WalletUnavailable):
            await wallet.fund(AMOUNT)
        other.execute("ROLLBACK")
        other.close()
        assert await wallet.fund(AMOUNT) == AMOUNT


async def test_a_read_that_finds_the_file_held_is_unavailable(tmp_path: Path) -> None:
    def held(_: apsw.Connection) -> None:
        raise apsw.BusyError

    async with open_ledger(tmp_path / "ledger.db", KEY, clock=MemoryClock()) as wallet:
        with pytest.raises(WalletUnavailable, match=r"ledger\.db"):
            await wallet._desk.read(held)


async def test_a_preimage_has_32_bytes(tmp_path: Path) -> None:
    async with open_ledger(tmp_path / "ledger.db", KEY, clock=MemoryClock()) as wallet:
        with pytest.raises(ValueError, match="32 bytes"):
            await wallet.settle_hold(Preimage("ab" * 31))


async def test_a_free_route_leaves_two_legs(tmp_path: Path) -> None:
    path, free = tmp_path / "ledger.db", Terms(fee_base=ZERO, fee_ppm=0)
    async with (
        ledger_town(path) as town,
        open_ledger(path, KeyPair(b"\4" * 32), clock=town.clock, terms=free) as payer,
    ):
        await payer.fund(AMOUNT)
        made = await invoice(town)
        paid = await payer.pay(made.bolt11, max_fee=ZERO, deadline_seconds=10)

        assert isinstance(paid, PaymentSettled)
        assert await payer.balance() == ZERO


# --- the faucet ---


async def test_the_faucet_gives_each_wallet_its_share_and_no_more(tmp_path: Path) -> None:
    async with ledger_town(tmp_path / "ledger.db") as town:
        assert await town.payer.fund(Msat(FAUCET_LIMIT - FUNDS)) == FAUCET_LIMIT
        with pytest.raises(Misconfigured, match="faucet has only 0 sat left"):
            await town.payer.fund(Msat(1))
        for nothing in (ZERO, Msat(-5)):
            with pytest.raises(Misconfigured):
                await town.payee.fund(nothing)
        assert await town.payee.balance() == ZERO


# --- what the tables refuse, and the audit finds ---


def test_money_does_not_come_from_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="out of nothing"):
        post(apsw.Connection(":memory:"), "fund", {FAUCET: 1}, payment_hash=None, at=0)


REFUSED = {
    "a wallet in debt": "UPDATE account SET balance = -1 WHERE name NOT IN ('faucet')",
    "a settled invoice that opens again": "UPDATE invoice SET state = 'open'",
    "a second payment that arrives": """
        INSERT INTO payment SELECT 3, payment_hash, state, amount, fee, description, reason,
        arrived, at FROM payment WHERE state = 'settled'""",
    "a settled invoice without preimage": "UPDATE invoice SET preimage = NULL",
    "text for money": "UPDATE account SET balance = 'much' WHERE name = 'fees'",
}


@pytest.mark.parametrize("sql", REFUSED.values(), ids=REFUSED)
async def test_the_tables_refuse(tmp_path: Path, sql: str) -> None:
    async with ledger_town(tmp_path / "ledger.db") as town:
        await pay(town.payer, (await invoice(town)).bolt11)
        db = connect(tmp_path / "ledger.db")
        with pytest.raises(apsw.ConstraintError):
            db.execute(sql)
        db.close()


FORGED = {
    "the entries of a transfer sum to zero": "UPDATE entry SET amount = amount + 1 WHERE account = 3",
    "a transfer has entries": "INSERT INTO transfer VALUES (99, 'fund', NULL, 0)",
    "a balance is the sum of its entries": "UPDATE account SET balance = 5 WHERE name = 'fees'",
    "all balances sum to zero": "UPDATE account SET balance = 5 WHERE name = 'fees'",
    "the escrow holds what is pending, and nothing else": """
        UPDATE payment SET amount = amount + 1 WHERE state = 'pending'""",
    "a settled invoice has one settled payment, of its amount": """
        UPDATE payment SET state = 'failed', arrived = 0 WHERE state = 'settled'""",
    "a settled payment has a settled invoice": """
        UPDATE invoice SET state = 'settled', preimage = payment_hash WHERE state = 'accepted';
        UPDATE payment SET payment_hash = 'x' WHERE state = 'settled'""",
    "an accepted invoice holds one payment, of its amount": """
        UPDATE payment SET arrived = 0 WHERE state = 'pending'""",
    "a payment that has arrived and is not settled is held": """
        UPDATE invoice SET state = 'cancelled' WHERE state = 'accepted'""",
    "a settled invoice was settled by one transfer, and no other invoice by any": """
        UPDATE transfer SET payment_hash = 'x' WHERE kind = 'settle'""",
    "a settlement brings the payee the amount and the fees the fee": """
        UPDATE payment SET fee = fee + 1 WHERE state = 'settled'""",
    "what is in escrow for a payment is what is pending": """
        UPDATE payment SET state = 'failed', arrived = 0 WHERE state = 'pending'""",
    "the last change of an invoice is its state": "UPDATE change SET state = 'cancelled'",
    "every reference leads somewhere": "UPDATE invoice SET payee = 77",
    "the file is whole": """
        PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema
        WHERE name = 'payment_of_payer') WHERE name = 'invoice_of_payee'""",
    "a preimage hashes to its payment hash": "UPDATE invoice SET preimage = payment_hash WHERE hold = 0",
}


@pytest.mark.parametrize(("statement", "sql"), FORGED.items(), ids=FORGED)
async def test_an_audit_finds(tmp_path: Path, statement: str, sql: str) -> None:
    path = tmp_path / "ledger.db"
    async with ledger_town(path) as town:
        await pay(town.payer, (await invoice(town)).bolt11)
        await start_paying(town, (await hold(town)).bolt11)
        assert await town.payee.audit() == []
    forge(path, sql)

    async with open_ledger(path, KEY, clock=MemoryClock()) as wallet:
        found = await wallet.audit()
    assert statement in {line.partition(": not so for ")[0] for line in found}


def forge(path: Path, sql: str) -> None:
    db = apsw.Connection(str(path))
    db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    db.execute(sql)
    db.close()


# --- another program ---

OTHER = Path(__file__).with_name("other_program.py")


class OtherProgram:
    """A second process on the same ledger, with lines going in and coming out."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._heard = b""

    async def say(self, *lines: str) -> None:
        await self._stdin.send_all("".join(f"{line}\n" for line in lines).encode())

    async def hear(self) -> str:
        while b"\n" not in self._heard:
            chunk = await self._stdout.receive_some()
            assert chunk, "the other program has ended"
            self._heard += chunk
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode()

    async def end(self) -> None:
        """Say no more, and wait until it has ended well."""
        await self._stdin.aclose()
        assert await self.process.wait() == 0


@asynccontextmanager
async def other_program(path: Path) -> AsyncGenerator[OtherProgram, None]:
    command = [sys.executable, str(OTHER), str(path)]
    process = await trio.lowlevel.open_process(command, stdin=-1, stdout=-1)
    try:
        other = OtherProgram(process)
        assert await other.hear() == "ready"
        yield other
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                await stream.aclose()


async def test_another_program_pays_and_we_notice_within_50_ms(tmp_path: Path) -> None:
    path, delays = tmp_path / "ledger.db", list[float]()

    async def note(watch: AsyncIterator[InvoiceStatus]) -> None:
        await anext(watch)
        told.append(time.time())

    with trio.fail_after(30):
        async with (
            open_ledger(path, KEY, clock=SystemClock()) as payee,
            payee.watch(after=0) as watch,
            other_program(path) as other,
        ):
            for _ in range(9):
                told = list[float]()
                made = await payee.make_invoice(AMOUNT, description="", expiry_seconds=60)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(note, watch)
                    await other.say(made.bolt11)
                    word, when = (await other.hear()).split()
                assert word == "settled"
                delays.append(told[0] - float(when))
            await other.end()
            assert await payee.balance() == 9 * AMOUNT
            assert await payee.audit() == []
    assert sorted(delays)[len(delays) // 2] < 0.05


async def test_two_programs_racing_to_pay_settle_each_invoice_once(tmp_path: Path) -> None:
    path, ours = tmp_path / "ledger.db", 0
    with trio.fail_after(60):
        async with ledger_town(path) as town, other_program(path) as other:
            made = [await invoice(town) for _ in range(60)]
            await other.say(*(one.bolt11 for one in made))
            for one in reversed(made):
                paid = await town.payer.pay(one.bolt11, max_fee=ENOUGH, deadline_seconds=10)
                ours += isinstance(paid, PaymentSettled)
            theirs = sum([(await other.hear()).startswith("settled") for _ in made])
            await other.end()

            assert ours + theirs == len(made)
            assert await town.payee.balance() == len(made) * AMOUNT
            assert await town.payer.balance() == FUNDS - ours * (AMOUNT + town.fee)


async def test_a_program_killed_while_it_pays_leaves_straight_books(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with trio.fail_after(60):
        async with (
            ledger_town(path) as town,
            town.payee.watch(after=0) as watch,
            other_program(path) as other,
        ):
            made = [await invoice(town) for _ in range(100)]
            await other.say(*(one.bolt11 for one in made))
            for _ in range(20):
                await anext(watch)
            other.process.kill()
            await other.process.wait()

            states = [status.state for one in made if (status := await look(town, one))]
            assert set(states) == {InvoiceState.SETTLED, InvoiceState.OPEN}
            assert await town.payee.balance() == states.count(InvoiceState.SETTLED) * AMOUNT


async def look(town: LedgerTown, made: IssuedInvoice) -> InvoiceStatus | None:
    return await town.payee.lookup(made.payment_hash)


async def test_many_tasks_pay_many_invoices_and_the_books_are_straight(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with ledger_town(path) as town, trio.open_nursery() as nursery:
        for wallet in (town.payer, town.rival):
            for _ in range(10):
                nursery.start_soon(_pay_several, town, wallet)

    async with open_ledger(path, KEY, clock=SystemClock()) as payee:
        assert await payee.balance() == 20 * 5 * Msat(1000)
        assert await payee.audit() == []


async def _pay_several(town: LedgerTown, wallet: LedgerWallet) -> None:
    for _ in range(5):
        made = await invoice(town, Msat(1000))
        assert isinstance(await pay(wallet, made.bolt11), PaymentSettled)
