"""What must be true when the monkey has gone: market.md's invariants, read off the stores."""

from collections import Counter
from pathlib import Path

from attrs import asdict, field, frozen

from pylon.adapters import identity_file
from pylon.adapters.home import find_home
from pylon.app.store import open_store
from pylon.core import job_machine, order_machine
from pylon.model import order as orders
from pylon.model.ids import PaymentHash
from pylon.model.job import Delivered, JobState, Offered
from pylon.model.money import PayMode
from pylon.model.order import Order, OrderState
from pylon.ports.records import Record
from tests.integration.market import BUYER, SELLER, Market, rows

EVERYTHING = 1_000_000
_PAID = """
    SELECT payment.payment_hash, payment.description FROM payment JOIN account ON account.id = payer
    WHERE state = 'settled' AND account.name = '{payer}'"""
_SUMS = "SELECT (SELECT sum(balance) FROM account), (SELECT ifnull(sum(amount), 0) FROM entry)"
_ESCROW = """
    SELECT (SELECT balance FROM account WHERE name = 'escrow'),
           (SELECT ifnull(sum(amount + fee), 0) FROM payment WHERE state = 'pending')"""


@frozen
class Verdict:
    """How the jobs ended, and every invariant that does not hold, in words."""

    jobs: int
    ended: dict[str, int]  # orders, by state
    sold: dict[str, int]  # jobs at the provider, by state
    violations: tuple[str, ...] = field(factory=tuple)
    lost: int = 0
    double_paid: int = 0
    msat_out_of_nothing: int = 0

    def as_json(self) -> dict[str, object]:
        return asdict(self)


async def judge(market: Market, count: int) -> Verdict:
    """Read every store and the ledger; nothing of the market may be running but the provider."""
    async with open_store(market.home(BUYER) / "pylon.db") as store:
        bought = await store.orders.recent(limit=EVERYTHING)
    async with open_store(market.home(SELLER) / "pylon.db") as store:
        sold = await store.jobs.recent(limit=EVERYTHING)
    payer = (await market.ok(BUYER, "whoami"))["node_key"]
    payments = rows(market.ledger, _PAID.format(payer=payer))
    paid = [PaymentHash(payment_hash) for payment_hash, _ in payments]
    per_job = Counter(description for _, description in payments)
    ((balances, entries),) = rows(market.ledger, _SUMS)
    lost = count - sum(order_machine.is_final(record.state) for record in bought)
    twice = sum(times - 1 for times in per_job.values())
    return Verdict(
        jobs=count,
        ended=_by_state(record.state for record in bought),
        sold=_by_state(record.state for record in sold),
        violations=(
            *([f"I6: {lost} of {count} orders have not ended"] if lost else []),
            *[f"I2: {job} was paid for {n} times" for job, n in per_job.items() if n > 1],
            *_money(market),
            *_unanswered(bought, paid),
            *[f"I6: job {r.id[:8]} is still {_name(r.state)}" for r in sold if not _rests(r.state)],
            *await _books(market),
            *_secrets(market),
            *[f"a traceback: {text[-300:]}" for text in market.tracebacks],
        ),
        lost=lost,
        double_paid=twice,
        msat_out_of_nothing=abs(balances) + abs(entries),
    )


def _money(market: Market) -> list[str]:
    """I1: sats are conserved over all wallets, escrow and fees."""
    ((balances, entries),) = rows(market.ledger, _SUMS)
    ((escrow, pending),) = rows(market.ledger, _ESCROW)
    found = []
    if balances or entries:
        found.append(f"I1: balances sum to {balances} msat and entries to {entries}, not to 0")
    if escrow != pending:
        found.append(f"I1: {escrow} msat in escrow for {pending} msat on their way")
    return found


def _unanswered(bought: list[Record[Order, OrderState]], paid: list[PaymentHash]) -> list[str]:
    """I3, I4: what is settled was answered, or was prepaid and its evidence is kept."""
    by_hash = {
        offer.payment_hash: record
        for record in bought
        if isinstance(offer := getattr(record.state, "offer", None), orders.Offer)
    }
    found = []
    for payment_hash in paid:
        record = by_hash.get(payment_hash)
        if record is None:
            found.append(f"I4: {payment_hash[:8]} is settled, and no order knows of it")
        elif not isinstance(record.state, orders.Done):
            offer = getattr(record.state, "offer", None)
            if offer is None or offer.mode is not PayMode.PREPAY:
                found.append(f"I3: {record.id[:8]} is settled, and {_name(record.state)}")
    settled = set(paid)
    for payment_hash, record in by_hash.items():
        if isinstance(record.state, orders.Done) and payment_hash not in settled:
            found.append(f"I4: {record.id[:8]} counts as paid, and is not settled")
    return found


def _rests(state: JobState) -> bool:
    """Say whether a job has ended, or waits for nothing but an invoice to expire unpaid."""
    return job_machine.is_final(state) or isinstance(state, Offered | Delivered)


async def _books(market: Market) -> list[str]:
    """Ask the ledger's own audit, and hold the earnings against the wallet."""
    faults = [f"I1: {fault}" for fault in await market.faults()]
    told = (await market.pylon(SELLER, "earnings", "--reconcile", "--json")).json
    wrong = [difference for difference in told["differences"] if difference["wrong"]]
    return faults + [f"I4: {difference}" for difference in wrong]


def _secrets(market: Market) -> list[str]:
    """I8: no word of a home's secret is in what any program said, or on the relay."""
    said = [*market.root.glob("errors-*.txt"), *market.root.glob("relay.db*")]
    found = []
    for name in (SELLER, BUYER):
        home = find_home({"HOME": str(market.root)}, asked=market.home(name))
        words = identity_file.load(home, passphrase=None).encode()
        found += [
            f"I8: {file.name} holds the words of the {name}"
            for file in said
            if words in _read(file)
        ]
    return found


def _read(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""


def _by_state(states: object) -> dict[str, int]:
    return dict(sorted(Counter(_name(state) for state in states).items()))  # type: ignore[attr-defined]


def _name(state: object) -> str:
    return type(state).__name__
