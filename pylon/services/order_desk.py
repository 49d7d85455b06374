"""The actor that owns the orders of this process: what was asked, offered, paid and answered."""

from collections import Counter
from collections.abc import Mapping

import trio
from attrs import define, field, frozen

from pylon.core import order_machine, outbox, policy
from pylon.core.hearing import Heard, Hearing, picked
from pylon.core.order_machine import Act, PublishCancel, PublishRequest, SendRefundInvoice, Step
from pylon.core.order_mail import (
    AboutOrder,
    EventHeard,
    NewOrder,
    OfferDoubted,
    OfferRefused,
    OrderChanged,
    OrderMail,
    Progress,
)
from pylon.core.outbox import Post
from pylon.errors import PeerFault
from pylon.model.event import Event
from pylon.model.ids import EventId, JobId, NodeKey, PublicKey
from pylon.model.job import Encryption
from pylon.model.order import Order, OrderState
from pylon.ports.channels import Hint, Inbox
from pylon.ports.clock import Clock
from pylon.ports.keys import Signer
from pylon.ports.payees import Payees
from pylon.ports.records import Record, Records
from pylon.ports.steps import Steps
from pylon.wire import jobs

MAX_CONTRADICTIONS = 16  # events that nothing came of and that are kept, for one order

OrderSteps = Steps[Order, OrderState]


@frozen
class _Known:
    """What providers did before this batch."""

    paid_at: Mapping[PublicKey, NodeKey] = field(factory=dict)
    cheats: Mapping[str, int] = field(factory=dict)  # answers they sold that did not open
    failures: Mapping[PublicKey, int] = field(factory=dict)  # paid, and not answered


