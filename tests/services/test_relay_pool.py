"""Many relays as one: each event once, every verdict, nothing forgotten."""

from collections.abc import Callable

import pytest
import trio
from attrs import define, evolve, field
from trio.testing import MockClock

from pylon.adapters.memory.cursors import MemoryCursors
from pylon.app.relays import CHANNEL_SIZE
from pylon.errors import StoreBusy
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.model.ids import EventId, RelayUrl
from pylon.model.relays import (
    CaughtUp,
    Heard,
    Publish,
    PublishOutcome,
    Subscribe,
    Unsubscribe,
    Verdict,
)
from pylon.services.relay import DIAL_SECONDS, MOST_FAULTS, MOST_REPORTS
from pylon.wire import event as events
from pylon.wire.relay_info import Limitation, RelayInfo
from tests.nostr import NOW, note
from tests.relays import Net, a_net, catch_up, hear, nothing_more

JOBS = Filter(kinds=(5050,), since=NOW - 60)
WANT = Subscribe("jobs", (JOBS,), durable=True)


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> list[EventId]:
    """List the events whose signatures were verified."""
    verified: list[EventId] = []
    check: Callable[[Event], None] = events.check

    def counting(event: Event) -> None:
        verified.append(event.id)
        check(event)

    monkeypatch.setattr(events, "check", counting)
    return verified


def a_job(content: str = "", *, at: int = NOW) -> Event:
    return note(content, kind=5050, at=at)


def ids(heard: list[Heard]) -> list[EventId]:
    return [item.event.id for item in heard]


# One stream


async def test_the_same_event_from_three_relays_is_heard_once_and_verified_once(
    autojump_clock: MockClock, verifications: list[EventId]
) -> None:
    net = a_net(3)
    for site in net.sites:
        site.store(a_job())
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)

        heard = await catch_up(pool)

        assert ids(heard) == [a_job().id]
        assert verifications == [a_job().id]


async def test_two_subscriptions_both_hear_an_event_that_matches_both(
    autojump_clock: MockClock,
) -> None:
    net = a_net()
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        await pool.commands.send(evolve(WANT, name="all"))
        await catch_up(pool)
        await catch_up(pool)
        net.sites[0].store(a_job())

        heard = await hear(pool, 2)

        assert {item.subscription for item in heard} == {"jobs", "all"}


async def test_after_unsubscribing_nothing_is_heard_and_a_new_subscription_starts_afresh(
    autojump_clock: MockClock,
) -> None:
    net = a_net()
    net.sites[0].store(a_job())
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        assert len(await catch_up(pool)) == 1
        await pool.commands.send(Unsubscribe("jobs"))
        await trio.sleep(1)
        net.sites[0].store(a_job("while nobody listened"))
        await trio.sleep(1)
        assert nothing_more(pool)

        await pool.commands.send(WANT)

        assert len(await catch_up(pool)) == 2


@pytest.mark.parametrize("forged_first", [True, False])
async def test_a_forged_event_under_a_true_id_is_not_heard_and_does_not_shadow_the_true_one(
    autojump_clock: MockClock, forged_first: bool
) -> None:
    true = a_job("pay me")
    forged = evolve(true, sig="0" * 128)
    net = a_net(2)
    for site, event in zip(
        net.sites, (forged, true) if forged_first else (true, forged), strict=True
    ):
        site.store(event)
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)

        assert [item.event for item in await catch_up(pool)] == [true]


async def test_a_true_signature_under_another_text_is_not_heard_even_if_the_id_is_known(
    autojump_clock: MockClock,
) -> None:
    true = a_job("one sat")
    net = a_net()
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        await pool.commands.send(evolve(WANT, name="all"))
        await catch_up(pool)
        await catch_up(pool)
        net.sites[0].store(true)
        await hear(pool, 2)
        await pool.commands.send(Unsubscribe("all"))
        await pool.commands.send(evolve(WANT, name="more"))
        net.sites[0].relay.stored[true.id] = evolve(true, content="a million")

        assert await catch_up(pool) == []


async def test_a_valid_signature_over_an_id_that_is_not_the_hash_is_not_heard(
    autojump_clock: MockClock,
) -> None:
    event = a_job()
    net = a_net()
    net.sites[0].store(evolve(event, created_at=event.created_at - 1))
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)

        assert await catch_up(pool) == []


