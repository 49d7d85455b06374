"""The relay session: what it sends, believes and gives up, one piece of news at a time."""

from collections.abc import Iterable

import pytest
from attrs import define, evolve, field

from pylon.core.relay_auth import PATIENCE_SECONDS as AUTH_PATIENCE
from pylon.core.relay_publishing import ANSWER_SECONDS, CAPACITY, MOST_TRIES, WINDOW
from pylon.core.relay_pulse import PONG_SECONDS, QUIET_SECONDS
from pylon.core.relay_session import (
    FrameCame,
    HangUp,
    Hear,
    LimitsLearned,
    Lost,
    News,
    Opened,
    Order,
    Ordered,
    Ping,
    Ponged,
    Send,
    Session,
    SignChallenge,
    Signed,
    TimePassed,
    advance,
    is_idle,
    new_session,
)
from pylon.core.relay_subscriptions import OVERLAP_SECONDS, PAGE_EVENTS
from pylon.core.relay_subscriptions import PATIENCE_SECONDS as EOSE_PATIENCE
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.model.ids import EventId, PublicKey, RelayUrl
from pylon.model.relays import (
    CursorMoved,
    Publish,
    PublishOutcome,
    RelayCommand,
    StoredSent,
    Subscribe,
    SubscriptionRefused,
    Unsubscribe,
    Verdict,
)
from pylon.wire import frames
from pylon.wire.frames import (
    Authenticate,
    Challenge,
    ClientFrame,
    Close,
    Closed,
    EndOfStored,
    Found,
    Notice,
    Ok,
    RelayFrame,
    Req,
    Submit,
)
from pylon.wire.relay_info import Limitation

RELAY = RelayUrl("wss://relay.example")
NOW = 1_700_000_000
JOBS = Filter(kinds=(5050,))


def an_event(number: int, *, at: int = NOW, kind: int = 5050, content: str = "") -> Event:
    return Event(
        EventId(f"{number:064x}"), PublicKey("a" * 64), at, kind, (), content, sig="0" * 128
    )


def an_answer(challenge: str, number: int = 999) -> Event:
    return evolve(an_event(number, kind=22242), tags=(("relay", RELAY), ("challenge", challenge)))


@define
class Desk:
    """Drives a session by hand and sorts its orders."""

    session: Session = field(factory=lambda: new_session(RELAY))
    wall: float = NOW
    orders: list[Order] = field(factory=list)

    def news(self, news: News) -> list[Order]:
        step = advance(self.session, news)
        self.session = step.session
        self.orders.extend(step.orders)
        return list(step.orders)

    def opened(self) -> "Desk":
        self.news(TimePassed(self.wall))
        self.news(Opened())
        return self

    def order(self, *commands: RelayCommand, cursor: int | None = None) -> list[Order]:
        return [order for one in commands for order in self.news(Ordered(one, cursor))]

    def hears(self, *said: RelayFrame) -> list[Order]:
        return [order for frame in said for order in self.news(FrameCame(frame))]

    def waits_until_sent(self) -> list[Order]:
        """Let time pass until something is sent, ten minutes at most; the relay stays lively."""
        for _ in range(600):
            if sent(orders := self.waits(1) + self.hears(Notice("tick"))):
                return orders
        return []

    def waits(self, seconds: float, *, listening: bool = True) -> list[Order]:
        orders = []
        for _ in range(int(seconds)):
            self.wall += 1
            orders += self.news(TimePassed(self.wall, listening=listening))
        return orders


def sent(orders: Iterable[Order]) -> list[ClientFrame]:
    return [frames.decode_client(t) for o in orders if isinstance(o, Send) for t in o.texts]


def reqs(orders: Iterable[Order]) -> list[Req]:
    return [frame for frame in sent(orders) if isinstance(frame, Req)]


def submits(orders: Iterable[Order]) -> list[EventId]:
    return [frame.event.id for frame in sent(orders) if isinstance(frame, Submit)]


def heard(orders: Iterable[Order]) -> list[EventId]:
    return [order.event.id for order in orders if isinstance(order, Hear)]


def verdicts(orders: Iterable[Order]) -> list[tuple[Verdict, str]]:
    return [(o.verdict, o.reason) for o in orders if isinstance(o, PublishOutcome)]


def a(kind: type[Order], orders: Iterable[Order]) -> list[Order]:
    return [order for order in orders if isinstance(order, kind)]


# Subscribing


