"""What a relay answers to what a client says."""

from typing import Any

import msgspec
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pylon.core.relay_rules import DEFAULT_RULES, Added, RelayRules, describe
from pylon.core.relay_server import (
    CountStored,
    Order,
    PassOn,
    Reply,
    Session,
    Step,
    Store,
    Subscribe,
    Unsubscribe,
    begin,
    close,
    passed_on,
    receive,
    stored,
)
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.wire import auth, relay_info, relay_url
from pylon.wire.event import Limits, encode, sign
from pylon.wire.frames import Challenge, Closed, Notice, Ok
from tests import vectors
from tests.nostr import NOW, keys, note

URL = relay_url.normalise("ws://127.0.0.1:7777")
RULES = RelayRules(
    urls=frozenset({URL}),
    event=Limits(content=20, tags=3),
    message_bytes=2_000,
    subscriptions=2,
    filters=2,
    filter_values=4,
    limit=100,
    default_limit=10,
    keys=2,
    rate=1,
    burst=20,
)
CLOSED_HOUSE = evolve(RULES, auth=True)
ALICE, BOB = keys(1).public_key, keys(2).public_key


def fresh(rules: RelayRules = RULES) -> Session:
    return begin("c0ffee", now=NOW, rules=rules).session


def say(
    session: Session, label: str, *values: Any, now: float = NOW, rules: RelayRules = RULES
) -> Step:
    parts = [encode(v) if isinstance(v, Event) else json(v) for v in (label, *values)]
    return receive(session, f"[{','.join(parts)}]", now=now, rules=rules)


def json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def answer(challenge: str = "c0ffee", url: str = URL, at: int = NOW, by: int = 1) -> Event:
    draft = auth.draft(relay_url.normalise(url), challenge, now=at)
    return sign(draft, keys(by))


def known(by: int = 1, rules: RelayRules = RULES) -> Session:
    return say(fresh(rules), "AUTH", answer(by=by), rules=rules).session


def refusal(event: Event, message: str) -> tuple[Order, ...]:
    return (Reply(Ok(event.id, accepted=False, message=message)),)


CHALLENGE = Reply(Challenge("c0ffee"))


# What is written


def test_a_good_event_is_to_be_stored() -> None:
    assert say(fresh(), "EVENT", note()).orders == (Store(note()),)


def test_an_ephemeral_event_is_passed_on_only() -> None:
    event = note(kind=20_000)
    assert say(fresh(), "EVENT", event).orders == (PassOn(event),)


@pytest.mark.parametrize(
    ("added", "accepted", "message"),
    [
        (Added.STORED, True, ""),
        (Added.DUPLICATE, True, "duplicate: already have this event"),
        (Added.OUTDATED, True, "duplicate: have a newer version"),
        (Added.DELETED, False, "blocked: its author has asked for its deletion"),
    ],
)
def test_what_became_of_a_stored_event(added: Added, accepted: bool, message: str) -> None:
    assert stored(note(), added) == Ok(note().id, accepted, message)


def test_an_ephemeral_event_that_nobody_hears_is_mute() -> None:
    assert passed_on(note(), 1) == Ok(note().id, accepted=True)
    unheard = passed_on(note(), 0)
    assert not unheard.accepted
    assert unheard.message.startswith("mute: ")


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (evolve(note("a"), content="b"), "invalid: the id is not the hash of the event"),
        (evolve(note(), sig=note("b").sig), "invalid: the signature is not the author's"),
        (note("x" * 21), "invalid: too many tags, or too much content"),
        (note("", *[("t", "x")] * 4), "invalid: too many tags, or too much content"),
        (note(at=NOW + 901), "invalid: created_at is over 900 seconds in the future"),
        (note("", ("expiration", str(NOW))), "invalid: it has expired"),
        (answer(), "invalid: an answer to a challenge is not for publishing"),
    ],
    ids=["id", "signature", "long", "tags", "future", "expired", "auth"],
)
def test_an_event_that_breaks_a_rule_is_refused_with_the_reason(event: Event, message: str) -> None:
    assert say(fresh(), "EVENT", event).orders == refusal(event, message)


