"""The actor that owns the orders of this process: what was asked, offered, paid and answered."""

from collections.abc import Mapping

import trio
from attrs import define, field

from pylon.core import offers, order_machine, outbox, policy
from pylon.core.order_machine import Act, PublishCancel, PublishRequest, Step
from pylon.core.order_mail import (
    AboutOrder,
    EventHeard,
    NewOrder,
    OfferDoubted,
    OfferRefused,
    OrderChanged,
    OrderMail,
    PartialHeard,
    Progress,
    StatusHeard,
)
from pylon.core.outbox import Post
from pylon.errors import PeerFault
from pylon.model.event import Event
from pylon.model.ids import EventId, JobId, NodeKey, PublicKey
from pylon.model.job import Encryption, FeedbackStatus
from pylon.model.order import Answer, Offer, Order, OrderState, offer_of
from pylon.model.reply import Feedback
from pylon.ports.channels import Hint, Inbox
from pylon.ports.clock import Clock
from pylon.ports.keys import Signer
from pylon.ports.payees import Payees
from pylon.ports.records import Record, Records
from pylon.ports.steps import Steps
from pylon.wire import bolt11, jobs
from pylon.wire import event as events

_TOLD_OTHERWISE = (FeedbackStatus.PAYMENT_REQUIRED, FeedbackStatus.PARTIAL)

OrderSteps = Steps[Order, OrderState]


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
    _paid_at: Mapping[PublicKey, NodeKey] = field(factory=dict, init=False)
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
        failures = await self._failures(batch)
        self._paid_at = await self._known_payees(batch)
        for mail in batch:
            match mail:
                case NewOrder(order, key):
                    self._begin(steps, order, key)
                case EventHeard(event):
                    self._hear(steps, event)
                case AboutOrder(order_id, news, done):
                    if isinstance(news, order_machine.TimePassed):
                        news = order_machine.TimePassed(failures)
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

    async def _failures(self, batch: list[OrderMail]) -> Mapping[PublicKey, int]:
        """Count what providers have failed at before, when somebody is about to be chosen."""
        if not any(
            isinstance(mail, AboutOrder) and isinstance(mail.news, order_machine.TimePassed)
            for mail in batch
        ):
            return {}
        disputed = await self.records.count("Disputed")
        return {PublicKey(peer): count for peer, count in disputed.items()}

    async def _known_payees(self, batch: list[OrderMail]) -> Mapping[PublicKey, NodeKey]:
        """Return where the providers that may be making an offer were paid before."""
        heard = {
            mail.event.pubkey
            for mail in batch
            if isinstance(mail, EventHeard) and mail.event.kind == jobs.FEEDBACK_KIND
        }
        return await self.payees.known([*heard]) if heard else {}

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
        record = steps.get(order_id)
        if record is None:
            return
        step = order_machine.advance(record.facts, record.state, news, int(self.clock.now()))
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
            peer=_peer(order, step.state),
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
            case _:
                return act

    def _hear(self, steps: OrderSteps, event: Event) -> None:
        """Judge what a provider has published about an order of ours; the rest is passed over."""
        record = next((r for r in map(steps.get, self._concerns(EventHeard(event))) if r), None)
        if record is None:
            return
        try:
            if event.kind == jobs.FEEDBACK_KIND:
                self._hear_feedback(steps, record, event)
            else:
                self._hear_result(steps, record, event)
        except PeerFault as fault:
            self._told.append(OfferRefused(record.id, event.pubkey, str(fault)))

    def _hear_feedback(
        self, steps: OrderSteps, record: Record[Order, OrderState], event: Event
    ) -> None:
        feedback = jobs.read_feedback(event, self._reveal(event))
        picked = _peer(record.facts, record.state)
        if offers.foreign(record.facts, feedback):
            return
        match feedback.status:
            case FeedbackStatus.PAYMENT_REQUIRED:
                self._hear_offer(steps, record.facts, event, feedback)
            case FeedbackStatus.PARTIAL if picked == event.pubkey:
                text = events.clean(feedback.content)
                self._told.append(PartialHeard(record.id, event.pubkey, text, feedback.seq))
            case FeedbackStatus.ERROR:
                news = order_machine.ErrorHeard(event.pubkey, events.clean(feedback.text))
                self._advance(steps, record.id, news, evidence=(event,))
        if feedback.status not in _TOLD_OTHERWISE and picked in ("", event.pubkey):
            status, text = events.clean(feedback.status), events.clean(feedback.text)
            self._told.append(StatusHeard(record.id, event.pubkey, status, text))

    def _hear_offer(
        self, steps: OrderSteps, order: Order, event: Event, feedback: Feedback
    ) -> None:
        found = offers.read_offer(
            order,
            feedback,
            bolt11.decode(feedback.bolt11) if feedback.bolt11 else None,
            now=int(self.clock.now()),
            margin=order_machine.EXPIRY_MARGIN_SECONDS,
        )
        match found:
            case Offer():
                self._judge(steps, order, event, found)
            case offers.Unacceptable(reason):
                self._told.append(OfferRefused(order.id, event.pubkey, reason))

    def _judge(self, steps: OrderSteps, order: Order, event: Event, offer: Offer) -> None:
        match policy.judge(offer, self.policy, self._paid_at.get(offer.provider)):
            case policy.Objection(reason):
                self._told.append(OfferRefused(order.id, offer.provider, reason))
                return
            case policy.Caution(reason):
                self._told.append(OfferDoubted(order.id, offer.provider, reason))
        self._advance(steps, order.id, order_machine.OfferHeard(offer), evidence=(event,))

    def _hear_result(
        self, steps: OrderSteps, record: Record[Order, OrderState], event: Event
    ) -> None:
        result = jobs.read_result(event, self._reveal(event))
        answer = offers.read_answer(record.facts, result)
        match answer:
            case Answer():
                news = order_machine.ResultHeard(answer)
                self._advance(steps, record.id, news, evidence=(event,))
            case offers.Unacceptable(reason):
                self._told.append(OfferRefused(record.id, event.pubkey, reason))

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


def _peer(order: Order, state: OrderState) -> str:
    """Name the provider, as soon as there is one."""
    offer = offer_of(state)
    return order.provider or "" if offer is None else offer.provider
