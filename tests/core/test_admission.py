"""A provider takes only work that it can do, in time, for enough money."""

from typing import Any

import pytest
from attrs import evolve

from pylon.config import BackendsConfig, PricingConfig, ProviderConfig
from pylon.core.admission import (
    MAX_FUTURE_SECONDS,
    Admission,
    Ignored,
    Refusal,
    Service,
    Terms,
    admit,
    admitted,
    turned_away,
)
from pylon.core.open_jobs import Load
from pylon.model.ids import EventId, JobId, PublicKey
from pylon.model.inference import BackendHealth, Message
from pylon.model.job import JobInput, JobRequest
from pylon.model.money import ZERO, Msat, PayMode
from pylon.model.wallet import Capabilities
from tests.nostr import note

NOW = 1_700_000_000
ME, BUYER, OTHER = (PublicKey(name * 32) for name in ("aa", "bb", "cc"))
SERVICE = Service(
    provider=ProviderConfig(kinds=(5050, 5935, 5100)),
    pricing=PricingConfig(),
    backends=BackendsConfig(),
    healths=(
        BackendHealth("llamacpp", available=True, models=("qwen3",), slots=2),
        BackendHealth("embedded", available=True, models=("smol",), slots=2),
        BackendHealth("ollama", available=False, models=("llama3.2",), slots=8, reason="down"),
    ),
    seconds_per_job=10,
)
IDLE = Load(open_jobs=0, queued=0)
REQUEST = JobRequest(
    id=JobId(EventId("11" * 32)),
    kind=5050,
    customer=BUYER,
    created_at=NOW,
    inputs=(JobInput("What is 2+2?"),),
    providers=(ME,),
)
CHAT = evolve(
    REQUEST,
    kind=5935,
    inputs=(),
    content='{"backend":"embedded","messages":[{"role":"user","content":"hi"}]}',
)


def decide(
    request: JobRequest = REQUEST, service: Service = SERVICE, load: Load = IDLE, **changes: Any
) -> Admission:
    return admit(evolve(request, **changes), service, load, me=ME, now=NOW)


def refusal(*args: Any, **changes: Any) -> str:
    decision = decide(*args, **changes)
    assert isinstance(decision, Refusal)
    return decision.reason


def terms(*args: Any, **changes: Any) -> Terms:
    decision = decide(*args, **changes)
    assert isinstance(decision, Terms), decision
    return decision


def selling(**changes: Any) -> Service:
    return evolve(SERVICE, provider=evolve(SERVICE.provider, **changes))


def test_a_good_request_is_taken_on_our_terms() -> None:
    taken = terms(params=(("temperature", "0.5"), ("top-k", "40"), ("stream", "true")))
    assert taken.prompt.messages == (Message("user", "What is 2+2?"),)
    assert (taken.prompt.temperature, taken.prompt.top_k) == (0.5, 40)
    assert (taken.backend, taken.model, taken.prompt.model) == ("llamacpp", "qwen3", "qwen3")
    assert taken.prompt.max_tokens == BackendsConfig().max_tokens
    assert (taken.mode, taken.price) == (PayMode.PREPAY, 12_000)
    assert (taken.offer_seconds, taken.work_seconds) == (600, 300)
    assert taken.streaming
    assert not terms().streaming


def test_the_price_is_that_of_the_tokens_asked_for() -> None:
    taken = terms(params=(("max_tokens", "1000"),))
    assert (taken.prompt.max_tokens, taken.price) == (1000, 22_000)


def test_several_texts_are_one_question() -> None:
    taken = terms(inputs=(JobInput("Translate."), JobInput("Bonjour.")))
    assert taken.prompt.messages[0].content == "Translate.\n\nBonjour."


def test_a_chat_is_taken_with_the_backend_it_names() -> None:
    taken = terms(CHAT)
    assert (taken.backend, taken.prompt.messages) == ("embedded", (Message("user", "hi"),))


@pytest.mark.parametrize(
    ("request_", "service"),
    [
        (evolve(REQUEST, providers=(OTHER,)), SERVICE),
        (evolve(REQUEST, providers=()), selling(accept_broadcast=False)),
        (evolve(REQUEST, providers=(), customer=ME), SERVICE),
        (evolve(REQUEST, created_at=NOW - 601), SERVICE),
        (evolve(REQUEST, expires_at=NOW), SERVICE),
    ],
    ids=["for others", "broadcast", "our own broadcast", "replay of an old job", "expired"],
)
def test_what_is_not_ours_or_long_over_is_ignored_silently(
    request_: JobRequest, service: Service
) -> None:
    assert isinstance(decide(request_, service), Ignored)