def test_a_subscription_waits_for_the_connection_and_is_asked_for_again_on_the_next() -> None:
    desk = Desk()
    assert desk.order(Subscribe("jobs", (JOBS,))) == []

    assert [req.filters for req in reqs(desk.news(Opened()))] == [(JOBS,)]
    assert desk.news(Lost()) == []
    assert [req.filters for req in reqs(desk.news(Opened()))] == [(JOBS,)]


def test_each_filter_is_a_question_of_its_own_so_that_each_can_be_paged() -> None:
    other = Filter(kinds=(7000,))

    orders = Desk().opened().order(Subscribe("jobs", (JOBS, other)))

    assert [req.filters for req in reqs(orders)] == [(JOBS,), (other,)]


def test_a_name_over_64_characters_never_reaches_the_wire() -> None:
    desk = Desk().opened()

    (req,) = reqs(desk.order(Subscribe("x" * 65, (JOBS,))))

    assert len(req.subscription) <= 64
    assert a(Hear, desk.hears(Found(req.subscription, an_event(1)))) == [
        Hear("x" * 65, an_event(1))
    ]


def test_the_same_name_again_replaces_what_was_asked() -> None:
    desk = Desk().opened()
    (old,) = reqs(desk.order(Subscribe("jobs", (JOBS,))))

    orders = desk.order(Subscribe("jobs", (Filter(kinds=(5935,)),)))

    assert Close(old.subscription) in sent(orders)
    assert desk.hears(Found(old.subscription, an_event(1))) == []


def test_unsubscribing_closes_and_nothing_more_is_heard() -> None:
    desk = Desk().opened()
    (req,) = reqs(desk.order(Subscribe("jobs", (JOBS,))))

    assert sent(desk.order(Unsubscribe("jobs"))) == [Close(req.subscription)]
    assert desk.hears(Found(req.subscription, an_event(1)), EndOfStored(req.subscription)) == []
    assert reqs(desk.news(Opened())) == []


def test_a_relay_that_sends_events_no_filter_asked_for_is_not_believed() -> None:
    desk = Desk().opened()
    (req,) = reqs(desk.order(Subscribe("jobs", (JOBS,))))

    orders = desk.hears(
        Found(req.subscription, an_event(1, kind=1)),
        Found("another", an_event(2)),
        Found(req.subscription, an_event(3)),
    )

    assert heard(orders) == [an_event(3).id]
    assert desk.session.unasked == 2


def test_a_guessed_id_of_a_question_not_yet_asked_brings_nothing() -> None:
    desk = Desk().opened()
    desk.news(LimitsLearned(Limitation(max_subscriptions=1)))
    desk.order(Subscribe("jobs", (JOBS, JOBS)))

    assert desk.hears(Found("2", an_event(1))) == []


def test_stored_events_sent_is_told_once_all_questions_have_their_eose() -> None:
    want = Subscribe("jobs", (JOBS, JOBS))
    desk = Desk().opened()
    first, second = reqs(desk.order(want))

    assert desk.hears(EndOfStored(first.subscription), EndOfStored(first.subscription)) == []
    assert desk.hears(EndOfStored(second.subscription)) == [StoredSent(RELAY, want)]


def test_a_subscription_without_filters_has_nothing_to_wait_for() -> None:
    want = Subscribe("nothing", ())

    assert Desk().opened().order(want) == [StoredSent(RELAY, want)]


def test_a_relay_without_eose_does_not_hold_up_the_others_for_ever() -> None:
    want = Subscribe("jobs", (JOBS,), durable=True)
    desk = Desk().opened()
    (req,) = reqs(desk.order(want))
    desk.hears(Found(req.subscription, an_event(1)))

    assert a(StoredSent, desk.waits(EOSE_PATIENCE - 1)) == []
    orders = desk.waits(EOSE_PATIENCE)

    assert a(StoredSent, orders) == [StoredSent(RELAY, want)]
    assert a(CursorMoved, orders) == []  # but nothing is known to be complete


# Cursors and pages


def test_a_durable_subscription_asks_from_its_cursor_less_the_overlap() -> None:
    desk = Desk().opened()

    (req,) = reqs(desk.order(Subscribe("jobs", (JOBS,), durable=True), cursor=NOW))

    assert req.filters == (Filter(kinds=(5050,), since=NOW - OVERLAP_SECONDS, limit=PAGE_EVENTS),)


