"""Whether a provider takes a job, and on which terms: decided before any work (market.md)."""

from typing import TypeAlias

from attrs import evolve, field, frozen

from pylon.config import BackendsConfig, PricingConfig, ProviderConfig
from pylon.core import backends, chat, pricing
from pylon.core.job_machine import HELD_FIRST
from pylon.core.open_jobs import Load
from pylon.core.wallet_modes import selling_modes
from pylon.errors import Malformed
from pylon.model.event import Event
from pylon.model.ids import PublicKey
from pylon.model.inference import BackendHealth, Prompt
from pylon.model.job import Job, JobRequest
from pylon.model.money import ZERO, Msat, PayMode, show_sats
from pylon.model.wallet import Capabilities

TEXT_KIND = 5050
CHAT_KIND = 5935
KINDS = (TEXT_KIND, CHAT_KIND)  # what our backends can really do

MAX_FUTURE_SECONDS = 900  # how far a customer's clock may be ahead

_STRANGERS_PAY = (PayMode.PREPAY, PayMode.HOLD)  # invoices that any wallet can pay


@frozen
class Service:
    """What we sell: the configuration, and what the backends and the wallet can do now."""

    provider: ProviderConfig
    pricing: PricingConfig
    backends: BackendsConfig
    healths: tuple[BackendHealth, ...]
    seconds_per_job: int = 10  # what one takes, by our own experience
    able: Capabilities = field(factory=Capabilities)  # of the wallet

    @property
    def kinds(self) -> tuple[int, ...]:
        """The kinds we are configured for and able to serve."""
        return tuple(kind for kind in self.provider.kinds if kind in KINDS)

    @property
    def modes(self) -> tuple[PayMode, ...]:
        """How we can be paid, the preferred mode first."""
        if not self.provider.require_payment:
            return (PayMode.FREE,)
        able = selling_modes(self.able)
        return tuple(PayMode(word) for word in self.provider.modes if word in able)


@frozen
class Terms:
    """What we take a job for."""

    prompt: Prompt
    backend: str
    model: str
    mode: PayMode
    price: Msat  # whole sats; ZERO when the mode is free
    offer_seconds: int
    work_seconds: int
    streaming: bool


@frozen
class Refusal:
    """Turned away; `reason` is told to the customer."""

    reason: str


@frozen
class Ignored:
    """None of our business, or long over: nobody is told."""

    reason: str


Admission: TypeAlias = Terms | Refusal | Ignored


def admit(
    request: JobRequest, service: Service, load: Load, *, me: PublicKey, now: int
) -> Admission:
    """Decide on a request that is verified and decrypted. Cheap checks come first."""
    ignored = _not_ours(request, service, me) or _stale(request, service, now)
    if ignored:
        return Ignored(ignored)
    refused = (
        _unserved(request, service, now)
        or _oversized(request, service)
        or _overloaded(request, service, load, now)
    )
    if refused:
        return Refusal(refused)
    try:
        asked = _read_chat(request)
    except Malformed as exc:
        return Refusal(str(exc))
    return _agree(request, asked, service, load)


def _not_ours(request: JobRequest, service: Service, me: PublicKey) -> str | None:
    if request.providers:
        return None if me in request.providers else "addressed to others"
    if not service.provider.accept_broadcast:
        return "addressed to nobody in particular"
    return "our own broadcast" if request.customer == me else None


def _stale(request: JobRequest, service: Service, now: int) -> str | None:
    """Relays keep requests: every reconnect brings old ones, which nobody waits for any more.

    One that says until when it is waited for has arrived in time, however long we were away.
    """
    if request.expires_at is not None:
        return "expired" if request.expires_at <= now else None
    too_old = request.created_at < now - service.provider.max_job_age_seconds
    return "too old" if too_old else None


def _unserved(request: JobRequest, service: Service, now: int) -> str | None:
    if request.created_at > now + MAX_FUTURE_SECONDS:
        return "the request is dated in the future"
    if request.kind not in service.kinds:
        return f"kind {request.kind} is not served here"
    types = sorted({item.type for item in request.inputs} - {"text"})
    if types:
        # Nothing here fetches what a stranger points at; url inputs could point inside.
        return f"inputs of type {', '.join(types)} are not served here, only text"
    return None


def _oversized(request: JobRequest, service: Service) -> str | None:
    limit = service.provider.max_input_bytes
    texts = [item.data for item in request.inputs]
    if texts != [request.content]:  # which stands in for an input where there is none
        texts.append(request.content)
    size = sum(len(text.encode()) for text in texts)
    return f"the input has {size:,} bytes, more than {limit:,}" if size > limit else None


