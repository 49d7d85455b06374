"""What is heard is believed as far as it was signed by whom it concerns, and fits."""

from typing import Any

from attrs import evolve

from pylon.core.hearing import BARRED, Heard, Hearing, picked
from pylon.core.order_machine import ErrorHeard, OfferHeard, ResultHeard
from pylon.core.order_mail import OfferDoubted, OfferRefused, PartialHeard, StatusHeard
from pylon.core.policy import Policy
from pylon.model.event import Event
from pylon.model.ids import JobId, NodeKey, PaymentHash, PublicKey
from pylon.model.job import FeedbackStatus
from pylon.model.money import Msat, PayMode
from pylon.model.order import Answer, Offer, Order, OrderState, Paying, Published
from pylon.wire import bolt11, jobs, locked
from pylon.wire.event import sign
from tests.adapters.stores.samples import order as an_order
from tests.market.liar import HASH, PREIMAGE
from tests.market.words import PAYEE, a_word, an_invoice
from tests.market.words import an_offer as demand
from tests.nostr import NOW, keys, note

SELLER, OTHER = 3, 4
KEY = keys(SELLER).public_key
REQUEST = note("", ("i", "2+2?", "text"), kind=5050, by=1)
ORDER = evolve(
    an_order(1),
    id=JobId(REQUEST.id),
    request=REQUEST,
    provider=None,
    max_price=Msat(50_000),
    deadline=NOW + 600,
    accepts=(PayMode.HOLD_LOCKED, PayMode.LOCKED, PayMode.PREPAY),
)


def hear(
    event: Event, hidden: str | None = None, state: OrderState | None = None, **known: Any
) -> Heard:
    hearing = Hearing(ORDER, state or Published(), NOW, 10, Policy())
    return evolve(hearing, **known).hear(event, hidden)


def bought(mode: PayMode = PayMode.PREPAY) -> Offer:
    invoice = an_invoice(NOW, payment_hash=HASH)
    heard = hear(demand(ORDER, invoice, by=SELLER))
    assert isinstance(heard.news, OfferHeard)
    return evolve(heard.news.offer, mode=mode)


def locked_result(
    mode: PayMode, *, lock: str = HASH, invoice_for: str = HASH, by: int = SELLER
) -> tuple[Event, str]:
    """Return a locked result and its content decrypted."""
    invoice = an_invoice(NOW, payment_hash=invoice_for)
    key = keys(by).public_key
    hidden = locked.lock("four", PREIMAGE, job=ORDER.id, provider=key, nonce=bytes(12))
    draft = jobs.write_result(
        REQUEST,
        "as ciphertext",
        now=NOW,
        amount=invoice.amount,
        bolt11=invoice.bolt11,
        mode=mode,
        encrypted=True,
        locked=evolve(locked.describe("four", PREIMAGE), payment_hash=PaymentHash(lock)),
    )
    return sign(draft, keys(by)), hidden


def refusals(heard: Heard) -> list[str]:
    return [item.reason for item in heard.told if isinstance(item, OfferRefused)]


def test_a_demand_that_fits_is_an_offer() -> None:
    heard = hear(demand(ORDER, an_invoice(NOW), by=SELLER))
    assert isinstance(heard.news, OfferHeard)
    assert (heard.told, heard.evidence) == ((), False)
    assert heard.news.offer.node_key == keys(PAYEE).node_key


def test_a_demand_whose_tag_and_invoice_differ_is_kept_as_a_contradiction() -> None:
    heard = hear(demand(ORDER, an_invoice(NOW), by=SELLER, says=13_000))
    assert refusals(heard) == ["it says 13 sat and its invoice 12 sat"]
    assert (heard.news, heard.evidence) == (None, True)


def test_a_demand_without_an_invoice_is_no_offer() -> None:
    bare = a_word(ORDER, FeedbackStatus.PAYMENT_REQUIRED, by=SELLER, at=NOW)
    assert refusals(hear(bare)) == ["it names no amount, or has no invoice"]


def test_a_provider_that_has_cheated_is_not_paid_again() -> None:
    heard = hear(demand(ORDER, an_invoice(NOW), by=SELLER), cheated=True)
    assert (heard.news, refusals(heard)) == (None, [BARRED])
    result, hidden = locked_result(PayMode.LOCKED)
    assert refusals(hear(result, hidden, cheated=True)) == [BARRED]


def test_another_node_than_before_is_doubted_or_refused_as_the_policy_has_it() -> None:
    event, before = demand(ORDER, an_invoice(NOW), by=SELLER), NodeKey("02" * 33)
    heard = hear(event, paid_at=before)
    assert isinstance(heard.news, OfferHeard)
    assert isinstance(heard.told[0], OfferDoubted)
    strict = Policy(refuse_key_change=True)
    heard = hear(event, paid_at=before, policy=strict)
    assert heard.news is None
    assert "its Lightning node is" in refusals(heard)[0]