def test_without_a_cursor_a_durable_subscription_asks_what_its_filters_say() -> None:
    desk = Desk().opened()

    asked = reqs(desk.order(Subscribe("jobs", (JOBS, Filter(since=5)), durable=True)))

    assert [req.filters[0].since for req in asked] == [None, 5]


def test_the_cursor_moves_at_eose_and_then_with_what_is_heard() -> None:
    desk = Desk().opened()
    (req,) = reqs(desk.order(Subscribe("jobs", (JOBS,), durable=True)))

    assert a(CursorMoved, desk.hears(Found(req.subscription, an_event(1, at=NOW - 9)))) == []
    orders = desk.hears(EndOfStored(req.subscription))
    assert a(CursorMoved, orders) == [CursorMoved(RELAY, "jobs", NOW - 9)]

    desk.hears(Found(req.subscription, an_event(2, at=NOW - 3)))
    desk.hears(Found(req.subscription, an_event(3, at=NOW - 5)))
    assert a(CursorMoved, desk.waits(2)) == [CursorMoved(RELAY, "jobs", NOW - 3)]


def test_an_event_from_the_future_does_not_move_the_cursor() -> None:
    desk = Desk().opened()
    (req,) = reqs(desk.order(Subscribe("jobs", (JOBS,), durable=True)))

    orders = desk.hears(
        Found(req.subscription, an_event(1, at=NOW + 10**6)), EndOfStored(req.subscription)
    )

    assert heard(orders) == [an_event(1).id]
    assert a(CursorMoved, orders + desk.waits(3)) == []


def test_only_a_durable_subscription_has_a_cursor() -> None:
    desk = Desk().opened()
    (req,) = reqs(desk.order(Subscribe("jobs", (Filter(since=1),))))

    orders = desk.hears(Found(req.subscription, an_event(1)), EndOfStored(req.subscription))

    assert a(CursorMoved, orders) == []
    assert sent(orders) == []


def test_events_of_the_same_second_are_not_lost_on_reconnect() -> None:
    desk = Desk().opened()
    (req,) = reqs(desk.order(Subscribe("jobs", (JOBS,), durable=True)))
    desk.hears(Found(req.subscription, an_event(1)), EndOfStored(req.subscription))

    desk.news(Lost())
    (again,) = reqs(desk.news(Opened()))

    assert again.filters[0].since is not None
    assert again.filters[0].since <= NOW
    assert heard(desk.hears(Found(again.subscription, an_event(2)))) == [an_event(2).id]


def test_what_a_relay_cut_off_is_paged_backwards_through_the_second_it_cut_in() -> None:
    since = NOW - 100
    desk = Desk().opened()
    want = Subscribe("jobs", (Filter(kinds=(5050,), since=since),), durable=True)
    (req,) = reqs(desk.order(want))
    key = req.subscription

    orders = desk.hears(
        Found(key, an_event(1, at=NOW)), Found(key, an_event(2, at=NOW - 7)), EndOfStored(key)
    )
    (page,) = reqs(orders)
    assert (page.filters[0].since, page.filters[0].until) == (since, NOW - 7)
    assert a(StoredSent, orders) == a(CursorMoved, orders) == []

    key = page.subscription
    orders = desk.hears(
        Found(key, an_event(2, at=NOW - 7)), Found(key, an_event(3, at=NOW - 7)), EndOfStored(key)
    )
    assert Close(key) in sent(orders)
    (page,) = reqs(orders)
    assert page.filters[0].until == NOW - 8  # all of one second: it has no more to give

    orders = desk.hears(EndOfStored(page.subscription))
    assert reqs(orders) == []
    assert a(StoredSent, orders) == [StoredSent(RELAY, want)]
    assert a(CursorMoved, orders) == [CursorMoved(RELAY, "jobs", NOW)]


def test_no_page_is_asked_for_that_would_begin_before_the_moment_asked_for() -> None:
    desk = Desk().opened()
    (req,) = reqs(desk.order(Subscribe("jobs", (Filter(since=NOW),), durable=True)))
    (page,) = reqs(desk.hears(Found(req.subscription, an_event(1)), EndOfStored(req.subscription)))

    orders = desk.hears(Found(page.subscription, an_event(1)), EndOfStored(page.subscription))

    assert reqs(orders) == []
    assert len(a(StoredSent, orders)) == 1