@define
class OrderDesk:
    """Advance orders one batch of mail at a time; state and acts are stored before anything is done.

    Mail that could not be stored is processed again when the service is run again.
    """

    records: Records[Order, OrderState]
    mail: trio.MemoryReceiveChannel[OrderMail]
    signer: Signer
    clock: Clock
    payees: Payees
    policy: policy.Policy
    mine: set[JobId]  # the orders this process drives; events of others are not ours to judge
    hints: Mapping[str, Hint]
    changed: Hint
    progress: trio.MemorySendChannel[Progress]
    _told: list[Progress] = field(factory=list, init=False)
    _known: _Known = field(factory=_Known, init=False)
    _contradictions: Counter[JobId] = field(factory=Counter, init=False)
    _inbox: Inbox[OrderMail] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._inbox = Inbox(self.mail)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Process mail until every sender has closed."""
        task_status.started()
        for hint in self.hints.values():
            hint.poke()  # what a failure has left untold
        while batch := await self._inbox.take():
            await self._handle(batch)
            self._inbox.done()

    async def _handle(self, batch: list[OrderMail]) -> None:
        self._told.clear()  # of a batch that could not be stored
        steps: OrderSteps = Steps(self.records, int(self.clock.now()))
        await steps.fetch([id_ for mail in batch for id_ in self._concerns(mail)])
        self._known = await self._look_back(batch)
        for mail in batch:
            match mail:
                case NewOrder(order, key):
                    self._begin(steps, order, key)
                case EventHeard(event):
                    self._hear(steps, event)
                case AboutOrder(order_id, news, done):
                    self._advance(steps, order_id, news, done=done)
        for desk in await steps.store():
            self.hints[desk].poke()
        self.changed.poke()
        self._tell()

    def _concerns(self, mail: OrderMail) -> tuple[JobId, ...]:
        match mail:
            case NewOrder(order):
                return (order.id,)
            case AboutOrder(order_id):
                return (order_id,)
            case EventHeard(event):
                return tuple(
                    JobId(EventId(id_)) for id_ in event.tag_values("e") if id_ in self.mine
                )

    async def _look_back(self, batch: list[OrderMail]) -> _Known:
        """Recall what providers did before, as far as the batch may ask for it."""
        authors = {mail.event.pubkey for mail in batch if isinstance(mail, EventHeard)}
        disputed, owing = [await self.records.count(s) for s in ("Disputed", "Reclaiming")]
        return _Known(
            paid_at=await self.payees.known([*authors]) if authors else {},
            cheats=await self.records.count("Cheated"),
            failures={
                PublicKey(peer): disputed.get(peer, 0) + owing.get(peer, 0)
                for peer in disputed.keys() | owing.keys()
            },
        )

    def _begin(self, steps: OrderSteps, order: Order, key: str | None) -> None:
        if steps.get(order.id) is None:
            self._take(steps, order, order_machine.begin(), begins=True, key=key)

    def _advance(
        self,
        steps: OrderSteps,
        order_id: JobId,
        news: order_machine.News,
        *,
        done: tuple[int, ...] = (),
        evidence: tuple[Event, ...] = (),
    ) -> None:
        """Apply news to an order."""
        record = steps.get(order_id)
        if record is None:
            return
        known, now = self._known, int(self.clock.now())
        facts, state = record.facts, record.state
        step = order_machine.advance(facts, state, news, now, known.failures, cheats=known.cheats)
        if step.state != record.state or step.acts or done:
            self._take(steps, record.facts, step, done=done, evidence=evidence)

    def _take(
        self,
        steps: OrderSteps,
        order: Order,
        step: Step,
        *,
        begins: bool = False,
        key: str | None = None,
        done: tuple[int, ...] = (),
        evidence: tuple[Event, ...] = (),
    ) -> None:
        steps.take(
            order.id,
            step.state,
            [self._entry(order, act) for act in step.acts],
            facts=order if begins else None,
            peer=picked(order, step.state) or "",
            final=order_machine.is_final(step.state),
            due=order_machine.due(order, step.state),
            done=done,
            evidence=evidence,
            key=key,
        )
        self._told.append(OrderChanged(order, step.state))

    def _entry(self, order: Order, act: Act) -> outbox.Entry:
        match act:
            case PublishRequest():
                return Post(order.request, tell=True)
            case PublishCancel():
                draft = jobs.write_cancel(order.id, order.request.kind, now=int(self.clock.now()))
                return Post(self.signer.sign(draft))
            case SendRefundInvoice(provider, invoice):
                hidden = self.signer.encrypt(jobs.hide_refund(invoice), provider)
                now, expires_at = int(self.clock.now()), invoice.expires_at
                draft = jobs.write_refund(
                    order.id, provider, hidden, now=now, expires_at=expires_at
                )
                return Post(self.signer.sign(draft))
            case _:
                return act

    def _hear(self, steps: OrderSteps, event: Event) -> None:
        """Judge what a provider has published about an order of ours; the rest is passed over."""
        record = next((r for r in map(steps.get, self._concerns(EventHeard(event))) if r), None)
        if record is None:
            return
        heard = self._judge(record, event)
        self._told += heard.told
        if heard.news is not None:
            self._advance(steps, record.id, heard.news, evidence=(event,))
        self._note(steps, record.id, heard, event)

    def _judge(self, record: Record[Order, OrderState], event: Event) -> Heard:
        known, author = self._known, event.pubkey
        hearing = Hearing(
            record.facts,
            record.state,
            int(self.clock.now()),
            order_machine.EXPIRY_MARGIN_SECONDS,
            self.policy,
            known.paid_at.get(author),
            author in known.cheats,
        )
        try:
            return hearing.hear(event, self._reveal(event))
        except PeerFault as fault:
            return Heard(told=(OfferRefused(record.id, author, str(fault)),))

    def _note(self, steps: OrderSteps, order_id: JobId, heard: Heard, event: Event) -> None:
        """Remember what was refused or doubted and why, and what a provider contradicts itself in."""
        record = steps.get(order_id)
        notes = tuple(
            f"{item.provider[:8]}: {item.reason}"
            for item in heard.told
            if isinstance(item, OfferRefused | OfferDoubted)
        )
        if record is None or not notes:
            return
        keeps = heard.evidence and self._contradictions[order_id] < MAX_CONTRADICTIONS
        self._contradictions[order_id] += keeps
        order, state = record.facts, record.state
        steps.take(
            order_id,
            state,
            final=order_machine.is_final(state),
            due=order_machine.due(order, state),
            evidence=(event,) if keeps else (),
            notes=notes,
        )

    def _reveal(self, event: Event) -> str | None:
        if jobs.encryption_of(event) is Encryption.NONE:
            return None
        return self.signer.decrypt(event.content, event.pubkey)

    def _tell(self) -> None:
        """Show what has happened to whoever watches; a watcher that does not keep up misses some."""
        for item in self._told:
            try:
                self.progress.send_nowait(item)
            except (trio.WouldBlock, trio.BrokenResourceError):
                break
