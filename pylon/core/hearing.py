"""What a buyer makes of what providers say: from a verified event to news of an order."""

from attrs import frozen

from pylon.core import offers, policy
from pylon.core.offers import Unacceptable
from pylon.core.order_machine import ErrorHeard, News, OfferHeard, ResultHeard
from pylon.core.order_mail import (
    OfferDoubted,
    OfferRefused,
    PartialHeard,
    Progress,
    StatusHeard,
)
from pylon.model.event import Event
from pylon.model.ids import NodeKey, PublicKey
from pylon.model.invoice import Invoice
from pylon.model.job import FeedbackStatus
from pylon.model.money import ZERO, PayMode
from pylon.model.order import Answer, Offer, Order, OrderState, offer_of
from pylon.model.reply import Feedback, Result
from pylon.wire import bolt11, jobs
from pylon.wire import event as events

BARRED = "it has sold us an answer that did not open, and is not paid any more"

_TOLD_OTHERWISE = (FeedbackStatus.PAYMENT_REQUIRED, FeedbackStatus.PARTIAL)


@frozen
class Heard:
    """What an event amounts to. Its event is kept with the news, or where it is `evidence`."""

    news: News | None = None
    told: tuple[Progress, ...] = ()
    evidence: bool = False


@frozen
class Hearing:
    """What replies to an order are judged by.

    `paid_at` is the Lightning node the author was last paid at, `cheated` whether it ever has.
    """

    order: Order
    state: OrderState
    now: int  # unix seconds
    margin: int  # seconds an invoice must still be good for
    policy: policy.Policy
    paid_at: NodeKey | None = None
    cheated: bool = False

    def hear(self, event: Event, hidden: str | None) -> Heard:
        """Judge a feedback or result event; `hidden` is its content, decrypted.

        Raises:
            PeerFault: if it cannot be read.
        """
        if event.kind == jobs.FEEDBACK_KIND:
            return self._feedback(event, jobs.read_feedback(event, hidden))
        return self._result(jobs.read_result(event, hidden))

    @property
    def picked(self) -> PublicKey | None:
        """The provider that was chosen, or asked; None as long as it may be anybody."""
        return picked(self.order, self.state)

    def _feedback(self, event: Event, feedback: Feedback) -> Heard:
        if offers.foreign(self.order, feedback):
            return Heard()
        told = self._status(feedback)
        match feedback.status:
            case FeedbackStatus.PAYMENT_REQUIRED:
                return self._offer(feedback)
            case FeedbackStatus.PARTIAL if self.picked == feedback.provider:
                text = events.clean(feedback.content)
                piece = PartialHeard(self.order.id, feedback.provider, text, feedback.seq)
                return Heard(told=(piece,))
            case FeedbackStatus.ERROR:
                reason, refund = events.clean(feedback.text), feedback.refund or ZERO
                return Heard(ErrorHeard(event.pubkey, reason, refund), told)
            case _:
                return Heard(told=told)

    def _status(self, feedback: Feedback) -> tuple[Progress, ...]:
        if feedback.status in _TOLD_OTHERWISE or self.picked not in (None, feedback.provider):
            return ()
        status, text = events.clean(feedback.status), events.clean(feedback.text)
        return (StatusHeard(self.order.id, feedback.provider, status, text),)

    def _offer(self, feedback: Feedback) -> Heard:
        invoice = _decode(feedback)
        return self._judge(
            feedback.provider,
            offers.read_offer(self.order, feedback, invoice, now=self.now, margin=self.margin),
        )

    def _result(self, result: Result) -> Heard:
        """Take a result for an answer to what was bought, or for an offer that brings its answer."""
        bought = offer_of(self.state)
        if result.locked is not None and (bought is None or bought.provider != result.provider):
            return self._locked_offer(result)
        answer = offers.read_answer(self.order, result)
        if isinstance(answer, Answer):
            wrong = None if bought is None else offers.does_not_open(answer, bought)
            return self._refuse(result.provider, wrong) if wrong else Heard(ResultHeard(answer))
        return self._refuse(result.provider, answer)

    def _locked_offer(self, result: Result) -> Heard:
        if result.mode is PayMode.HOLD_LOCKED:
            return Heard()  # of a provider that somebody else's money is held for
        invoice = _decode(result)
        found = offers.read_locked_offer(
            self.order, result, invoice, now=self.now, margin=self.margin
        )
        return self._judge(result.provider, found)

    def _judge(self, provider: PublicKey, found: Offer | Unacceptable) -> Heard:
        if self.cheated:
            return self._refuse(provider, Unacceptable(BARRED))
        if isinstance(found, Unacceptable):
            return self._refuse(provider, found)
        match policy.judge(found, self.policy, self.paid_at):
            case policy.Objection(reason):
                return self._refuse(provider, Unacceptable(reason))
            case policy.Caution(reason):
                doubt = OfferDoubted(self.order.id, provider, reason)
                return Heard(OfferHeard(found), (doubt,))
            case _:
                return Heard(OfferHeard(found))

    def _refuse(self, provider: PublicKey, why: Unacceptable) -> Heard:
        told = OfferRefused(self.order.id, provider, why.reason)
        return Heard(told=(told,), evidence=why.contradiction)


def picked(order: Order, state: OrderState) -> PublicKey | None:
    """Name the provider that was chosen, or asked; None as long as it may be anybody."""
    offer = offer_of(state)
    return order.provider if offer is None else offer.provider


def _decode(reply: Feedback | Result) -> Invoice | None:
    return bolt11.decode(reply.bolt11) if reply.bolt11 else None