def test_a_limit_of_the_subscribers_own_is_kept_and_not_paged_past() -> None:
    desk = Desk().opened()
    (req,) = reqs(desk.order(Subscribe("last", (Filter(since=1, limit=1),), durable=True)))

    orders = desk.hears(Found(req.subscription, an_event(1)), EndOfStored(req.subscription))

    assert req.filters[0].limit == 1
    assert reqs(orders) == []


# CLOSED


@pytest.mark.parametrize("message", ["error: try later", "rate-limited: slow down", "", "gone"])
def test_closed_for_now_is_asked_again_after_a_while(message: str) -> None:
    desk = Desk().opened()
    (req,) = reqs(desk.order(Subscribe("jobs", (JOBS,))))

    orders = desk.hears(Closed(req.subscription, message))

    assert orders == []
    (again,) = reqs(desk.waits(3))
    assert again.filters == req.filters
    assert again.subscription != req.subscription


@pytest.mark.parametrize("prefix", ["unsupported", "invalid", "blocked", "restricted", "pow"])
def test_closed_for_good_is_said_so_and_not_asked_again(prefix: str) -> None:
    want = Subscribe("jobs", (JOBS,), durable=True)
    desk = Desk().opened()
    (req,) = reqs(desk.order(want))

    orders = desk.hears(
        Found(req.subscription, an_event(1)), Closed(req.subscription, f"{prefix}: no")
    )

    assert a(SubscriptionRefused, orders) == [SubscriptionRefused(RELAY, "jobs", f"{prefix}: no")]
    assert a(StoredSent, orders) == [StoredSent(RELAY, want)]  # nobody need wait for it
    later = desk.waits(600)
    assert reqs(later) == []
    assert a(CursorMoved, later) == []
    assert len(reqs(desk.news(Opened()))) == 1  # another connection may be luckier


def test_a_rate_limit_is_waited_out_however_often_it_is_met_and_longer_each_time() -> None:
    desk = Desk().opened()
    (req,) = reqs(desk.order(Subscribe("jobs", (JOBS,))))
    waits = []
    for _ in range(MOST_TRIES + 2):
        desk.hears(Closed(req.subscription, "rate-limited: slow down"))
        began = desk.wall
        (req,) = reqs(desk.waits_until_sent())
        waits.append(desk.wall - began)

    assert waits == sorted(waits)
    assert waits[0] < 5
    assert waits[-1] > 60


def test_errors_without_end_are_given_up() -> None:
    desk = Desk().opened()
    (req,) = reqs(desk.order(Subscribe("jobs", (JOBS,))))
    for _ in range(MOST_TRIES - 1):
        desk.hears(Closed(req.subscription, "error: broken"))
        (req,) = reqs(desk.waits_until_sent())

    orders = desk.hears(Closed(req.subscription, "error: broken"))

    assert len(a(SubscriptionRefused, orders)) == 1


def test_a_cursor_stands_still_while_a_live_question_is_being_asked_again() -> None:
    desk = Desk().opened()
    one, two = reqs(desk.order(Subscribe("jobs", (JOBS, JOBS), durable=True)))
    desk.hears(EndOfStored(one.subscription), EndOfStored(two.subscription))

    desk.hears(Closed(one.subscription, "error: restarting"))
    orders = desk.hears(Found(two.subscription, an_event(1)))

    assert heard(orders) == [an_event(1).id]
    orders = desk.waits_until_sent()
    assert a(CursorMoved, orders) == []
    (again,) = reqs(orders)
    assert a(CursorMoved, desk.hears(EndOfStored(again.subscription))) != []


def test_foreign_frames_change_nothing() -> None:
    desk = Desk().opened()
    before = desk.session

    orders = desk.hears(
        EndOfStored("77"), Closed("77", "error: x"), Ok(EventId("f" * 64), accepted=True),
        Notice("hello"),
    )  # fmt: skip

    assert orders == []
    assert desk.session == before


def test_a_frame_that_outlives_its_connection_is_ignored() -> None:
    desk = Desk().opened()
    (req,) = reqs(desk.order(Subscribe("jobs", (JOBS,))))
    desk.news(Lost())

    assert desk.hears(Found(req.subscription, an_event(1))) == []
    assert desk.news(Signed(an_answer("x"))) == []


# NIP-11