def test_a_request_that_came_while_we_were_down_is_served_until_it_expires() -> None:
    week_old = evolve(REQUEST, created_at=NOW - 7 * 86_400)
    assert isinstance(decide(evolve(week_old, expires_at=NOW + 60)), Terms)
    assert isinstance(decide(evolve(week_old, expires_at=NOW)), Ignored)
    assert isinstance(decide(week_old), Ignored)


@pytest.mark.parametrize(
    "changes",
    [
        {"providers": (OTHER, ME)},
        {"providers": ()},
        {"customer": ME},
        {"created_at": NOW - 600},
        {"expires_at": NOW + 60},
        {"created_at": NOW + MAX_FUTURE_SECONDS},
    ],
)
def test_what_is_just_about_ours_and_in_time_is_taken(changes: dict[str, Any]) -> None:
    assert terms(**changes).backend == "llamacpp"


def test_a_request_far_in_the_future_is_refused() -> None:
    assert "in the future" in refusal(created_at=NOW + MAX_FUTURE_SECONDS + 1)


@pytest.mark.parametrize("kind", [5000, 5100, 5940])
def test_a_kind_no_backend_can_do_is_refused_even_when_configured(kind: int) -> None:
    assert refusal(kind=kind) == f"kind {kind} is not served here"
    assert SERVICE.kinds == (5050, 5935)


@pytest.mark.parametrize("type_", ["url", "event", "job"])
def test_an_input_that_points_somewhere_is_refused(type_: str) -> None:
    pointing = JobInput("http://127.0.0.1/secrets", type_)
    assert type_ in refusal(inputs=(JobInput("see this"), pointing))


def test_an_oversized_input_is_refused_in_bytes() -> None:
    small = selling(max_input_bytes=10)
    assert refusal(service=small) == "the input has 12 bytes, more than 10"
    assert "has 12 bytes" in refusal(service=small, inputs=(JobInput("ééé"), JobInput("ééé")))
    assert isinstance(decide(service=small, inputs=(JobInput("é" * 5),)), Terms)
    assert "more than 10" in refusal(CHAT, small)


def test_text_that_is_not_asked_about_counts_as_input_because_it_is_kept() -> None:
    small = selling(max_input_bytes=20)
    assert "has 21 bytes" in refusal(service=small, content="x" * 9)
    assert isinstance(decide(service=small, content="x" * 8), Terms)
    long = "x" * 20
    assert isinstance(decide(service=small, inputs=(JobInput(long),), content=long), Terms)
    assert "more than" in refusal(CHAT, selling(max_input_bytes=100), inputs=(JobInput("x" * 50),))


def test_a_model_or_backend_we_do_not_have_is_refused_by_name() -> None:
    assert "gpt_oss_20b" in refusal(params=(("model", "gpt_oss_20b"),))
    assert "down" in refusal(params=(("model", "ollama:llama3.2"),))


def test_parameters_and_chats_that_cannot_be_read_are_refused_with_the_reason() -> None:
    assert "max_tokens" in refusal(params=(("max_tokens", "many"),))
    assert refusal(inputs=(JobInput(" "),)) == "the prompt is empty"
    assert refusal(inputs=()) == "the prompt is empty"
    assert refusal(CHAT, content="review this patch").startswith("not a chat")


def test_an_input_that_fills_the_embedded_models_context_is_refused() -> None:
    cramped = evolve(SERVICE, backends=BackendsConfig(context_tokens=256))
    long = (JobInput("x" * 1_008),)  # 252 tokens and 4 more
    embedded = (("model", "embedded:smol"),)
    assert "context of 256 tokens" in refusal(service=cramped, inputs=long, params=embedded)
    assert isinstance(
        decide(service=cramped, inputs=(JobInput("x" * 1_004),), params=embedded), Terms
    )
    assert isinstance(decide(service=cramped, inputs=long), Terms), "llamacpp knows its own"


def test_one_buyer_cannot_have_too_many_open_jobs() -> None:
    limit = SERVICE.provider.max_open_jobs_per_buyer
    assert "unfinished jobs" in refusal(load=Load(limit, 0))
    assert isinstance(decide(load=Load(limit - 1, 0)), Terms)


