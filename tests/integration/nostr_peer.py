"""Somebody else on Nostr, made with nostr-sdk alone: `python -m tests.integration.nostr_peer RELAY`.

It says its public key, then a line of JSON for every job, feedback or result that others publish:
`event`, and `text`, its content in clear. For every line of JSON it is told it signs and publishes
an event of that `kind`, `tags` and `content`; `hide` names who may read the content and how
(nip04, nip44). It then says the event's id.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from nostr_sdk import (
    ClientBuilder,
    Event,
    EventBuilder,
    Filter,
    Keys,
    Kind,
    PublicKey,
    RelayUrl,
    ReqTarget,
    Tag,
)

KINDS = (5, 5050, 5935, 6050, 6935, 7000)


def say(value: object) -> None:
    print(json.dumps(value), flush=True)  # noqa: T201 - for the test that started this


def sign(keys: Keys, wanted: Any) -> Event:
    content = wanted.get("content", "")
    if hide := wanted.get("hide"):
        reader = PublicKey.parse(hide["to"])
        encrypt = keys.nip04_encrypt if hide["how"] == "nip04" else keys.nip44_encrypt
        content = encrypt(reader, content)
    tags = [Tag.parse(tag) for tag in wanted.get("tags", [])]
    return EventBuilder(Kind(wanted["kind"]), content).tags(tags).finalize(keys)


def read(keys: Keys, event: Event) -> str:
    """Return an event's content, in clear if we may read it; a forged event is an error."""
    assert event.verify()
    tags = [tag.to_vec() for tag in event.tags()]
    content: str = event.content()
    if ["encrypted"] not in tags or ["p", keys.public_key().to_hex()] not in tags:
        return content
    decrypt = keys.nip04_decrypt if "?iv=" in content else keys.nip44_decrypt
    clear: str = decrypt(event.author(), content)
    return clear


async def listen(heard: Callable[[], Awaitable[Any]], keys: Keys) -> None:
    while (news := await heard()) is not None:
        if news.is_new_event() and news.event.author() != keys.public_key():
            say({"event": json.loads(news.event.as_json()), "text": read(keys, news.event)})


async def main(url: str) -> None:
    keys = Keys.generate()
    client = ClientBuilder().build()
    await client.add_relay(RelayUrl.parse(url))
    await client.try_connect()
    listening = asyncio.create_task(listen(client.notifications().next, keys))
    wanted = Filter().kinds([Kind(kind) for kind in KINDS])
    await client.subscribe(ReqTarget.auto([wanted]))
    say(keys.public_key().to_hex())
    while line := await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
        event = sign(keys, json.loads(line))
        sent = await client.send_event(event)
        assert not sent.failed, sent.failed
        say(event.id().to_hex())
    listening.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
