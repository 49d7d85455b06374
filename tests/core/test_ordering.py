"""A wish becomes a request that providers can read, and an order with limits; nonsense becomes neither."""

from typing import Any

import pytest

from pylon.config import BuyerConfig
from pylon.core import chat
from pylon.core.ordering import Wish, draft_request, make_order, max_fee
from pylon.errors import Misconfigured
from pylon.model.event import Event
from pylon.model.money import Msat, Network, PayMode, from_sats
from pylon.wire import event as events
from pylon.wire.jobs import read_request
from tests.nostr import keys

NOW = 1_700_000_000
CONFIG = BuyerConfig()
ANN = keys(7).public_key


def request_of(wish: Wish) -> Event:
    return events.sign(draft_request(wish, CONFIG, NOW), keys(3))


def test_a_text_wish_is_read_by_a_provider_as_it_was_meant() -> None:
    wish = Wish(
        "why?",
        backend="llamacpp",
        model="gpt_oss_20b",
        max_tokens=9,
        temperature=0.5,
        provider=ANN,
        bid=from_sats(3),
        streaming=True,
    )

    read = read_request(request_of(wish))

    asked = chat.read_params(((name, value) for name, value, *_ in read.params), "why?")
    assert [item.data for item in read.inputs] == ["why?"]
    assert str(asked.wanted) == "llamacpp:gpt_oss_20b"
    assert (asked.prompt.max_tokens, asked.prompt.temperature) == (9, 0.5)
    assert read.providers == (ANN,)
    assert read.bid == from_sats(3)
    assert read.param("stream") == "true"
    best_first = (PayMode.HOLD_LOCKED, PayMode.LOCKED, PayMode.HOLD, PayMode.PREPAY)
    assert read.pay == best_first
    assert read.expires_at == NOW + CONFIG.timeout_seconds


def test_a_chat_wish_carries_its_messages_and_choice() -> None:
    read = read_request(request_of(Wish("why?", kind=5935, model="llama3.2", timeout_seconds=7)))

    asked = chat.read_chat(read.content)
    assert [message.content for message in asked.prompt.messages] == ["why?"]
    assert asked.wanted.model == "llama3.2"
    assert read.expires_at == NOW + 7
    assert read.inputs == ()


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({"kind": 5100}, "kind 5100 cannot be ordered"),
        ({"encrypted": True}, "name it with --provider"),
        ({"prompt": "  "}, "the prompt is empty"),
        ({"max_tokens": 0}, "max_tokens: Expected"),
        ({"temperature": 9.0}, "temperature: Expected"),
        ({"temperature": float("nan")}, "temperature is not a number"),
        ({"backend": "abacus"}, "no backend is called abacus"),
        ({"backend": "ollama", "model": "llamacpp:x"}, "cannot both be meant"),
    ],
)
def test_a_wish_that_nobody_could_grant_is_refused(wish: dict[str, Any], reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        draft_request(Wish(**{"prompt": "why?", **wish}), CONFIG, NOW)


@pytest.mark.parametrize(
    ("bid", "most", "limit"),
    [
        (None, None, from_sats(CONFIG.max_sats_per_job)),
        (5, None, from_sats(5)),
        (None, 30, from_sats(30)),
        (5, 30, from_sats(30)),
        (None, 0, Msat(0)),
    ],
)
def test_the_most_an_order_pays_is_what_was_said_or_the_bid_or_configured(
    bid: int | None, most: int | None, limit: Msat
) -> None:
    wish = Wish(
        "why?",
        bid=None if bid is None else from_sats(bid),
        max_price=None if most is None else from_sats(most),
    )
    order = make_order(wish, request_of(wish), CONFIG, network=Network.REGTEST, now=NOW)
    assert order.max_price == limit
    assert order.max_fee == max_fee(limit, CONFIG)
    assert order.deadline == NOW + CONFIG.timeout_seconds


def test_a_bid_above_the_most_is_a_mistake() -> None:
    wish = Wish("why?", bid=from_sats(6), max_price=from_sats(5))
    with pytest.raises(Misconfigured, match="above the most"):
        make_order(wish, request_of(wish), CONFIG, network=Network.REGTEST, now=NOW)


def test_a_fee_is_a_percentage_but_never_less_than_the_floor() -> None:
    assert max_fee(from_sats(10), CONFIG) == from_sats(5)
    assert max_fee(from_sats(10_000), CONFIG) == from_sats(100)


def test_a_wish_says_how_to_pay_or_leaves_it_to_the_configuration() -> None:
    wish = Wish("why?", modes=(PayMode.LOCKED, PayMode.PREPAY, PayMode.LOCKED))
    request = request_of(wish)
    order = make_order(wish, request, CONFIG, network=Network.REGTEST, now=NOW)
    assert order.accepts == (PayMode.LOCKED, PayMode.PREPAY)
    assert read_request(request).pay == order.accepts
    plain = make_order(Wish("why?"), request, CONFIG, network=Network.REGTEST, now=NOW)
    assert plain.accepts == tuple(map(PayMode, CONFIG.modes))


def test_whoever_pays_in_no_way_can_buy_nothing() -> None:
    with pytest.raises(Misconfigured, match="no mode of payment"):
        draft_request(Wish("why?"), BuyerConfig(modes=()), NOW)