def test_the_queue_holds_no_more_than_the_backends_finish_in_time() -> None:
    # 4 slots, 10 s a job, 300 s for the work: 30 rounds of 4 are done in time, a 31st is not.
    roomy = selling(max_queue=1_000)
    assert isinstance(decide(service=roomy, load=Load(0, 119)), Terms)
    assert "about 310 s" in refusal(service=roomy, load=Load(0, 120))


def test_the_queue_is_bounded_by_configuration_too() -> None:
    short = selling(max_queue=3)
    assert isinstance(decide(service=short, load=Load(0, 6)), Terms)
    assert refusal(service=short, load=Load(0, 7)) == "the queue is full"


def test_work_that_would_end_after_the_request_expires_is_refused() -> None:
    assert "expires before" in refusal(expires_at=NOW + 9)
    assert isinstance(decide(expires_at=NOW + 10), Terms)


def test_with_every_backend_down_a_request_is_refused_and_not_divided_by_zero() -> None:
    down = tuple(evolve(health, available=False) for health in SERVICE.healths)
    assert "cannot generate now" in refusal(service=evolve(SERVICE, healths=down))


def test_a_bid_below_the_price_is_refused_with_the_price() -> None:
    assert refusal(bid=Msat(11_999)) == "the bid of 11.999 sat is below the price of 12 sat"
    assert terms(bid=Msat(12_000)).price == 12_000
    assert terms(bid=Msat(99_000)).price == 12_000


@pytest.mark.parametrize(
    "wanted", [None, (PayMode.PREPAY,), (PayMode.LOCKED, PayMode.HOLD, PayMode.PREPAY)]
)
def test_the_buyers_first_mode_that_we_offer_is_taken(wanted: tuple[PayMode, ...] | None) -> None:
    assert terms(pay=wanted).mode is PayMode.PREPAY


def test_without_a_mode_in_common_a_request_is_refused() -> None:
    for wanted in ((), (PayMode.LOCKED,), (PayMode.FREE,)):
        assert refusal(pay=wanted) == "no payment mode in common; we take prepay"
    assert refusal(service=selling(modes=("free",))).endswith("we take none")


ABLE = evolve(SERVICE, able=Capabilities(hold=True, chosen_preimage=True))
ALL_MODES = (PayMode.HOLD_LOCKED, PayMode.LOCKED, PayMode.HOLD, PayMode.PREPAY)


@pytest.mark.parametrize(
    ("able", "modes"),
    [
        (Capabilities(), (PayMode.PREPAY,)),
        (Capabilities(tells_preimage=True), (PayMode.LOCKED, PayMode.PREPAY)),
        (Capabilities(chosen_preimage=True), (PayMode.LOCKED, PayMode.PREPAY)),
        (Capabilities(hold=True), ALL_MODES),
    ],
)
def test_what_is_offered_is_what_is_configured_and_the_wallet_can(
    able: Capabilities, modes: tuple[PayMode, ...]
) -> None:
    service = evolve(SERVICE, able=able)
    assert service.modes == modes
    for wanted in ALL_MODES:
        assert isinstance(decide(service=service, pay=(wanted,)), Terms) == (wanted in modes)
    turned = evolve(service, provider=evolve(service.provider, modes=("prepay", "hold")))
    assert turned.modes == tuple(m for m in (PayMode.PREPAY, PayMode.HOLD) if m in modes)


def test_the_customers_order_decides() -> None:
    for wanted in (ALL_MODES, ALL_MODES[::-1], (PayMode.FREE, PayMode.HOLD, PayMode.LOCKED)):
        first = next(mode for mode in wanted if mode is not PayMode.FREE)
        assert terms(service=ABLE, pay=wanted).mode is first


def test_a_stranger_gets_what_any_wallet_can_pay_in_our_order() -> None:
    assert terms(service=ABLE).mode is PayMode.HOLD
    rather = evolve(ABLE, provider=evolve(ABLE.provider, modes=("locked", "prepay", "hold")))
    assert terms(service=rather).mode is PayMode.PREPAY
    neither = evolve(ABLE, provider=evolve(ABLE.provider, modes=("locked",)))
    assert refusal(service=neither) == "no payment mode in common; we take locked"