def test_a_locked_result_of_anybody_is_an_offer_where_nothing_is_bought_from_them() -> None:
    result, hidden = locked_result(PayMode.LOCKED)
    for state in (Published(), Paying(evolve(bought(), provider=keys(OTHER).public_key))):
        heard = hear(result, hidden, state)
        assert isinstance(heard.news, OfferHeard)
        assert heard.news.offer.answer == Answer(result.id, KEY, locked.describe("four", PREIMAGE))


def test_a_locked_result_of_whom_we_pay_is_the_answer_to_what_we_bought() -> None:
    for mode in (PayMode.HOLD_LOCKED, PayMode.LOCKED):
        result, hidden = locked_result(mode)
        heard = hear(result, hidden, Paying(bought(mode)))
        assert heard == Heard(
            ResultHeard(Answer(result.id, KEY, locked.describe("four", PREIMAGE)))
        )


def test_a_result_locked_with_another_key_than_was_sold_is_refused_and_kept() -> None:
    result, hidden = locked_result(PayMode.HOLD_LOCKED, lock="ab" * 32)
    heard = hear(result, hidden, Paying(bought(PayMode.HOLD_LOCKED)))
    assert refusals(heard) == ["the answer is locked with another key than the one that was sold"]
    assert (heard.news, heard.evidence) == (None, True)


def test_a_result_locked_for_somebody_elses_payment_is_passed_over() -> None:
    result, hidden = locked_result(PayMode.HOLD_LOCKED, by=OTHER)
    assert hear(result, hidden) == Heard()
    assert hear(result, hidden, Paying(bought())) == Heard()


def test_a_locked_result_whose_invoice_is_for_another_key_is_refused_and_kept() -> None:
    result, hidden = locked_result(PayMode.LOCKED, invoice_for="ab" * 32)
    heard = hear(result, hidden)
    assert refusals(heard) == ["its invoice does not pay for the key it is locked with"]
    assert heard.evidence


def test_a_result_in_clear_is_an_answer_before_and_after_the_payment() -> None:
    result = sign(jobs.write_result(REQUEST, "four", now=NOW), keys(SELLER))
    for state in (Published(), Paying(bought())):
        assert hear(result, state=state) == Heard(ResultHeard(Answer(result.id, KEY)))
    empty = sign(jobs.write_result(REQUEST, " ", now=NOW), keys(SELLER))
    assert refusals(hear(empty)) == ["the answer is empty"]


def test_feedback_that_does_not_concern_the_order_is_passed_over() -> None:
    elsewhere = evolve(ORDER, request=note("other", kind=5050, by=1))
    assert hear(a_word(elsewhere, FeedbackStatus.ERROR, by=SELLER, at=NOW)) == Heard()


def test_bad_news_is_told_with_what_will_be_given_back() -> None:
    plain = a_word(ORDER, FeedbackStatus.ERROR, by=SELLER, at=NOW, text="no\x07 luck")
    heard = hear(plain)
    assert heard.news == ErrorHeard(KEY, "no luck", Msat(0))
    assert heard.told == (StatusHeard(ORDER.id, KEY, "error", "no luck"),)
    draft = jobs.write_feedback(
        REQUEST, FeedbackStatus.ERROR, now=NOW, text="no luck", refund=Msat(12_000)
    )
    assert hear(sign(draft, keys(SELLER))).news == ErrorHeard(KEY, "no luck", Msat(12_000))


def test_how_it_goes_is_told_of_the_provider_chosen_or_of_all_before() -> None:
    word = a_word(ORDER, FeedbackStatus.PROCESSING, by=SELLER, at=NOW)
    told = (StatusHeard(ORDER.id, KEY, "processing", ""),)
    other = Paying(evolve(bought(), provider=keys(OTHER).public_key))
    assert hear(word).told == told
    assert hear(word, state=Paying(bought())).told == told
    assert hear(word, state=other) == Heard()


def test_pieces_are_told_of_the_provider_chosen_alone() -> None:
    piece = a_word(ORDER, FeedbackStatus.PARTIAL, by=SELLER, at=NOW, content="fo")
    heard = hear(piece, state=Paying(bought()))
    assert heard == Heard(told=(PartialHeard(ORDER.id, KEY, "fo", None),))
    assert hear(piece) == Heard()


def test_the_provider_is_the_one_chosen_or_else_the_one_asked() -> None:
    asked: Order = evolve(ORDER, provider=PublicKey("ab" * 32))
    assert picked(ORDER, Published()) is None
    assert picked(asked, Published()) == "ab" * 32
    assert picked(asked, Paying(bought())) == KEY


def test_the_invoice_in_these_tests_is_one() -> None:
    assert bolt11.decode(bought().bolt11).payment_hash == HASH