async def test_a_relay_that_floods_us_with_forgeries_is_cut_off(autojump_clock: MockClock) -> None:
    net = a_net()
    site = net.sites[0]
    for number in range(MOST_FAULTS):
        site.store(evolve(a_job(str(number)), sig="0" * 128))
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        await trio.sleep(0.9)

        (health,) = pool.health()
        assert not health.connected
        assert "forged" in health.detail


async def test_unreadable_messages_are_dropped_and_counted(autojump_clock: MockClock) -> None:
    net = a_net()
    site = net.sites[0]
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        await catch_up(pool)
        site.relay.said.extend(["rubbish", "[]", '["EVENT"]', "\ud800"] * (MOST_FAULTS // 5))
        site.store(a_job())

        assert ids(await hear(pool)) == [a_job().id]
        assert pool.health()[0].connected


async def test_a_flood_waits_in_the_socket_while_the_consumer_is_slow_and_nothing_is_lost(
    autojump_clock: MockClock,
) -> None:
    jobs = [a_job(str(number)) for number in range(MOST_REPORTS + 400)]
    net = a_net()
    site = net.sites[0]
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        await catch_up(pool)
        for job in jobs:
            site.store(job)
            await trio.sleep(0.01)
        await trio.sleep(600)
        assert site.line is not None
        held = len(jobs) - site.line.waiting()
        assert held < MOST_REPORTS + 200  # in channels and lists of ours
        assert len(site.dials) == 1  # and the relay is not blamed for the silence

        assert ids(await hear(pool, len(jobs))) == [job.id for job in jobs]


async def test_caught_up_waits_for_the_slowest_relay_that_is_reachable(
    autojump_clock: MockClock,
) -> None:
    net = a_net(3)
    fast, mute, absent = net.sites
    fast.store(a_job())
    mute.relay.silent = True
    absent.down = True
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)

        heard = await catch_up(pool)

        assert ids(heard) == [a_job().id]
        assert 20 < trio.current_time() < 40  # the mute one was given its time, the absent none


async def test_caught_up_is_not_told_while_no_relay_is_reachable(autojump_clock: MockClock) -> None:
    net = a_net()
    net.sites[0].down = True
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        await trio.sleep(600)
        assert nothing_more(pool)
        net.sites[0].down = False

        assert await catch_up(pool) == []


async def test_caught_up_with_what_was_asked_before_is_not_caught_up_with_what_is_asked_now(
    autojump_clock: MockClock,
) -> None:
    jobs = [a_job(str(number)) for number in range(3 * CHANNEL_SIZE)]
    net = a_net()
    site = net.sites[0]
    site.store(*jobs)
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        await trio.sleep(1)  # word of the last stored event waits behind what nobody takes
        site.relay.silent = True
        await pool.commands.send(evolve(WANT, filters=(evolve(JOBS, since=NOW - 30),)))
        await trio.sleep(1)
        asked = trio.current_time()

        assert len(await catch_up(pool)) == len(jobs)
        assert trio.current_time() - asked > 20


async def test_a_subscription_that_a_relay_will_not_serve_holds_nobody_up_and_is_shown(
    autojump_clock: MockClock,
) -> None:
    net = a_net(2)
    net.sites[0].relay.refusals.append("restricted: members only")
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)

        assert await catch_up(pool) == []
        assert "members only" in pool.health()[0].detail


# Publishing


async def test_each_relay_gives_its_own_verdict(autojump_clock: MockClock) -> None:
    net = a_net(2)
    net.sites[1].relay.refusals.append("blocked: not you")
    async with net.open_pool() as pool:
        await pool.commands.send(Publish(a_job()))

        verdicts = {(await pool.outcomes.receive()) for _ in range(2)}

        first, second = (site.url for site in net.sites)
        assert verdicts == {
            PublishOutcome(a_job().id, first, Verdict.ACCEPTED),
            PublishOutcome(a_job().id, second, Verdict.REFUSED, "blocked: not you"),
        }


async def test_publishing_again_reaches_only_the_relays_that_have_not_accepted(
    autojump_clock: MockClock,
) -> None:
    net = a_net(2)
    net.sites[1].relay.refusals.append("blocked: not you")
    async with net.open_pool() as pool:
        for _ in range(2):
            await pool.commands.send(Publish(a_job()))
            outcomes = [await pool.outcomes.receive() for _ in range(2)]

        assert {outcome.verdict for outcome in outcomes} == {Verdict.ACCEPTED}
        assert [site.relay.submitted[a_job().id] for site in net.sites] == [1, 2]


