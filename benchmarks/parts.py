"""What the market's benchmarks share: a provider that answers at once, and requests for it."""

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext
from itertools import count

from attrs import evolve, frozen

from pylon.adapters.clock import SystemClock
from pylon.adapters.keys import LocalSigner
from pylon.config import Config
from pylon.core.ordering import Wish, draft_request
from pylon.model.event import Event
from pylon.model.inference import BackendHealth, Completion, Prompt, Usage
from pylon.model.money import PayMode
from pylon.wire.secp import KeyPair

CLOCK = SystemClock()
PROVIDER = LocalSigner(KeyPair(b"\x02" * 32))
CUSTOMER = LocalSigner(KeyPair(b"\x03" * 32))
MODEL = "instant"
QUESTION = "What is the capital of France, and since when? Answer in one sentence. " * 3
ANSWER = "Paris, with interruptions, since the tenth century. " * 4
SLOTS = 64
LONGEST_JOB_SECONDS = 2_400  # the ledger holds a payment for no more than an hour
_COMPLETION = Completion(ANSWER, "stop", Usage(60, 40), MODEL, "llamacpp")
_MANY = 1_000_000
_numbers = count()


@frozen
class _Generation:
    """An answer that is there already."""

    _completion: Completion

    async def __aiter__(self) -> AsyncIterator[str]:
        yield self._completion.text

    async def completion(self) -> Completion:
        return self._completion


@frozen
class InstantBackend:
    """A `Backend` that costs nothing, so that everything else is what is measured."""

    name: str = "llamacpp"

    async def health(self) -> BackendHealth:
        return BackendHealth(self.name, available=True, models=(MODEL,), slots=SLOTS)

    def generate(self, prompt: Prompt) -> AbstractAsyncContextManager[_Generation]:
        del prompt
        return nullcontext(_Generation(_COMPLETION))


def config(*, paid: bool, mode: PayMode = PayMode.PREPAY) -> Config:
    """Return the default configuration without its limits on how much at once, in one mode."""
    default = Config()
    provider = evolve(
        default.provider,
        require_payment=paid,
        modes=(mode.value,),
        max_queue=_MANY,
        max_open_jobs_per_buyer=_MANY,
        max_unpaid_per_buyer=_MANY,
        max_holds=_MANY,
        max_holds_per_buyer=_MANY,
    )
    buyer = evolve(default.buyer, modes=(mode.value,))
    backends = evolve(default.backends, job_timeout_seconds=LONGEST_JOB_SECONDS)
    budget = evolve(default.budget, per_day_sats=_MANY)
    return evolve(default, provider=provider, buyer=buyer, backends=backends, budget=budget)


def request(config_: Config) -> Event:
    """Sign a request for the provider, unlike all before it."""
    wish = Wish(f"{next(_numbers)}: {QUESTION}", provider=PROVIDER.public_key)
    return CUSTOMER.sign(draft_request(wish, config_.buyer, int(time.time())))
