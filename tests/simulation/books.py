"""A finished run, read into plain values: what the wallets, the nodes and the relays hold."""

from collections.abc import Iterable
from typing import Any

from attrs import field, frozen

from pylon.adapters.memory.wallet import MemoryMarket
from pylon.model.event import Event
from pylon.model.ids import JobId, PaymentHash
from pylon.model.job import Job, JobState
from pylon.model.order import Order, OrderState
from pylon.ports.records import Record
from tests.market.nodes import NodeHome
from tests.market.world import World


@frozen
class Payment:
    """One payment, as the ledger has it."""

    payer: str  # node key
    payment_hash: PaymentHash
    state: str
    amount: int
    fee: int


@frozen
class Bill:
    """One invoice, as the ledger has it."""

    payee: str  # node key
    payment_hash: PaymentHash
    state: str
    amount: int
    description: str
    preimage: str | None = field(repr=False)


@frozen
class Ledger:
    """All of everybody's money."""

    balances: dict[str, int]  # by node key; escrow, fees and faucet by name
    payments: tuple[Payment, ...]
    bills: dict[PaymentHash, Bill]

    def settled_by(self, payer: str) -> list[Payment]:
        """Return what a wallet has paid."""
        return [p for p in self.payments if p.payer == payer and p.state == "settled"]

    def earned_by(self, payee: str) -> list[Bill]:
        """Return what a wallet was paid."""
        return [b for b in self.bills.values() if b.payee == payee and b.state == "settled"]


def read_ledger(market: MemoryMarket) -> Ledger:
    """Read the tables."""

    def rows(sql: str) -> list[tuple[Any, ...]]:
        return market._book.read(lambda db: [*db.execute(sql)])

    payments = rows("""SELECT name, payment_hash, state, amount, fee
                       FROM payment JOIN account ON id = payer""")
    bills = rows("""SELECT name, payment_hash, state, amount, description, preimage
                    FROM invoice JOIN account ON id = payee""")
    return Ledger(
        dict(rows("SELECT name, balance FROM account")),
        tuple(Payment(*row) for row in payments),
        {row[1]: Bill(*row) for row in bills},
    )


def jobs_of(home: NodeHome) -> list[Record[Job, JobState]]:
    """Return everything a seller was asked."""
    return [machine.record for machine in home.store.jobs._machines.values()]  # type: ignore[attr-defined]


def orders_of(home: NodeHome) -> list[Record[Order, OrderState]]:
    """Return everything a buyer has ordered."""
    return [machine.record for machine in home.store.orders._machines.values()]  # type: ignore[attr-defined]


def evidence_of(home: NodeHome, order: JobId) -> list[Event]:
    """Return the events that a buyer has kept with an order."""
    return [*home.store.orders._machines[order].evidence.values()]  # type: ignore[attr-defined]


def events_on(world: World) -> Iterable[Event]:
    """Return what all relays hold."""
    for relay in world.relays.values():
        yield from relay.store._events.values()