def test_no_more_subscriptions_are_open_than_the_relay_allows() -> None:
    desk = Desk().opened()
    desk.news(LimitsLearned(Limitation(max_subscriptions=2)))

    first, second = reqs(desk.order(Subscribe("a", (JOBS, JOBS, Filter(kinds=(1,))))))
    (third,) = reqs(desk.hears(Closed(first.subscription, "blocked: no")))

    assert third.filters == (Filter(kinds=(1,)),)
    assert second.subscription != third.subscription


def test_a_limit_above_the_relays_is_lowered_to_it() -> None:
    desk = Desk().opened()
    desk.news(LimitsLearned(Limitation(max_limit=500)))

    asked = reqs(desk.order(Subscribe("a", (Filter(limit=9_000), Filter(limit=3), Filter()))))

    assert [req.filters[0].limit for req in asked] == [500, 3, None]


def test_what_is_too_long_for_the_relay_is_refused_and_not_sent() -> None:
    desk = Desk().opened()
    desk.news(LimitsLearned(Limitation(max_message_length=600)))
    many = Filter(ids=tuple(f"{n:064x}" for n in range(20)))

    orders = desk.order(
        Publish(an_event(1, content="é" * 200)), Publish(an_event(2)), Subscribe("a", (many,))
    )

    assert submits(orders) == [an_event(2).id]
    assert reqs(orders) == []
    assert verdicts(orders) == [
        (Verdict.REFUSED, "invalid: longer than the 600 bytes this relay takes")
    ]
    assert len(a(SubscriptionRefused, orders)) == 1


# Publishing


def test_an_accepted_event_is_done_with() -> None:
    desk = Desk().opened()
    assert submits(desk.order(Publish(an_event(1)))) == [an_event(1).id]

    orders = desk.hears(Ok(an_event(1).id, accepted=True, message=""))

    assert verdicts(orders) == [(Verdict.ACCEPTED, "")]
    assert is_idle(desk.session)


def test_publishing_again_what_is_under_way_sends_nothing_twice() -> None:
    desk = Desk().opened()

    assert submits(desk.order(Publish(an_event(1)), Publish(an_event(1)))) == [an_event(1).id]


@pytest.mark.parametrize(
    ("accepted", "message", "verdict"),
    [
        (True, "", Verdict.ACCEPTED),
        (True, "pow: difficulty 25>=24", Verdict.ACCEPTED),
        (True, "duplicate: have it", Verdict.ACCEPTED),
        (False, "duplicate: have it", Verdict.ACCEPTED),
        (False, "pow: 26 bits needed", Verdict.REFUSED),
        (False, "blocked: you are banned", Verdict.REFUSED),
        (False, "invalid: bad signature", Verdict.REFUSED),
        (False, "restricted: not for you", Verdict.REFUSED),
        (False, "unsupported: kind", Verdict.REFUSED),
        (False, "mute: nobody listens", Verdict.REFUSED),
        (False, "rate-limited: slow down", Verdict.DEFERRED),
        (False, "error: no space", Verdict.DEFERRED),
        (False, "auth-required: who are you", Verdict.DEFERRED),
        (False, "strange: what", Verdict.DEFERRED),
        (False, "no prefix at all", Verdict.DEFERRED),
    ],
)
def test_ok_is_taken_by_its_prefix(accepted: bool, message: str, verdict: Verdict) -> None:
    desk = Desk().opened()
    desk.order(Publish(an_event(1)))

    orders = desk.hears(Ok(an_event(1).id, accepted=accepted, message=message))

    assert verdicts(orders) == [(verdict, message)]
    assert is_idle(desk.session) == (verdict is not Verdict.DEFERRED)


def test_an_error_is_tried_again_later_and_refused_in_the_end() -> None:
    desk = Desk().opened()
    orders = desk.order(Publish(an_event(1)))
    for _ in range(MOST_TRIES):
        assert submits(orders) == [an_event(1).id]
        said = desk.hears(Ok(an_event(1).id, accepted=False, message="error: disk"))
        orders = desk.waits_until_sent()

    assert verdicts(said) == [(Verdict.REFUSED, f"error: disk (after {MOST_TRIES} tries)")]
    assert submits(orders) == []
    assert is_idle(desk.session)


def test_an_ok_that_never_comes_is_asked_for_again() -> None:
    desk = Desk().opened()
    desk.order(Publish(an_event(1)))
    desk.order(Subscribe("jobs", (JOBS,)))

    orders = []
    for _ in range(int(ANSWER_SECONDS) + 3):  # the relay lives: it only has no word for this event
        orders += desk.waits(1) + desk.hears(Notice("tick"))

    assert verdicts(orders) == [(Verdict.DEFERRED, "error: no answer")]
    assert submits(orders) == [an_event(1).id]
    late = desk.hears(Ok(an_event(1).id, accepted=True, message=""))
    assert verdicts(late) == [(Verdict.ACCEPTED, "")]


