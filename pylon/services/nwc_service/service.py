"""The actor that answers one client's wallet requests."""

import logging

import trio
from attrs import define, field

from pylon.core import nwc_answers as answers
from pylon.core.recent import Recent
from pylon.errors import PeerFault
from pylon.model.event import Draft, Event
from pylon.model.filter import Filter
from pylon.model.ids import EventId, PublicKey
from pylon.model.job import Encryption
from pylon.model.relays import CaughtUp, Heard, Publish, RelayCommand, Subscribe
from pylon.ports.clock import Clock
from pylon.ports.keys import Signer, conceal
from pylon.ports.wallet import Wallet, answers_within
from pylon.services.nwc_service.requests import Requests, Spending
from pylon.services.nwc_service.telling import Telling
from pylon.wire.nwc import events as nwc
from pylon.wire.nwc.payloads import (
    BadRequest,
    ErrorCode,
    Notification,
    Refusal,
    Result,
    read_request,
    write_notification,
    write_response,
)

log = logging.getLogger(__name__)

SUBSCRIPTION = "wallet requests"
AT_ONCE = 64  # requests being answered; beyond it the client is told to slow down
REMEMBERED = 16_384  # requests, each answered once
_BOTH = (Encryption.NIP44, Encryption.NIP04)


@define(eq=False)
class NwcService:
    """Serve `wallet` to `client`; whoever holds the client's key spends through `spending`.

    Each request event is answered once, and a payment whose outcome is not known yet when it is
    known. What another than the client asks is not answered at all.
    """

    wallet: Wallet
    spending: Spending
    signer: Signer
    client: PublicKey
    clock: Clock
    heard: trio.MemoryReceiveChannel[Heard | CaughtUp]
    commands: trio.MemorySendChannel[RelayCommand]
    alias: str = ""
    _answered: Recent[EventId, None] = field(factory=lambda: Recent(REMEMBERED), init=False)
    _busy: int = field(default=0, init=False)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled, or until nothing can be heard any more.

        Raises:
            WalletUnavailable: The wallet went away.
        """
        with answers_within():
            info = await self.wallet.info()
        requests = Requests(self.wallet, self.spending, self.clock, info, self.alias, self._notify)
        await self.spending.settle()
        await self._listen(requests)
        telling = Telling(self.wallet, self._notify)
        async with trio.open_nursery() as nursery:
            await nursery.start(telling.run)
            task_status.started()
            await self._serve(requests, nursery)
            nursery.cancel_scope.cancel("nothing is heard any more")

    async def _listen(self, requests: Requests) -> None:
        """Say what can be asked, and hear what is asked from now on."""
        now = int(self.clock.now())
        info = nwc.ServiceInfo(
            frozenset(requests.methods), frozenset(requests.notifications), frozenset(_BOTH)
        )
        wanted = Filter(
            kinds=(nwc.REQUEST_KIND,),
            authors=(self.client,),
            tags={"p": (self.signer.public_key,)},
            since=now - answers.MAX_AGE_SECONDS,
        )
        await self.commands.send(Subscribe(SUBSCRIPTION, (wanted,)))
        await self._publish(nwc.info_draft(info, now=now))

    async def _serve(self, requests: Requests, nursery: trio.Nursery) -> None:
        async for item in self.heard:
            if isinstance(item, CaughtUp) or not self._is_new(item.event):
                continue
            event = item.event
            encryption = nwc.encryption_of(event)
            if encryption is None:
                refusal = Refusal(ErrorCode.UNSUPPORTED_ENCRYPTION, "nip44_v2 or nip04")
                await self._respond(event, Encryption.NIP44, "", refusal)
            elif self._busy >= AT_ONCE:
                refusal = Refusal(ErrorCode.RATE_LIMITED, "too many requests at once")
                await self._respond(event, encryption, "", refusal)
            else:
                self._busy += 1
                nursery.start_soon(self._answer, requests, event, encryption)

    def _is_new(self, event: Event) -> bool:
        if event.id in self._answered:
            return False
        self._answered.put(event.id, None)
        return answers.is_heard(event, self.client, now=self.clock.now())

    async def _answer(self, requests: Requests, event: Event, encryption: Encryption) -> None:
        try:
            request = read_request(self.signer.decrypt(event.content, event.pubkey))
        except BadRequest as fault:
            await self._respond(event, encryption, fault.method, fault.refusal)
        except PeerFault as fault:
            log.info("a wallet request cannot be read: %s", fault)
        else:
            method, result = await requests.answer(request, event.id)
            await self._respond(event, encryption, method, result)
        finally:
            self._busy -= 1

    async def _respond(
        self, event: Event, encryption: Encryption, method: str, result: Result | Refusal
    ) -> None:
        text = write_response(method, result)
        hidden = conceal(self.signer, text, self.client, encryption)
        now = int(self.clock.now())
        await self._publish(nwc.response_draft(self.client, event.id, hidden, now=now))

    async def _notify(self, notification: Notification) -> None:
        """Tell the client, in both encryptions: which one it reads is its choice."""
        text = write_notification(notification)
        contents = [(way, conceal(self.signer, text, self.client, way)) for way in _BOTH]
        for draft in nwc.notification_drafts(self.client, contents, now=int(self.clock.now())):
            await self._publish(draft)

    async def _publish(self, draft: Draft) -> None:
        await self.commands.send(Publish(self.signer.sign(draft)))
