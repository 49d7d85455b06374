"""The numbers of one run, or of many."""

from collections import Counter

from attrs import field, frozen

from tests.simulation.books import orders_of, read_ledger
from tests.simulation.invariants import lost_orders, paid_twice
from tests.simulation.market import Market


@frozen
class Report:
    """What happened; reports of several runs can be added."""

    runs: int = 0
    jobs: int = 0
    seconds: float = 0.0  # by the clock on the wall
    market_seconds: float = 0.0  # by the clock in the market
    lost: int = 0
    paid_twice: int = 0
    sats: int = 0  # msat made out of nothing, or vanished
    ends: Counter[str] = field(factory=Counter)
    modes: Counter[str] = field(factory=Counter)  # of what was paid for
    faults: Counter[str] = field(factory=Counter)
    digest: str = ""

    def __add__(self, other: "Report") -> "Report":
        return Report(
            self.runs + other.runs,
            self.jobs + other.jobs,
            self.seconds + other.seconds,
            self.market_seconds + other.market_seconds,
            self.lost + other.lost,
            self.paid_twice + other.paid_twice,
            self.sats + other.sats,
            self.ends + other.ends,
            self.modes + other.modes,
            self.faults + other.faults,
        )

    def table(self) -> str:
        """Write the numbers, one a line."""
        rows = [
            ("runs, each from its own seed", self.runs),
            ("jobs", self.jobs),
            *((f"jobs that ended as {end}", n) for end, n in self.ends.most_common()),
            *((f"paid: {mode}", n) for mode, n in self.modes.most_common()),
            *((f"fault: {fault}", n) for fault, n in sorted(self.faults.items())),
            ("faults", self.faults.total()),
            ("lost: paid to an honest seller, neither answered nor paid back", self.lost),
            ("paid twice", self.paid_twice),
            ("msat made or vanished", self.sats),
            ("hours in the market", round(self.market_seconds / 3600)),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:{width}}  {number:>9,}" for name, number in rows)


def report(market: Market, *, seconds: float, began_at: float) -> Report:
    """Count what happened in a run that took so many seconds."""
    ledger = read_ledger(market.world.ledger)
    records = [r for customer in market.customers for r in orders_of(customer.home)]
    offers = [getattr(r.state, "offer", None) for r in records]
    return Report(
        runs=1,
        jobs=len(records),
        seconds=seconds,
        market_seconds=market.ended_at - began_at,
        lost=len(lost_orders(market)),
        paid_twice=len(paid_twice(market, ledger)),
        sats=abs(sum(ledger.balances.values())),
        ends=Counter(type(r.state).__name__ for r in records),
        modes=Counter(str(offer.mode) for offer in offers if offer is not None),
        faults=market.chronicle.faults,
        digest=market.chronicle.digest(),
    )