def test_the_edges_of_the_rules_are_within() -> None:
    for event in (
        note("x" * 20, *[("t", "x")] * 3),
        note(at=NOW + 900),
        note(at=0),
        note("", ("expiration", str(NOW + 1))),
    ):
        assert say(fresh(), "EVENT", event).orders == (Store(event),)


# What is protected


def test_a_protected_event_asks_its_author_to_authenticate_first() -> None:
    event = note("", ("-",))
    message = "auth-required: a protected event is published by its author alone"
    step = say(fresh(), "EVENT", event)
    assert step.orders == (CHALLENGE, *refusal(event, message))
    assert say(step.session, "EVENT", event).orders == refusal(event, message)


def test_a_protected_event_is_taken_from_its_author_alone() -> None:
    event = note("", ("-",))
    assert say(known(by=1), "EVENT", event).orders == (Store(event),)
    message = "restricted: a protected event is published by its author alone"
    assert say(known(by=2), "EVENT", event).orders == refusal(event, message)


@pytest.mark.parametrize("kind", [6, 16])
def test_a_repost_of_a_protected_event_is_blocked(kind: int) -> None:
    roomy = evolve(RULES, event=Limits())
    repost = note(encode(note("", ("-",))), kind=kind, by=2)
    step = say(fresh(), "EVENT", repost, rules=roomy)
    assert step.orders == refusal(repost, "blocked: it embeds a protected event")
    harmless = note(encode(note()), kind=kind, by=2)
    assert say(fresh(), "EVENT", harmless, rules=roomy).orders == (Store(harmless),)
    empty = note("", kind=kind)
    assert say(fresh(), "EVENT", empty, rules=roomy).orders == (Store(empty),)


# What is asked


def test_a_request_becomes_a_subscription_with_limits() -> None:
    step = say(fresh(), "REQ", "s", {"kinds": [1]}, {"kinds": [2], "limit": 1_000})
    filters = (Filter(kinds=(1,), limit=10), Filter(kinds=(2,), limit=100))
    assert step.orders == (Subscribe("s", filters),)
    assert step.session.subscriptions == {"s"}


def test_closing_ends_a_subscription_and_an_unknown_one_is_no_matter() -> None:
    session = say(fresh(), "REQ", "s", {}).session
    step = say(session, "CLOSE", "s")
    assert step.orders == (Unsubscribe("s"),)
    assert say(step.session, "CLOSE", "s").orders == ()


def test_a_subscription_that_cannot_be_served_ends() -> None:
    session = say(fresh(), "REQ", "s", {}).session
    step = close(session, "s", "error: later")
    assert step.orders == (Unsubscribe("s"), Reply(Closed("s", "error: later")))
    assert step.session.subscriptions == frozenset()


def test_a_count_is_no_subscription() -> None:
    step = say(fresh(), "COUNT", "q", {"kinds": [1]})
    assert step.orders == (CountStored("q", (Filter(kinds=(1,)),)),)
    assert step.session.subscriptions == frozenset()


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ([{}] * 3, "restricted: at most 2 filters"),
        ([{"kinds": [1, 2, 3]}, {"#t": ["a", "b"]}], "restricted: at most 4 values in all filters"),
        ([{"search": "x"}], "unsupported: filter key 'search'"),
    ],
    ids=["filters", "values", "unknown"],
)
@pytest.mark.parametrize("label", ["REQ", "COUNT"])
def test_a_question_that_breaks_a_rule_is_closed_with_the_reason(
    label: str, filters: list[Any], message: str
) -> None:
    assert say(fresh(), label, "s", *filters).orders == (Reply(Closed("s", message)),)