async def test_what_is_published_during_an_outage_is_sent_when_the_relay_is_back(
    autojump_clock: MockClock,
) -> None:
    net = a_net()
    net.sites[0].down = True
    async with net.open_pool() as pool:
        await pool.commands.send(Publish(a_job()))
        await trio.sleep(3_600)
        net.sites[0].down = False

        assert (await pool.outcomes.receive()).verdict is Verdict.ACCEPTED


async def test_a_connection_cut_between_event_and_ok_costs_no_verdict(
    autojump_clock: MockClock,
) -> None:
    net = a_net()
    site = net.sites[0]
    site.relay.silent = True
    async with net.open_pool() as pool:
        await pool.commands.send(Publish(a_job()))
        await trio.sleep(1)
        assert a_job().id in site.relay.stored
        site.relay.silent = False
        site.cut()

        outcome = await pool.outcomes.receive()

        assert (outcome.verdict, outcome.reason) == (Verdict.ACCEPTED, "duplicate: have it")


async def test_commands_move_while_nobody_reads_events_and_verdicts(
    autojump_clock: MockClock,
) -> None:
    jobs = [a_job(str(number)) for number in range(2_000)]
    net = a_net(2)
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        for job in jobs:
            await pool.commands.send(Publish(job))
        await trio.sleep(1)
        pool.heard.close()

        accepted = [await pool.outcomes.receive() for _ in range(2 * len(jobs))]

        assert {outcome.verdict for outcome in accepted} == {Verdict.ACCEPTED}
        assert len({(outcome.relay, outcome.event_id) for outcome in accepted}) == 2 * len(jobs)


async def test_whoever_does_not_care_for_verdicts_closes_them(autojump_clock: MockClock) -> None:
    net = a_net()
    async with net.open_pool() as pool:
        pool.outcomes.close()
        await pool.commands.send(WANT)
        await pool.commands.send(Publish(a_job()))

        assert ids(await hear(pool)) == [a_job().id]


# Connections


@pytest.mark.parametrize("half_open", [False, True], ids=["silent", "half-open socket"])
async def test_a_relay_that_is_connected_but_silent_is_noticed_within_a_minute(
    autojump_clock: MockClock, half_open: bool
) -> None:
    net = a_net()
    site = net.sites[0]
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        await catch_up(pool)
        went = trio.current_time()
        site.relay.silent = not half_open
        site.half_open = half_open
        await trio.sleep(59)

        assert len(site.dials) > 1
        assert site.pings[0] - went < 60
        assert pool.health()[0].url == site.url


async def test_a_socket_that_takes_nothing_more_is_dropped(autojump_clock: MockClock) -> None:
    net = a_net()
    site = net.sites[0]
    async with net.open_pool() as pool:
        await trio.sleep(1)
        site.clogged = True
        await pool.commands.send(Publish(a_job()))
        for _ in range(40):
            await trio.sleep(1)
            site.relay.said.append('["NOTICE","still talking"]')
            site.bring()

        verdicts = [(await pool.outcomes.receive()).verdict for _ in range(2)]

        assert verdicts == [Verdict.DEFERRED, Verdict.ACCEPTED]
        assert len(site.dials) == 2


async def test_a_dial_that_hangs_is_given_up(autojump_clock: MockClock) -> None:
    net = a_net()
    net.sites[0].hangs = True
    async with net.open_pool() as pool:
        await trio.sleep(DIAL_SECONDS + 0.1)

        assert "no connection within" in pool.health()[0].detail
        net.sites[0].hangs = False
        await trio.sleep(60)
        assert pool.health()[0].connected


async def test_after_a_laptop_has_slept_its_connection_is_tested_at_once(
    autojump_clock: MockClock,
) -> None:
    net = a_net()
    site = net.sites[0]
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        await catch_up(pool)
        await trio.sleep(2)
        site.pings.clear()
        woke = trio.current_time()
        net.clock.jump(8 * 3_600)
        site.half_open = True  # the relay has long forgotten us
        missed = a_job(at=int(net.clock.now()) - 3_600)
        site.relay.stored[missed.id] = missed

        assert ids(await hear(pool)) == [missed.id]

        assert site.pings[0] - woke <= 1
        assert trio.current_time() - woke < 30


