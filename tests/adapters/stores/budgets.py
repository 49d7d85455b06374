"""Asking a budget, in few words."""

from collections.abc import Sequence

from pylon.core.budget import SECONDS_PER_DAY
from pylon.model.budget import NODE, Purpose, Scope
from pylon.model.ids import PublicKey
from pylon.model.money import Msat
from pylon.ports.budget import Budget, Caps, Limits, Span, Usage
from tests.adapters.stores.samples import NOW, job_id, payment_hash

NO_CAPS = Caps()
MIDNIGHT = NOW - NOW % SECONDS_PER_DAY


def purpose(order: int, provider: int = 0, scopes: Sequence[Scope] = (NODE,)) -> Purpose:
    """Say what a payment is for; 0 is no provider."""
    seller = PublicKey(f"{provider:064x}") if provider else None
    return Purpose(job_id(order), seller, tuple(scopes))


async def reserve(
    budget: Budget,
    n: int,
    *,
    order: int = 1,
    provider: int = 0,
    amount: int = 10,
    fee: int = 1,
    caps: Caps = NO_CAPS,
    scopes: Sequence[Scope] = (NODE,),
    limits: Limits | None = None,
    now: int = NOW,
) -> str | None:
    """Reserve for payment number `n`; `caps` are the node's, `limits` those of every scope."""
    return await budget.reserve(
        payment_hash(n),
        purpose(order, provider, scopes),
        amount=Msat(amount),
        fee=Msat(fee),
        limits={NODE: caps} if limits is None else limits,
        now=now,
    )


async def spend(budget: Budget, n: int, *, amount: int = 10, fee: int = 0, now: int = NOW) -> None:
    """Book payment number `n` as spent."""
    await budget.spend(payment_hash(n), amount=Msat(amount), fee=Msat(fee), now=now)


async def used(budget: Budget, *, now: int = NOW, scope: Scope = NODE) -> Usage:
    """Return what a scope has used, but for jobs and providers."""
    return (await budget.usage(Purpose(scopes=(scope,)), now=now))[scope]


async def in_one_day(budget: Budget, *, now: int) -> Msat:
    """Return what is committed on the day of `now`."""
    return (await used(budget, now=now))[Span.DAY].committed
