"""Our relay as a foreign client sees it: nostr-sdk over a real socket, both kinds of store."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import nostr_sdk as sdk
import pytest
import trio

from pylon.app.relay import serve_relay
from pylon.core.relay_rules import RelayRules
from pylon.wire import relay_info

SOON = timedelta(seconds=5)
ALICE = sdk.Keys.parse("0" * 63 + "1")
BOB = sdk.Keys.parse("0" * 63 + "2")

Scenario: TypeAlias = Callable[["sdk.RelayUrl"], Coroutine[Any, Any, None]]


@asynccontextmanager
async def serving(
    store: Path | None = None, rules: RelayRules | None = None
) -> AsyncGenerator[str, None]:
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            serve = partial(serve_relay, port=0, store=store, rules=rules or RelayRules())
            yield await nursery.start(serve)
            nursery.cancel_scope.cancel()


async def play(scenario: Scenario, url: str) -> None:
    """Run asyncio code in a thread of its own, beside the relay."""

    async def main() -> None:
        sdk.nostr_sdk.uniffi_set_event_loop(asyncio.get_running_loop())
        await asyncio.wait_for(scenario(sdk.RelayUrl.parse(url)), timeout=30)

    await trio.to_thread.run_sync(lambda: asyncio.run(main()))


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return None if request.param == "memory" else tmp_path / "relay.db"


async def connected(url: "sdk.RelayUrl", signer: "sdk.Keys | None" = None) -> Any:
    """Return nostr-sdk's client and its relay; with a signer it answers challenges."""
    builder = sdk.ClientBuilder()
    if signer is not None:
        builder = builder.authenticator(sdk.SignerAuthenticator(signer))
    client = builder.build()
    await client.add_relay(url)
    assert (await client.try_connect()).success == [url]
    return client, await client.relay(url)


def make(
    kind: int, content: str = "", *tags: list[str], by: "sdk.Keys" = ALICE, at: int | None = None
) -> Any:
    stamp = sdk.Timestamp.from_secs(int(time.time()) if at is None else at)
    builder = sdk.EventBuilder(sdk.Kind(kind), content).custom_created_at(stamp)
    return builder.tags([sdk.Tag.parse(tag) for tag in tags]).finalize(by)


async def count(relay: Any, wanted: "sdk.Filter") -> int:
    """Ask until answered: this client asks before it listens, and may miss a quick answer."""
    while True:
        try:
            counted: int = await relay.count_events(wanted, timedelta(milliseconds=500))
        except sdk.NostrSdkError as error:
            if "timeout" not in str(error):
                raise
        else:
            return counted


def contents(events: Any) -> list[str]:
    return [event.content() for event in events]


async def test_publish_query_and_count(store: Path | None) -> None:
    async def scenario(url: "sdk.RelayUrl") -> None:
        client, relay = await connected(url)
        now = int(time.time())
        for n in range(5):
            await relay.send_event(make(1, str(n), ["t", "a" if n % 2 else "b"], at=now - n))
        await relay.send_event(make(5050, "job", ["p", BOB.public_key().to_hex()]))
        ours = sdk.Filter().author(ALICE.public_key())
        assert contents(await relay.fetch_events(ours.kind(sdk.Kind(1)), SOON)) == list("01234")
        assert contents(await relay.fetch_events(ours.kind(sdk.Kind(1)).limit(2), SOON)) == [
            "0",
            "1",
        ]
        assert contents(await relay.fetch_events(sdk.Filter().hashtag("a"), SOON)) == ["1", "3"]
        to_bob = sdk.Filter().pubkey(BOB.public_key())
        assert contents(await relay.fetch_events(to_bob, SOON)) == ["job"]
        assert await count(relay, ours) == 6
        await client.shutdown()

    async with serving(store) as url:
        await play(scenario, url)


async def test_what_is_published_later_reaches_a_subscription(store: Path | None) -> None:
    async def scenario(url: "sdk.RelayUrl") -> None:
        listener, relay = await connected(url)
        heard = listener.notifications()
        await relay.subscribe(sdk.Filter().kind(sdk.Kind(20_001)), "live")
        await relay.subscribe(sdk.Filter().kind(sdk.Kind(7000)), "live too")
        await count(relay, sdk.Filter())  # by now the relay has read both
        publisher, sender = await connected(url)
        sent = [make(1, "not asked for"), make(20_001, "ephemeral"), make(7000, "stored")]
        for event in sent:
            await sender.send_event(event)
        got: list[str] = []
        while len(got) < 2:
            item = await heard.next()
            if item.is_new_event():
                got.append(item.event.content())
        assert got == ["ephemeral", "stored"]
        assert await count(relay, sdk.Filter()) == 2
        for client in (listener, publisher):
            await client.shutdown()

    async with serving(store) as url:
        await play(scenario, url)


async def test_replaceable_and_addressable_events_keep_the_newest(store: Path | None) -> None:
    async def scenario(url: "sdk.RelayUrl") -> None:
        client, relay = await connected(url)
        now = int(time.time())
        await relay.send_event(make(0, "old", at=now - 2))
        await relay.send_event(make(0, "new", at=now - 1))
        await relay.send_event(make(0, "late", at=now - 3))
        for d in ("x", "y"):
            await relay.send_event(make(31_990, f"old {d}", ["d", d], at=now - 2))
        await relay.send_event(make(31_990, "new x", ["d", "x"], at=now - 1))
        assert contents(await relay.fetch_events(sdk.Filter().kind(sdk.Kind(0)), SOON)) == ["new"]
        found = await relay.fetch_events(sdk.Filter().kind(sdk.Kind(31_990)), SOON)
        assert contents(found) == ["new x", "old y"]
        await client.shutdown()

    async with serving(store) as url:
        await play(scenario, url)


