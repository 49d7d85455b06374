"""From what a person wants to the request that asks for it, and the order that limits it."""

from math import ceil

from attrs import evolve, frozen

from pylon.config import BuyerConfig
from pylon.core import chat
from pylon.core.admission import CHAT_KIND, TEXT_KIND
from pylon.core.backends import combine
from pylon.core.fees import fee_limit
from pylon.errors import Malformed, Misconfigured
from pylon.model.event import Draft, Event
from pylon.model.ids import JobId, PublicKey
from pylon.model.job import JobInput
from pylon.model.money import Msat, Network, PayMode, from_sats
from pylon.model.order import Order
from pylon.wire import jobs


@frozen
class Wish:
    """What to ask, of whom, and for how much at most."""

    prompt: str
    kind: int = TEXT_KIND
    backend: str | None = None
    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    provider: PublicKey | None = None
    bid: Msat | None = None
    max_price: Msat | None = None  # None: the configured most
    modes: tuple[PayMode, ...] = ()  # how to pay, the best first; none: as configured
    timeout_seconds: int | None = None
    auto_pay: bool = False
    encrypted: bool = False
    streaming: bool = False
    relays: tuple[str, ...] = ()  # named in the request, for the provider to publish to


def draft_request(wish: Wish, config: BuyerConfig, now: int) -> Draft:
    """Write the request of a wish, in clear.

    Raises:
        Misconfigured: for a wish that no provider could be asked to grant.
    """
    if wish.kind not in (TEXT_KIND, CHAT_KIND):
        raise Misconfigured(
            f"kind {wish.kind} cannot be ordered; there are 5050 (text) and 5935 (chat)"
        )
    if wish.encrypted and wish.provider is None:
        raise Misconfigured("an encrypted job is for one provider: name it with --provider")
    asked, is_chat = _asked(wish), wish.kind == CHAT_KIND
    return jobs.write_request(
        wish.kind,
        now=now,
        inputs=() if is_chat else (JobInput(wish.prompt),),
        params=_stream(wish) if is_chat else (*_params(wish), *_stream(wish)),
        output=None if is_chat else "text/plain",
        bid=wish.bid,
        providers=() if wish.provider is None else (wish.provider,),
        relays=wish.relays,
        pay=accepted(wish, config),
        expires_at=now + (wish.timeout_seconds or config.timeout_seconds),
        content=chat.write_chat(asked) if is_chat else "",
    )


def make_order(
    wish: Wish, request: Event, config: BuyerConfig, *, network: Network, now: int
) -> Order:
    """Put the limits of a wish beside its signed request."""
    bid_or_most = wish.bid or from_sats(config.max_sats_per_job)
    max_price = wish.max_price if wish.max_price is not None else bid_or_most
    if wish.bid is not None and wish.bid > max_price:
        raise Misconfigured("the bid is above the most that may be paid")
    return Order(
        id=JobId(request.id),
        request=request,
        provider=wish.provider,
        max_price=max_price,
        max_fee=max_fee(max_price, config),
        network=network,
        auto_pay=wish.auto_pay,
        opened_at=now,
        offer_seconds=ceil(config.offer_window_seconds),
        deadline=now + (wish.timeout_seconds or config.timeout_seconds),
        encrypted=wish.encrypted,
        accepts=accepted(wish, config),
    )


def accepted(wish: Wish, config: BuyerConfig) -> tuple[PayMode, ...]:
    """Return how an order may be paid, the best first; raise `Misconfigured` where in no way."""
    modes = wish.modes or tuple(map(PayMode, config.modes))
    if not modes:
        raise Misconfigured("buyer.modes names no mode of payment: nothing could be bought")
    return tuple(dict.fromkeys(modes))


def max_fee(price: Msat, config: BuyerConfig) -> Msat:
    """Return the most a payment may cost on top: a percentage, or the floor if that is more."""
    return fee_limit(price, percent=config.fee_percent, floor=from_sats(config.fee_floor_sats))


def _asked(wish: Wish) -> chat.ChatRequest:
    """Read a wish as a provider will, so that nonsense is refused here and for nothing."""
    try:
        wanted = combine(backend=wish.backend, model=wish.model)
        return evolve(chat.read_params(_params(wish), wish.prompt), wanted=wanted)
    except Malformed as exc:
        raise Misconfigured(str(exc)) from exc


def _params(wish: Wish) -> tuple[tuple[str, str], ...]:
    """Write the params of a wish; backend and model in one word, as `llamacpp:gpt_oss_20b`."""
    wanted = combine(backend=wish.backend, model=wish.model)
    named = {
        "model": str(wanted) if wanted.backend or wanted.model else None,
        "max_tokens": wish.max_tokens,
        "temperature": wish.temperature,
    }
    return tuple((name, str(value)) for name, value in named.items() if value is not None)


def _stream(wish: Wish) -> tuple[tuple[str, str], ...]:
    return (("stream", "true"),) if wish.streaming else ()