def test_a_late_verdict_counts_even_while_the_event_is_put_off() -> None:
    desk = Desk().opened()
    desk.order(Publish(an_event(1)))
    desk.hears(Ok(an_event(1).id, accepted=False, message="error: busy"))

    assert desk.hears(Ok(an_event(1).id, accepted=False, message="error: busy")) == []
    orders = desk.hears(Ok(an_event(1).id, accepted=True, message=""))

    assert verdicts(orders) == [(Verdict.ACCEPTED, "")]
    assert submits(desk.waits(600)) == []


def test_few_events_are_in_flight_and_all_get_their_turn_in_order() -> None:
    desk = Desk().opened()
    ids = [an_event(n).id for n in range(3 * WINDOW)]
    orders = desk.order(*(Publish(an_event(n)) for n in range(3 * WINDOW)))
    assert submits(orders) == ids[: WINDOW // 2 + 1]  # topped up when half of it is free

    waiting, done = submits(orders), []
    while waiting:
        done.append(waiting.pop(0))
        waiting += submits(desk.hears(Ok(done[-1], accepted=True, message="")))
        assert len(waiting) <= WINDOW

    assert done == ids


def test_a_lost_connection_loses_no_event() -> None:
    desk = Desk().opened()
    desk.order(*(Publish(an_event(n)) for n in range(WINDOW + 5)))
    desk.hears(Ok(an_event(0).id, accepted=True, message=""))
    desk.hears(Ok(an_event(1).id, accepted=False, message="auth-required: x"))
    desk.news(Lost())

    orders = desk.news(Opened())

    assert set(submits(orders)) == {an_event(n).id for n in range(1, WINDOW + 1)}


def test_a_rate_limit_slows_everything_down_and_counts_against_no_event() -> None:
    desk = Desk().opened()
    desk.order(*(Publish(an_event(n)) for n in range(20)))
    slow = "rate-limited: slow down"
    desk.hears(*(Ok(an_event(n).id, accepted=False, message=slow) for n in range(20)))
    assert desk.session.publishing.slowdowns == 1

    for _ in range(2 * MOST_TRIES):
        again = submits(desk.waits_until_sent())
        orders = desk.hears(*(Ok(key, accepted=False, message=slow) for key in again))
        assert {verdict for verdict, _ in verdicts(orders)} == {Verdict.DEFERRED}
    assert len(again) == 1  # the window has shrunk to one

    while len(desk.session.publishing):
        desk.hears(*(Ok(k, accepted=True, message="") for k in desk.session.publishing.sent))
        desk.waits(61)
    assert desk.session.publishing.slowdowns == 0


def test_what_no_relay_could_store_is_put_back_into_the_publishers_hands() -> None:
    desk = Desk()
    desk.order(*(Publish(an_event(n)) for n in range(CAPACITY)))

    orders = desk.order(Publish(an_event(CAPACITY)))

    assert [verdict for verdict, _ in verdicts(orders)] == [Verdict.DEFERRED]
    assert len(desk.session.publishing) == CAPACITY


def test_an_event_that_cannot_be_written_is_refused() -> None:
    orders = Desk().opened().order(Publish(an_event(1, content="\ud800")))

    assert [verdict for verdict, _ in verdicts(orders)] == [Verdict.REFUSED]


# Authentication


@pytest.mark.parametrize("challenge_first", [True, False])
def test_auth_before_or_after_the_refusal_leads_to_the_same(challenge_first: bool) -> None:
    desk = Desk().opened()
    (req,) = reqs(desk.order(Subscribe("jobs", (JOBS,)), Publish(an_event(1))))
    closed = Closed(req.subscription, "auth-required: who are you?")
    challenge = Challenge("c1")

    orders = desk.hears(*((challenge, closed) if challenge_first else (closed, challenge)))
    assert a(SignChallenge, orders) == [SignChallenge("c1")]
    desk.hears(Ok(an_event(1).id, accepted=True, message=""))
    assert sent(desk.news(Signed(an_answer("c1")))) == [Authenticate(an_answer("c1"))]
    assert sent(desk.waits(5)) == []  # nothing before the OK

    orders = desk.hears(Ok(an_answer("c1").id, accepted=True, message=""))
    assert [frame.filters for frame in reqs(orders)] == [req.filters]
    assert submits(orders) == []  # only what was refused


@pytest.mark.parametrize("granted", [True, False])
def test_auth_concerns_only_what_was_refused_for_want_of_it(granted: bool) -> None:
    desk = Desk().opened()
    private, public = reqs(desk.order(Subscribe("dm", (Filter(kinds=(4,)), JOBS))))
    desk.hears(Challenge("c"), Closed(private.subscription, "auth-required: x"))
    desk.news(Signed(an_answer("c")))

    orders = desk.hears(Ok(an_answer("c").id, accepted=granted))

    assert [req.filters for req in reqs(orders)] == ([private.filters] if granted else [])
    assert len(a(SubscriptionRefused, orders)) == (not granted)
    assert heard(desk.hears(Found(public.subscription, an_event(1)))) == [an_event(1).id]


def test_auth_is_demanded_again_after_each_reconnect() -> None:
    desk = Desk().opened()
    desk.order(Publish(an_event(1)))
    for n in range(2):
        desk.hears(Challenge(f"c{n}"))
        orders = desk.hears(Ok(an_event(1).id, accepted=False, message="auth-required: x"))
        assert a(SignChallenge, orders) == [SignChallenge(f"c{n}")]
        desk.news(Signed(an_answer(f"c{n}")))
        assert submits(desk.hears(Ok(an_answer("").id, accepted=True))) == [an_event(1).id]
        desk.news(Lost())
        desk.news(Opened())


def test_the_newest_challenge_wins() -> None:
    desk = Desk().opened()
    desk.order(Publish(an_event(1)))
    desk.hears(Challenge("old"), Ok(an_event(1).id, accepted=False, message="auth-required: x"))
    desk.news(Signed(an_answer("old", 100)))

    assert a(SignChallenge, desk.hears(Challenge("new"))) == [SignChallenge("new")]
    assert desk.hears(Ok(an_answer("old", 100).id, accepted=True)) == []
    assert desk.news(Signed(an_answer("old", 101))) == []
    desk.news(Signed(an_answer("new", 102)))
    assert desk.news(Signed(an_answer("new", 103))) == []  # one answer is enough
    assert submits(desk.hears(Ok(an_answer("", 102).id, accepted=True))) == [an_event(1).id]


def test_restricted_after_auth_is_final() -> None:
    desk = Desk().opened()
    desk.hears(Challenge("c"))
    desk.order(Publish(an_event(1)))
    desk.hears(Ok(an_event(1).id, accepted=False, message="auth-required: x"))
    desk.news(Signed(an_answer("c")))
    desk.hears(Ok(an_answer("c").id, accepted=True))

    orders = desk.hears(Ok(an_event(1).id, accepted=False, message="restricted: paid only"))

    assert verdicts(orders) == [(Verdict.REFUSED, "restricted: paid only")]
    assert sent(desk.waits(600)) == []


def test_a_relay_that_refuses_our_key_is_not_asked_in_a_loop() -> None:
    desk = Desk().opened()
    want = Subscribe("jobs", (JOBS,))
    (req,) = reqs(desk.order(want, Publish(an_event(1))))
    desk.hears(
        Challenge("c"),
        Closed(req.subscription, "auth-required: x"),
        Ok(an_event(1).id, accepted=False, message="auth-required: x"),
    )
    desk.news(Signed(an_answer("c")))

    orders = desk.hears(Ok(an_answer("c").id, accepted=False, message="restricted: not you"))

    assert verdicts(orders) == [(Verdict.REFUSED, "restricted: not you")]
    assert a(SubscriptionRefused, orders) == [
        SubscriptionRefused(RELAY, "jobs", "restricted: not you")
    ]
    assert sent(orders + desk.waits(600)) == []


def test_auth_required_after_auth_ends_in_a_refusal_not_in_a_loop() -> None:
    desk = Desk().opened()
    desk.hears(Challenge("c"))
    orders = desk.order(Publish(an_event(1)))
    signatures = tries = 0
    while orders:
        tries += len(submits(orders))
        orders = desk.hears(Ok(an_event(1).id, accepted=False, message="auth-required: x"))
        if a(SignChallenge, orders):
            signatures += 1
            desk.news(Signed(an_answer("c")))
            orders = desk.hears(Ok(an_answer("c").id, accepted=True))
        elif is_idle(desk.session):
            break
        else:
            orders = desk.waits_until_sent()

    assert signatures == 1
    assert tries <= MOST_TRIES + 1
    assert verdicts(orders)[-1][0] is Verdict.REFUSED


def test_auth_required_without_any_challenge_is_given_up() -> None:
    desk = Desk().opened()
    (req,) = reqs(desk.order(Subscribe("jobs", (JOBS,)), Publish(an_event(1))))
    orders = desk.hears(
        Closed(req.subscription, "auth-required: x"),
        Ok(an_event(1).id, accepted=False, message="auth-required: x"),
    )
    assert verdicts(orders) == [(Verdict.DEFERRED, "auth-required: x")]

    orders = []
    for _ in range(int(AUTH_PATIENCE) + 1):
        orders += desk.waits(1) + desk.hears(Notice("tick"))

    assert verdicts(orders) == [(Verdict.REFUSED, "auth-required: but no challenge came")]
    assert len(a(SubscriptionRefused, orders)) == 1


def test_a_relay_that_never_answers_auth_is_left() -> None:
    desk = Desk().opened()
    desk.order(Publish(an_event(1)))
    desk.hears(Challenge("c"), Ok(an_event(1).id, accepted=False, message="auth-required: x"))
    desk.news(Signed(an_answer("c")))

    orders = []
    for _ in range(int(AUTH_PATIENCE) + 1):
        orders += desk.waits(1) + desk.hears(Notice("tick"))

    assert HangUp("no answer to AUTH") in orders


def test_a_challenge_alone_gives_nothing_away() -> None:
    desk = Desk().opened()
    desk.order(Subscribe("jobs", (JOBS,)))

    assert desk.hears(Challenge("c")) == []


def test_where_auth_is_announced_to_be_required_it_is_given_at_once() -> None:
    desk = Desk().opened()
    desk.hears(Challenge("c"))

    orders = desk.news(LimitsLearned(Limitation(auth_required=True)))

    assert orders == [SignChallenge("c")]


def test_without_a_connection_no_signature_is_asked_for() -> None:
    desk = Desk()

    assert desk.news(LimitsLearned(Limitation(auth_required=True))) == []
    assert desk.news(Signed(an_answer("c"))) == []


# Liveness


def test_a_silent_relay_is_pinged_and_given_up_within_a_minute() -> None:
    desk = Desk().opened()
    desk.order(Subscribe("jobs", (JOBS,)))

    assert a(Ping, desk.waits(QUIET_SECONDS - 1)) == []
    orders = desk.waits(60 - QUIET_SECONDS)

    assert len(a(Ping, orders)) == 1
    assert a(HangUp, orders)[0] == HangUp("no answer to a ping")


@pytest.mark.parametrize("sign", [Ponged(), FrameCame(Notice("still here"))], ids=["pong", "frame"])
def test_any_sign_of_life_will_do(sign: News) -> None:
    desk = Desk().opened()
    orders = []
    for _ in range(20):
        orders += desk.waits(QUIET_SECONDS + PONG_SECONDS - 1)
        desk.news(sign)

    assert len(a(Ping, orders)) == 20
    assert a(HangUp, orders) == []


@pytest.mark.parametrize("jump", [3_600, -3_600], ids=["asleep for an hour", "set back an hour"])
def test_after_a_jump_of_the_clock_the_connection_is_suspect_and_pinged_at_once(jump: int) -> None:
    desk = Desk().opened()
    desk.order(Publish(an_event(1)))
    desk.waits(2)

    desk.wall += jump
    orders = desk.waits(1)
    assert orders == [Ping()]  # nothing has timed out in an hour that nobody lived through

    orders = desk.waits(PONG_SECONDS)
    assert a(HangUp, orders) == [HangUp("no answer to a ping")]


def test_while_we_keep_a_relay_waiting_it_is_not_taken_for_dead() -> None:
    desk = Desk().opened()
    desk.order(Publish(an_event(1)))

    assert desk.waits(300, listening=False) == []
    assert a(Ping, desk.waits(QUIET_SECONDS)) == [Ping()]


def test_without_a_connection_time_brings_no_orders() -> None:
    desk = Desk()
    desk.order(Subscribe("jobs", (JOBS,), durable=True), Publish(an_event(1)))

    assert desk.waits(100) == []