async def test_deleted_events_are_gone_and_stay_away(store: Path | None) -> None:
    async def scenario(url: "sdk.RelayUrl") -> None:
        client, relay = await connected(url)
        gone, stays = make(1, "gone"), make(1, "stays")
        for event in (gone, stays):
            await relay.send_event(event)
        await relay.send_event(make(5, "", ["e", gone.id().to_hex()], ["k", "1"]))
        await relay.send_event(make(5, "", ["e", stays.id().to_hex()], by=BOB))
        notes = sdk.Filter().kind(sdk.Kind(1))
        assert contents(await relay.fetch_events(notes, SOON)) == ["stays"]
        with pytest.raises(sdk.NostrSdkError, match="blocked"):
            await relay.send_event(gone)
        await client.shutdown()

    async with serving(store) as url:
        await play(scenario, url)


async def test_expired_events_are_refused_and_not_served(store: Path | None) -> None:
    async def scenario(url: "sdk.RelayUrl") -> None:
        client, relay = await connected(url)
        now = int(time.time())
        with pytest.raises(sdk.NostrSdkError, match="expired"):
            await relay.send_event(make(1, "", ["expiration", str(now - 1)]))
        await relay.send_event(make(1, "brief", ["expiration", str(now + 1)]))
        while await count(relay, sdk.Filter()):
            assert time.time() < now + 3
        await client.shutdown()

    async with serving(store) as url:
        await play(scenario, url)


async def test_events_that_break_the_rules_are_refused_with_the_reason() -> None:
    async def scenario(url: "sdk.RelayUrl") -> None:
        client, relay = await connected(url)
        with pytest.raises(sdk.NostrSdkError, match="future"):
            await relay.send_event(make(1, at=int(time.time()) + 3_600))
        forged = make(1, "mine").as_json().replace("mine", "ours")
        with pytest.raises(sdk.NostrSdkError, match="invalid: the id"):
            await relay.send_event(sdk.Event.from_json(forged))
        with pytest.raises(sdk.NostrSdkError, match="mute"):
            await relay.send_event(make(20_001))
        await client.shutdown()

    async with serving() as url:
        await play(scenario, url)


async def test_a_client_authenticates_when_the_relay_wants_it(store: Path | None) -> None:
    async def scenario(url: "sdk.RelayUrl") -> None:
        stranger, relay = await connected(url)
        with pytest.raises(sdk.NostrSdkError, match="auth"):
            await relay.send_event(make(1), authentication_timeout=timedelta(milliseconds=200))
        client, relay = await connected(url, ALICE)
        await relay.send_event(make(1, "let in"))
        assert contents(await relay.fetch_events(sdk.Filter(), SOON)) == ["let in"]
        assert await count(relay, sdk.Filter()) == 1
        for each in (stranger, client):
            await each.shutdown()

    async with serving(store, RelayRules(auth=True)) as url:
        await play(scenario, url)


async def test_a_protected_event_is_taken_from_its_author_alone() -> None:
    async def scenario(url: "sdk.RelayUrl") -> None:
        author, relay = await connected(url, ALICE)
        protected = make(1, "protected", ["-"])
        other, others_relay = await connected(url, BOB)
        with pytest.raises(sdk.NostrSdkError, match="restricted"):
            await others_relay.send_event(protected)
        await relay.send_event(protected)
        assert contents(await relay.fetch_events(sdk.Filter(), SOON)) == ["protected"]
        for each in (author, other):
            await each.shutdown()

    async with serving() as url:
        await play(scenario, url)


async def test_private_messages_are_served_to_those_they_concern() -> None:
    async def scenario(url: "sdk.RelayUrl") -> None:
        stranger, relay = await connected(url)
        await relay.send_event(make(1059, "wrapped", ["p", BOB.public_key().to_hex()]))
        wraps = sdk.Filter().kind(sdk.Kind(1059))
        assert await count(relay, sdk.Filter()) == 0
        addressee, relay = await connected(url, BOB)
        assert contents(await relay.fetch_events(wraps, SOON)) == ["wrapped"]
        eve, relay = await connected(url, sdk.Keys.generate())
        assert contents(await relay.fetch_events(wraps, SOON)) == []
        for each in (stranger, addressee, eve):
            await each.shutdown()

    async with serving() as url:
        await play(scenario, url)


async def test_the_file_serves_again_after_a_restart(tmp_path: Path) -> None:
    async def publish(url: "sdk.RelayUrl") -> None:
        client, relay = await connected(url)
        await relay.send_event(make(1, "kept"))
        await client.shutdown()

    async def read(url: "sdk.RelayUrl") -> None:
        client, relay = await connected(url)
        assert contents(await relay.fetch_events(sdk.Filter(), SOON)) == ["kept"]
        await client.shutdown()

    for scenario in (publish, read):
        async with serving(tmp_path / "relay.db") as url:
            await play(scenario, url)


async def test_the_information_document_is_on_the_same_port() -> None:
    async with serving(rules=RelayRules(auth=True)) as url, httpx.AsyncClient() as http:
        address = url.replace("ws://", "http://")
        reply = await http.get(address, headers={"Accept": "application/nostr+json"})
        document = relay_info.read(reply.content)
        assert reply.headers["content-type"] == "application/nostr+json"
        assert reply.headers["access-control-allow-origin"] == "*"
        assert document.limitation.auth_required is True
        assert 11 in document.supported_nips
        assert sdk.RelayInformationDocument.from_json(reply.text).name() == "pylon"
        assert (await http.options(address)).status_code == 204
        assert "WebSocket" in (await http.get(address)).text