async def test_an_outage_longer_than_the_backoff_loses_nothing(autojump_clock: MockClock) -> None:
    net = a_net()
    site = net.sites[0]
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        await catch_up(pool)
        site.store(a_job("before"))
        await hear(pool)
        await trio.sleep(10)
        site.down = True
        site.cut()
        missed = []
        for number in range(24):
            await trio.sleep(300)
            missed.append(a_job(str(number), at=int(net.clock.now())))
            site.store(missed[-1])
        site.down = False
        back = trio.current_time()

        heard = ids(await hear(pool, 24))

        assert set(heard) == {job.id for job in missed}
        assert trio.current_time() - back <= 60  # the ceiling of the delays
        assert (
            len(site.dials) < 7_200 / 30 + 10
        )  # half the ceiling is the shortest of the last delays


async def test_delays_between_dials_grow_and_a_healthy_connection_clears_them(
    autojump_clock: MockClock,
) -> None:
    net = a_net()
    site = net.sites[0]
    site.down = True
    async with net.open_pool():
        await trio.sleep(40)
        gaps = [b - a for a, b in zip(site.dials, site.dials[1:], strict=False)]
        assert gaps == [0.5, 1, 2, 4, 8, 16]
        site.down = False
        await trio.sleep(100)
        site.cut()
        await trio.sleep(0.6)

        assert site.line is not None


async def test_a_dead_relay_does_not_hold_up_the_living(autojump_clock: MockClock) -> None:
    net = a_net(2)
    net.sites[0].hangs = True
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        net.sites[1].store(a_job())

        assert ids(await hear(pool)) == [a_job().id]
        assert trio.current_time() < 1


async def test_auth_demanded_after_subscribing_and_again_after_reconnect_names_the_dialled_url(
    autojump_clock: MockClock,
) -> None:
    net = a_net()
    site = net.sites[0]
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        await catch_up(pool)
        site.relay.wants_auth = True
        for number in range(2):
            site.cut()
            await trio.sleep(5)
            site.store(a_job(str(number)))
            assert ids(await hear(pool)) == [a_job(str(number)).id]

        assert len(site.relay.answers) == 2
        for answer in site.relay.answers:
            events.check(answer)
            assert answer.kind == 22242
            assert answer.tag("relay") == site.url
            assert abs(answer.created_at - net.clock.now()) < 60


async def test_the_limits_a_relay_announces_are_kept(autojump_clock: MockClock) -> None:
    net = a_net()
    site = net.sites[0]
    site.info = RelayInfo(limitation=Limitation(max_message_length=500))
    async with net.open_pool() as pool:
        await trio.sleep(1)
        await pool.commands.send(Publish(a_job("x" * 500)))

        outcome = await pool.outcomes.receive()

        assert outcome.verdict is Verdict.REFUSED
        assert site.relay.submitted == {}


# Cursors


@define
class BusyCursors:
    """Cursors whose store is busy for a while."""

    busy: bool = False
    inner: MemoryCursors = field(factory=MemoryCursors)

    async def load(self, relay: RelayUrl, subscription: str) -> int | None:
        if self.busy:
            raise StoreBusy("locked")
        return await self.inner.load(relay, subscription)

    async def save(self, relay: RelayUrl, subscription: str, cursor: int) -> None:
        if self.busy:
            raise StoreBusy("locked")
        await self.inner.save(relay, subscription, cursor)


def the_cursors(net: Net) -> dict[tuple[RelayUrl, str], int]:
    assert isinstance(net.cursors, MemoryCursors)
    return net.cursors.saved


async def test_a_cursor_is_saved_once_what_came_before_it_was_handed_on(
    autojump_clock: MockClock,
) -> None:
    jobs = [a_job(str(number), at=NOW - number % 50) for number in range(1_000)]
    net = a_net()
    site = net.sites[0]
    site.store(*jobs)
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        await hear(pool, 500)
        await trio.sleep(60)
        assert the_cursors(net) == {}

        await hear(pool, 500)
        await catch_up(pool)
        await trio.sleep(5)

        assert the_cursors(net) == {(site.url, "jobs"): NOW}


