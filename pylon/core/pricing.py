"""What a job costs: integers only, quoted before the work, charged as quoted.

price = (base + tokens in x rate + most tokens out x rate) x backend's percent, not below the
minimum, rounded up to whole satoshi.
"""

from pylon.config import PricingConfig
from pylon.model.handler import Rates
from pylon.model.inference import Prompt
from pylon.model.money import Msat, whole_sats_up

BYTES_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4  # what chat templates put around each message


def estimate_tokens(prompt: Prompt) -> int:
    """Estimate the tokens of a prompt, the same on both sides of a deal.

    A token for every four bytes of a message's UTF-8, rounded up, and four more a message. No
    tokenizer is asked: the price is to be known before a backend is.
    """
    lengths = (len(message.content.encode()) for message in prompt.messages)
    return sum(TOKENS_PER_MESSAGE + -(-length // BYTES_PER_TOKEN) for length in lengths)


def quote(prompt: Prompt, backend: str, *, pricing: PricingConfig, max_tokens: int) -> Msat:
    """Return the price of answering a prompt with at most `max_tokens` tokens; whole satoshi."""
    thousandths = (
        pricing.base_msats * 1000
        + estimate_tokens(prompt) * pricing.input_msats_per_1k_tokens
        + max_tokens * pricing.output_msats_per_1k_tokens
    )
    msats = _percent(thousandths, pricing.multipliers.get(backend, 100), unit=1000)
    return whole_sats_up(Msat(max(msats, pricing.min_price_msats)))


def rates_of(backend: str, *, pricing: PricingConfig) -> Rates:
    """Return the price list as it applies to a backend, each rate rounded up to a millisatoshi."""
    percent = pricing.multipliers.get(backend, 100)
    return Rates(
        base=Msat(_percent(pricing.base_msats, percent, unit=1)),
        input_per_1k=Msat(_percent(pricing.input_msats_per_1k_tokens, percent, unit=1)),
        output_per_1k=Msat(_percent(pricing.output_msats_per_1k_tokens, percent, unit=1)),
        minimum=Msat(pricing.min_price_msats),
    )


def _percent(amount: int, percent: int, *, unit: int) -> int:
    return -(-amount * percent // (100 * unit))