def test_a_question_without_a_filter_is_invalid() -> None:
    (order,) = say(fresh(), "REQ", "s").orders
    assert isinstance(order, Reply)
    assert isinstance(order.frame, Closed)
    assert order.frame.message.startswith("invalid: ")


def test_too_many_subscriptions_are_refused_but_a_name_may_be_used_again() -> None:
    session = say(say(fresh(), "REQ", "a", {}).session, "REQ", "b", {}).session
    assert say(session, "REQ", "c", {}).orders == (
        Reply(Closed("c", "restricted: at most 2 subscriptions")),
    )
    assert isinstance(say(session, "REQ", "b", {}).orders[0], Subscribe)


def test_a_refused_replacement_ends_what_it_was_to_replace() -> None:
    session = say(fresh(), "REQ", "s", {}).session
    step = say(session, "REQ", "s", {"search": "x"})
    assert step.orders[0] == Unsubscribe("s")
    assert step.session.subscriptions == frozenset()


# Who is asking


@pytest.mark.parametrize("label", ["REQ", "COUNT"])
@pytest.mark.parametrize("kinds", [[4], [1, 1059], [13]])
def test_private_kinds_are_for_those_who_authenticate(label: str, kinds: list[int]) -> None:
    message = "auth-required: private messages are for those they concern"
    step = say(fresh(), label, "s", {"kinds": kinds})
    assert step.orders == (CHALLENGE, Reply(Closed("s", message)))
    assert not isinstance(say(known(), label, "s", {"kinds": kinds}).orders[0], Reply)


def test_a_closed_house_challenges_at_once_and_refuses_until_answered() -> None:
    step = begin("c0ffee", now=NOW, rules=CLOSED_HOUSE)
    assert step.orders == (CHALLENGE,)
    session = step.session
    refused = say(session, "EVENT", note(), rules=CLOSED_HOUSE)
    assert refused.orders == refusal(note(), "auth-required: authenticate to publish")
    for label in ("REQ", "COUNT"):
        asked = say(session, label, "s", {}, rules=CLOSED_HOUSE)
        assert asked.orders == (Reply(Closed("s", "auth-required: authenticate to read")),)
    session = say(session, "AUTH", answer(), rules=CLOSED_HOUSE).session
    assert say(session, "EVENT", note(), rules=CLOSED_HOUSE).orders == (Store(note()),)
    assert isinstance(say(session, "REQ", "s", {}, rules=CLOSED_HOUSE).orders[0], Subscribe)


def test_an_open_house_challenges_nobody_unasked() -> None:
    assert begin("c0ffee", now=NOW, rules=RULES).orders == ()


def test_every_key_that_is_proved_counts() -> None:
    session = say(known(by=1), "AUTH", answer(by=2)).session
    assert session.keys == {ALICE, BOB}


def test_keys_are_limited() -> None:
    session = say(known(by=1), "AUTH", answer(by=2)).session
    third = answer(by=3)
    assert say(session, "AUTH", third).orders == refusal(third, "restricted: at most 2 keys")


@pytest.mark.parametrize(
    "event",
    [
        answer(challenge="another"),
        answer(url="ws://elsewhere:7777"),
        answer(at=NOW - 601),
        evolve(answer(), sig=note().sig),
        note(kind=1),
    ],
    ids=["challenge", "url", "stale", "signature", "kind"],
)
def test_a_wrong_answer_proves_nothing(event: Event) -> None:
    step = say(fresh(), "AUTH", event)
    (order,) = step.orders
    assert isinstance(order, Reply)
    assert isinstance(order.frame, Ok)
    assert not order.frame.accepted
    assert order.frame.message.startswith("invalid: ")
    assert step.session.keys == frozenset()


def auth_cases() -> list[Any]:
    data = vectors.load("nip42.json")
    good = [pytest.param(data, e, True, id=f"valid {e['id'][:4]}") for e in data["valid"]]
    bad = [pytest.param(data, c["event"], False, id=c["reason"]) for c in data["invalid"]]
    return good + bad