async def test_after_a_restart_a_durable_subscription_resumes_and_another_does_not(
    autojump_clock: MockClock,
) -> None:
    net = a_net()
    site = net.sites[0]
    site.store(a_job(at=NOW - 30))
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        await catch_up(pool)
        await trio.sleep(5)
    site.relay.asked.clear()

    net.clock.jump(86_400)
    site.store(a_job("while down", at=NOW + 3_600))
    later = Filter(kinds=(5050,), since=NOW + 86_400)
    async with net.open_pool() as pool:
        await pool.commands.send(evolve(WANT, filters=(later,)))
        assert a_job("while down").content in {h.event.content for h in await catch_up(pool)}
        await pool.commands.send(Subscribe("now", (later,)))
        assert await catch_up(pool) == []


async def test_no_cursor_moves_for_events_that_nobody_would_take(autojump_clock: MockClock) -> None:
    net = a_net()
    site = net.sites[0]
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        await catch_up(pool)
        pool.heard.close()
        site.store(a_job())
        await trio.sleep(10)

    assert the_cursors(net) == {}


async def test_the_last_cursor_is_saved_at_the_end(autojump_clock: MockClock) -> None:
    net = a_net()
    site = net.sites[0]
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        await catch_up(pool)
        await trio.sleep(2)
        site.store(a_job())
        await hear(pool)
        await trio.sleep(1.1)
        pool.commands.close()
        async for _ in pool.heard:
            pass

    assert the_cursors(net) == {(site.url, "jobs"): NOW}


async def test_a_busy_store_delays_cursors_and_stops_nothing(autojump_clock: MockClock) -> None:
    net = a_net()
    net.cursors = cursors = BusyCursors()
    site = net.sites[0]
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        await catch_up(pool)
        cursors.busy = True
        site.store(a_job())
        await hear(pool)
        await trio.sleep(30)
        assert cursors.inner.saved == {}
        cursors.busy = False
        await trio.sleep(30)

        assert cursors.inner.saved == {(site.url, "jobs"): NOW}


async def test_a_store_that_is_busy_when_a_subscription_comes_only_delays_it(
    autojump_clock: MockClock,
) -> None:
    net = a_net()
    net.cursors = cursors = BusyCursors(busy=True)
    net.sites[0].store(a_job())
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        await trio.sleep(2)
        cursors.busy = False

        assert ids(await hear(pool)) == [a_job().id]
        assert sum(vitals.restarts for vitals in pool.vitals) > 0


# The end


async def test_closing_the_commands_ends_the_streams_after_the_last_verdict(
    autojump_clock: MockClock,
) -> None:
    jobs = [a_job(str(number)) for number in range(300)]
    net = a_net()
    async with net.open_pool() as pool:
        pool.heard.close()
        await trio.sleep(1)
        for job in jobs:
            await pool.commands.send(Publish(job))
        pool.commands.close()

        outcomes = [outcome async for outcome in pool.outcomes]

        assert [outcome.event_id for outcome in outcomes] == [job.id for job in jobs]


async def test_the_block_ends_at_once_when_nothing_is_under_way(autojump_clock: MockClock) -> None:
    net = a_net(2)
    net.sites[1].down = True
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        await catch_up(pool)
        began = trio.current_time()

    assert trio.current_time() == began
    assert net.sites[0].line is None


async def test_a_relay_that_keeps_us_waiting_delays_the_end_by_the_grace_at_most(
    autojump_clock: MockClock,
) -> None:
    net = a_net()
    async with net.open_pool() as pool:
        await trio.sleep(1)
        net.sites[0].relay.silent = True
        await pool.commands.send(Publish(a_job()))
        await trio.sleep(1)
        began = trio.current_time()

    assert trio.current_time() - began == pytest.approx(2.0)


async def test_a_pool_without_relays_takes_commands_and_ends(autojump_clock: MockClock) -> None:
    async with a_net(0).open_pool() as pool:
        await pool.commands.send(WANT)
        await pool.commands.send(Publish(a_job()))
        pool.commands.close()

        assert [item async for item in pool.heard] == []
        assert pool.health() == ()


async def test_what_the_block_raises_is_not_covered_up(autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(ZeroDivisionError):
        async with a_net().open_pool():
            await trio.sleep(1)
            raise ZeroDivisionError


async def test_caught_up_is_told_once_for_each_subscription(autojump_clock: MockClock) -> None:
    net = a_net()
    async with net.open_pool() as pool:
        await pool.commands.send(WANT)
        assert await pool.heard.receive() == CaughtUp("jobs")
        net.sites[0].cut()
        await trio.sleep(30)
        assert nothing_more(pool)