def test_over_a_cap_the_next_mode_in_common_is_taken() -> None:
    unpaid = Load(0, 0, unpaid=ABLE.provider.max_unpaid_per_buyer)
    wanted = (PayMode.LOCKED, PayMode.HOLD)
    assert terms(service=ABLE, pay=wanted, load=unpaid).mode is PayMode.HOLD
    full = Load(0, 0, holds=ABLE.provider.max_holds)
    assert terms(service=ABLE, load=full).mode is PayMode.PREPAY
    assert terms(service=ABLE, pay=ALL_MODES, load=full).mode is PayMode.LOCKED


def test_who_has_not_paid_for_earlier_work_is_refused_more_of_it() -> None:
    most = ABLE.provider.max_unpaid_per_buyer
    locked: dict[str, Any] = {"service": ABLE, "pay": (PayMode.LOCKED,)}
    assert terms(load=Load(0, 0, unpaid=most - 1), **locked).mode is PayMode.LOCKED
    assert refusal(load=Load(0, 0, unpaid=most), **locked) == (
        f"you have {most} jobs here that are not paid; {most} are allowed"
    )


def test_payments_held_at_once_are_capped_and_those_of_one_buyer_too() -> None:
    most, own = ABLE.provider.max_holds, ABLE.provider.max_holds_per_buyer
    held: dict[str, Any] = {"service": ABLE, "pay": (PayMode.HOLD_LOCKED, PayMode.HOLD)}
    just = Load(0, 0, holds=most - 1, own_holds=own - 1)
    assert terms(load=just, **held).mode is PayMode.HOLD_LOCKED
    assert refusal(load=Load(0, 0, holds=most), **held) == "no more payments can be held now"
    assert refusal(load=Load(0, 0, holds=own, own_holds=own), **held) == (
        f"{own} payments of yours are held here, or may be; {own} are allowed"
    )


def test_why_each_mode_is_used_up_is_said_once() -> None:
    load = Load(0, 0, unpaid=99, holds=9_999)
    said = refusal(service=ABLE, pay=ALL_MODES[:3], load=load)
    assert said.split("; ")[0] == "no more payments can be held now"
    assert said.count("held now") == 1
    assert "not paid" in said


def test_a_job_is_what_was_asked_on_the_terms_agreed() -> None:
    event, agreed = note("2+2?", kind=5050, by=4), terms(service=ABLE)
    request = evolve(REQUEST, id=JobId(event.id))
    job = admitted(event, request, agreed, NOW)
    assert (job.id, job.customer, job.kind) == (event.id, event.pubkey, 5050)
    assert (job.mode, job.price, job.prompt) == (agreed.mode, agreed.price, agreed.prompt)
    assert (job.accepted_at, job.offer_seconds, job.work_seconds) == (NOW, 600, 300)


def test_of_those_turned_away_nothing_they_sent_is_kept() -> None:
    event = note("x" * 1_000, ("i", "y" * 1_000), kind=5050, by=4)
    job = turned_away(event, evolve(REQUEST, id=JobId(event.id)), NOW)
    assert (job.request.content, job.request.tags) == ("", ())
    assert (job.id, job.customer, job.backend, job.price) == (event.id, event.pubkey, "", ZERO)


def test_work_is_free_only_where_we_say_so() -> None:
    assert terms(service=selling(modes=("free", "prepay")), pay=None).mode is PayMode.PREPAY
    taken = terms(service=selling(require_payment=False), pay=(PayMode.PREPAY,), bid=ZERO)
    assert (taken.mode, taken.price) == (PayMode.FREE, ZERO)
    nothing = evolve(SERVICE, pricing=PricingConfig(0, 0, 0, 0))
    assert terms(service=nothing).mode is PayMode.FREE, "an invoice needs an amount"


def test_an_answer_that_is_paid_for_afterwards_is_not_told_piece_by_piece() -> None:
    able = evolve(SERVICE, able=Capabilities(hold=True, chosen_preimage=True))
    stream = (("stream", "true"),)

    locked = terms(REQUEST, able, pay=(PayMode.LOCKED,), params=stream)
    held = terms(REQUEST, able, pay=(PayMode.HOLD_LOCKED,), params=stream)

    assert (locked.mode, locked.streaming) == (PayMode.LOCKED, False)
    assert (held.mode, held.streaming) == (PayMode.HOLD_LOCKED, True)
