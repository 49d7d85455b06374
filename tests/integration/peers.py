"""Talking to `nostr_peer`: a customer or provider whose every word the test chooses."""

import sys
from typing import Any

from attrs import define, field, frozen

from tests.integration.market import Market, Process

Tag = list[str]


@frozen
class Said:
    """An event that a peer has heard and verified; `text` is its content in clear."""

    event: Any
    text: str

    def tag(self, name: str) -> Tag:
        """Return the first tag of a name; an empty one if there is none."""
        return next((tag for tag in self.event["tags"] if tag[0] == name), [])

    def concerns(self, kind: int, job: str | None, status: str | None) -> bool:
        return (
            self.event["kind"] == kind
            and (job is None or self.tag("e")[1:2] == [job])
            and (status is None or self.tag("status")[1:2] == [status])
        )


@define
class Peer:
    """One nostr-sdk program and what it has heard."""

    process: Process
    key: str
    _heard: list[Said] = field(factory=list, init=False)

    async def publish(
        self, kind: int, *tags: Tag, content: str = "", hide: dict[str, str] | None = None
    ) -> str:
        """Have it sign and publish an event; return the id."""
        draft = {"kind": kind, "tags": tags, "content": content}
        await self.process.tell(draft | ({"hide": hide} if hide else {}))
        while isinstance(line := await self.process.read(), dict):
            self._heard.append(Said(**line))
        event_id: str = line
        return event_id

    async def hear(self, kind: int, *, job: str | None = None, status: str | None = None) -> Said:
        """Return the next event of a kind that it has heard, about a job or with a status."""
        place = 0
        while True:
            while place == len(self._heard):
                self._heard.append(Said(**await self.process.read()))
            if self._heard[place].concerns(kind, job, status):
                return self._heard.pop(place)
            place += 1


async def meet(market: Market) -> Peer:
    """Start somebody else on the market's relay."""
    command = (sys.executable, "-m", "tests.integration.nostr_peer", market.relay_url)
    process = await market.launch(*command, told=True)
    return Peer(process, await process.read())


async def serve_their_relay(market: Market) -> Process:
    """Start nostr-sdk's own relay on the market's port."""
    command = (sys.executable, "-m", "tests.integration.local_relay", str(market.port))
    relay = await market.launch(*command, "open", "1000", told=True)
    await relay.hear()
    return relay
