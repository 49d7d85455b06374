"""What a seed decides before a run begins: who takes part, what they want, and what goes wrong."""

from random import Random

from attrs import evolve, frozen

from pylon.config import (
    BackendsConfig,
    BudgetConfig,
    BuyerConfig,
    Config,
    NodeConfig,
    PricingConfig,
    ProviderConfig,
)
from pylon.model.money import Msat
from tests.simulation.chance import stream
from tests.simulation.hazard import Dangers
from tests.simulation.sky import Odds

TROUBLES = (
    "relays",
    "outages",
    "kills",
    "stores",
    "wallets",
    "payments",
    "models",
    "people",
    "crooks",
)
ARRIVALS_PER_SECOND = (0.5, 2.0, 8.0)  # a quiet day, a busy one, a rush
FUNDS = Msat(10_000_000)
MODES = ("hold+locked", "locked", "hold", "prepay")


@frozen
class Errand:
    """One job that a buyer wants done."""

    buyer: int
    at: float  # seconds after the start
    question: str
    provider: int | None  # the sellers, then the crooks; None: whoever makes an offer
    chat: bool
    encrypted: bool
    streaming: bool
    timeout_seconds: int
    modes: tuple[str, ...]
    answers: str  # "pays" without asking, or what a person says to the offer: yes, no, nothing
    cancel_after: float | None


@frozen
class Plan:
    """A whole run, before it begins."""

    seed: int
    troubles: frozenset[str]
    sellers: tuple[Config, ...]
    buyers: tuple[Config, ...]
    relays: tuple[Odds, ...]
    crooks: int
    dangers: Dangers
    model_trouble: float
    errands: tuple[Errand, ...]

    @property
    def seconds(self) -> float:
        """How long trouble lasts: until the last errand is well under way."""
        return max(errand.at for errand in self.errands) + 60


def draw(seed: int, jobs: int) -> Plan:
    """Plan a run. Every fourth seed has no trouble but kills, so that their effect shows alone."""
    chance = stream(seed, "plan")
    troubles = frozenset(t for t in TROUBLES if chance.random() < 0.6)
    if seed % 4 == 0:
        troubles = frozenset({"kills"})
    alone = troubles == {"kills"}
    seller, buyer = (_generous, _rich) if alone else (_seller, _buyer)
    sellers = tuple(seller(chance) for _ in range(chance.randint(2, 4)))
    buyers = tuple(buyer(chance) for _ in range(chance.randint(2, 4)))
    return Plan(
        seed,
        troubles,
        sellers,
        buyers,
        tuple(_odds(chance, troubles) for _ in range(chance.randint(1, 3))),
        crooks := chance.randint(1, 2) if "crooks" in troubles else 0,
        Dangers(
            kill=0.004 if "kills" in troubles else 0.0,
            store=0.004 if "stores" in troubles else 0.0,
            wallet=0.03 if "wallets" in troubles else 0.0,
        ),
        0.15 if "models" in troubles else 0.0,
        _errands(chance, jobs, len(sellers) + crooks, len(buyers), troubles),
    )


def _seller(chance: Random) -> Config:
    modes = chance.sample(MODES, chance.randint(1, len(MODES)))
    return Config(
        node=NodeConfig(grace_seconds=5),
        provider=ProviderConfig(
            require_payment=chance.random() > 0.1,
            modes=tuple(sorted({*modes, "prepay"}, key=MODES.index)),
            offer_expiry_seconds=chance.randint(30, 90),
            max_open_jobs_per_buyer=chance.randint(4, 16),
            max_unpaid_per_buyer=chance.randint(1, 4),
            max_holds=chance.randint(4, 16),
            max_holds_per_buyer=chance.randint(2, 8),
            max_queue=chance.randint(8, 64),
            announce=chance.random() < 0.5,
        ),
        backends=BackendsConfig(job_timeout_seconds=chance.randint(20, 40)),
        pricing=PricingConfig(base_msats=chance.randint(0, 10) * 1_000),
    )


def _generous(chance: Random) -> Config:
    """Make one that serves everybody."""
    config = _seller(chance)
    many = ProviderConfig(
        offer_expiry_seconds=90, max_open_jobs_per_buyer=1_000, max_unpaid_per_buyer=1_000
    )
    more = evolve(many, max_holds=1_000, max_holds_per_buyer=1_000, max_queue=1_000)
    return evolve(config, provider=more, backends=BackendsConfig(job_timeout_seconds=120))


def _rich(_: Random) -> Config:
    return Config(budget=BudgetConfig(per_job_sats=100, per_day_sats=0))


def _buyer(chance: Random) -> Config:
    tight = chance.random() < 0.3
    return Config(
        buyer=BuyerConfig(fee_floor_sats=chance.choice((1, 5))),
        budget=BudgetConfig(
            per_job_sats=100,
            per_provider_sats=chance.choice((0, 0, 300)),
            per_hour_sats=chance.choice((0, 400)),
            per_day_sats=chance.choice((100, 500)) if tight else 10_000,
        ),
    )


def _odds(chance: Random, troubles: frozenset[str]) -> Odds:
    if "relays" not in troubles:
        return Odds()
    names = ("lose", "silence", "double", "delay", "mix", "forge", "refuse")
    often = {name: chance.choice((0.0, 0.02, 0.1)) for name in names}
    return Odds(**often, cut=chance.choice((0.0, 0.005)), dial=chance.choice((0.0, 0.3)))


def _errands(
    chance: Random, jobs: int, sellers: int, buyers: int, troubles: frozenset[str]
) -> tuple[Errand, ...]:
    people, alone = "people" in troubles, troubles == {"kills"}
    says = ("pays", "pays", "pays", "yes", "no", "nothing") if people else ("pays",)
    at, errands, rate = 1.0, [], chance.choice(ARRIVALS_PER_SECOND)
    for number in range(jobs):
        at += chance.expovariate(rate)
        targeted = chance.random() < 0.7
        errands.append(
            Errand(
                buyer=chance.randrange(buyers),
                at=at,
                question=f"question {number:05}?",
                provider=chance.randrange(sellers) if targeted else None,
                chat=chance.random() < 0.2,
                encrypted=targeted and chance.random() < 0.3,
                streaming=chance.random() < 0.2,
                timeout_seconds=180 if alone else chance.randint(60, 180),
                modes=tuple(chance.sample(MODES, chance.randint(1, len(MODES)))),
                answers=chance.choice(says),
                cancel_after=chance.uniform(0, 30) if people and chance.random() < 0.3 else None,
            )
        )
    return tuple(errands)