def _overloaded(request: JobRequest, service: Service, load: Load, now: int) -> str | None:
    """Promise only what the backends can finish in time."""
    limit = service.provider.max_open_jobs_per_buyer
    if load.open_jobs >= limit:
        return f"you have {load.open_jobs} unfinished jobs here; {limit} are allowed"
    slots = max(1, sum(health.slots for health in service.healths if health.available))
    seconds = (load.queued // slots + 1) * service.seconds_per_job
    if load.queued >= service.provider.max_queue + slots:
        return "the queue is full"
    if seconds > service.backends.job_timeout_seconds:
        return f"the queue is full: an answer would take about {seconds} s"
    if request.expires_at is not None and now + seconds > request.expires_at:
        return f"an answer would take about {seconds} s, and the request expires before"
    return None


def _read_chat(request: JobRequest) -> chat.ChatRequest:
    if request.kind == CHAT_KIND:
        return chat.read_chat(request.content)
    params = ((name, values[0]) for name, *values in request.params)
    return chat.read_params(params, "\n\n".join(item.data for item in request.inputs))


def _agree(
    request: JobRequest, asked: chat.ChatRequest, service: Service, load: Load
) -> Terms | Refusal:
    config = service.backends
    chosen = backends.choose(
        config.order, service.healths, asked.wanted, default_model=config.default_model
    )
    if isinstance(chosen, backends.Refused):
        return Refusal(chosen.reason)
    max_tokens = asked.prompt.max_tokens or config.max_tokens
    if chosen.backend == "embedded" and _fills(asked.prompt, config.context_tokens):
        return Refusal(f"the input fills the model's context of {config.context_tokens:,} tokens")
    price = pricing.quote(
        asked.prompt, chosen.backend, pricing=service.pricing, max_tokens=max_tokens
    )
    mode = _mode(request, service, load, price)
    if isinstance(mode, Refusal):
        return mode
    price = ZERO if mode is PayMode.FREE else price
    if request.bid is not None and request.bid < price:
        bid = show_sats(request.bid)
        return Refusal(f"the bid of {bid} is below the price of {show_sats(price)}")
    return Terms(
        prompt=evolve(asked.prompt, model=chosen.model, max_tokens=max_tokens),
        backend=chosen.backend,
        model=chosen.model or "",
        mode=mode,
        price=price,
        offer_seconds=service.provider.offer_expiry_seconds,
        work_seconds=config.job_timeout_seconds,
        # What is not paid for yet is not told piece by piece before it is locked.
        streaming=request.param("stream") == "true" and mode is not PayMode.LOCKED,
    )


def _fills(prompt: Prompt, context_tokens: int) -> bool:
    return pricing.estimate_tokens(prompt) >= context_tokens


def _mode(request: JobRequest, service: Service, load: Load, price: Msat) -> PayMode | Refusal:
    """Take the first mode the customer accepts that we offer, and that it has not used up."""
    if price == ZERO or not service.provider.require_payment:
        return PayMode.FREE
    offered = tuple(mode for mode in service.modes if mode is not PayMode.FREE)
    if request.pay is None:
        common = tuple(mode for mode in offered if mode in _STRANGERS_PAY)
    else:
        common = tuple(mode for mode in request.pay if mode in offered)
    if not common:
        return Refusal(f"no payment mode in common; we take {', '.join(offered) or 'none'}")
    reasons = [_exhausted(mode, service.provider, load) for mode in common]
    free = (mode for mode, reason in zip(common, reasons, strict=True) if reason is None)
    return next(free, None) or Refusal("; ".join(dict.fromkeys(filter(None, reasons))))


def _exhausted(mode: PayMode, provider: ProviderConfig, load: Load) -> str | None:
    """Say why no more jobs can be paid in this mode now."""
    if mode is PayMode.LOCKED and load.unpaid >= provider.max_unpaid_per_buyer:
        return (
            f"you have {load.unpaid} jobs here that are not paid; "
            f"{provider.max_unpaid_per_buyer} are allowed"
        )
    if mode in HELD_FIRST and load.own_holds >= provider.max_holds_per_buyer:
        return (
            f"{load.own_holds} payments of yours are held here, or may be; "
            f"{provider.max_holds_per_buyer} are allowed"
        )
    if mode in HELD_FIRST and load.holds >= provider.max_holds:
        return "no more payments can be held now"
    return None


def admitted(event: Event, request: JobRequest, terms: Terms, now: int) -> Job:
    """Make the job that a request is taken as."""
    return Job(
        id=request.id,
        request=event,
        prompt=terms.prompt,
        backend=terms.backend,
        model=terms.model,
        mode=terms.mode,
        price=terms.price,
        encryption=request.encryption,
        accepted_at=now,
        offer_seconds=terms.offer_seconds,
        work_seconds=terms.work_seconds,
        streaming=terms.streaming,
    )


def turned_away(event: Event, request: JobRequest, now: int) -> Job:
    """Remember whom we refused, but not what they sent: strangers could fill the disk with it."""
    return Job(
        id=request.id,
        request=evolve(event, tags=(), content=""),
        prompt=Prompt(()),
        backend="",
        model="",
        mode=PayMode.FREE,
        price=ZERO,
        encryption=request.encryption,
        accepted_at=now,
        offer_seconds=0,
        work_seconds=0,
    )
