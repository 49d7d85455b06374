"""What a provider announces (NIP-89): kinds, models, prices and how to pay."""

from attrs import frozen

from pylon.model.ids import PublicKey
from pylon.model.money import Msat, PayMode


@frozen
class Rates:
    """A price list: base + input + output, at least the minimum, in whole satoshi."""

    base: Msat
    input_per_1k: Msat  # for 1,000 tokens read
    output_per_1k: Msat  # for 1,000 tokens the answer may have
    minimum: Msat


@frozen
class ModelOffer:
    """A model by its identifier, such as `llamacpp:gpt_oss_20b`; None: the price is not said."""

    name: str
    rates: Rates | None = None


@frozen
class Handler:
    """An announcement as read. Everything in it is the provider's own claim."""

    provider: PublicKey
    identifier: str  # of the announcement among the provider's own
    created_at: int  # unix seconds
    kinds: tuple[int, ...]  # of the jobs it takes
    name: str = ""
    about: str = ""
    models: tuple[ModelOffer, ...] = ()
    pay: tuple[PayMode, ...] | None = None  # None: it does not say
    amount: str = ""  # free, flexible, subscription or a number, in other programs' words
    encryption: bool = False
    expires_at: int | None = None