@pytest.mark.parametrize(("data", "event", "good"), auth_cases())
def test_the_shared_answers_are_judged_right(data: Any, event: Any, good: bool) -> None:
    rules = evolve(DEFAULT_RULES, urls=frozenset({relay_url.normalise(data["relay_url"])}))
    session = begin(data["challenge"], now=data["now"], rules=rules).session
    step = receive(session, json(["AUTH", event]), now=data["now"], rules=rules)
    assert bool(step.session.keys) is good


# Who asks too much


def test_who_is_too_fast_is_told_in_the_form_it_waits_for() -> None:
    session = evolve(fresh(), bucket=evolve(fresh().bucket, level=0.5))
    slow = "rate-limited: slow down"
    assert say(session, "EVENT", note()).orders == refusal(note(), slow)
    assert say(session, "REQ", "s", {}).orders == (Reply(Closed("s", slow)),)
    assert say(session, "COUNT", "s", {}).orders == (Reply(Closed("s", slow)),)
    assert say(session, "CLOSE", "s").orders == (Reply(Notice(f"invalid: {slow}")),)
    assert say(session, "EVENT", note(), now=NOW + 1).orders == (Store(note()),)


def test_a_question_costs_by_its_filters() -> None:
    assert say(fresh(), "REQ", "s", {}, {}).session.bucket.level == 18


def test_who_does_not_slow_down_is_hung_up_on() -> None:
    session = fresh()
    seen: list[str] = []
    for _ in range(41):
        step = say(session, "EVENT", note())
        session = step.session
        seen.append(type(step.orders[0]).__name__)
    assert seen == ["Store"] * 20 + ["Reply"] * 20 + ["HangUp"]


def test_nonsense_costs_more_than_sense() -> None:
    session = fresh()
    seen: list[str] = []
    while "HangUp" not in seen:
        step = receive(session, "nonsense", now=NOW, rules=RULES)
        session = step.session
        seen.append(type(step.orders[0]).__name__)
    assert seen == ["Reply"] * 4 + ["HangUp"]


# Whatever is said


@pytest.mark.parametrize(
    "text",
    [
        *("", "nonsense", "[]", '["EVENT"]', '["EVENT",{}]', '["REQ"]', '["REQ","",{}]'),
        *("[" * 1_500, f'["REQ","{"x" * 65}",{{}}]', '["NEG-OPEN","s",{},"61"]'),
        '["X"]' + " " * 2_000,
    ],
)
def test_what_cannot_be_read_gets_a_notice(text: str) -> None:
    step = receive(fresh(), text, now=NOW, rules=RULES)
    (order,) = step.orders
    assert isinstance(order, Reply)
    assert isinstance(order.frame, Notice)
    assert order.frame.text.startswith("invalid: ")
    assert len(order.frame.text) < 300


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("s"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)
labels = st.sampled_from(["EVENT", "REQ", "COUNT", "CLOSE", "AUTH", "X"])
messages = st.text() | st.builds(
    lambda label, rest: json([label, *rest]), labels, st.lists(anything)
)


@given(st.lists(messages, max_size=5))
def test_any_text_is_answered_and_none_is_an_error(texts: list[str]) -> None:
    session = fresh()
    for text in texts:
        step = receive(session, text, now=NOW, rules=RULES)
        session = step.session
        assert not any(isinstance(order, Store | PassOn) for order in step.orders)


# What it says of itself


def test_the_document_says_the_rules() -> None:
    document = relay_info.read(relay_info.write(describe(CLOSED_HOUSE, name="home", version="1")))
    assert document.name == "home"
    assert document.supported_nips == (1, 9, 11, 40, 42, 45, 70)
    assert document.limitation.auth_required is True
    assert document.limitation.max_message_length == 2_000
    assert document.limitation.max_subscriptions == 2
    assert document.limitation.max_limit == 100
    assert document.limitation.max_event_tags == 3
    assert document.limitation.created_at_upper_limit == 900
