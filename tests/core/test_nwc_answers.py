"""What our wallet answers to NIP-47 requests, as values."""

import pytest
from attrs import evolve

from pylon.core import nwc_answers as answers
from pylon.model.event import Draft
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.money import ZERO, Msat
from pylon.model.wallet import (
    Capabilities,
    Direction,
    HistoryEntry,
    InvoiceState,
    InvoiceStatus,
    IssuedInvoice,
    PaymentFailed,
    PaymentInFlight,
    PaymentSettled,
)
from pylon.wire import nip44
from pylon.wire.event import sign
from pylon.wire.nwc.payloads import ErrorCode, ListTransactions, State, write_response
from tests.nostr import NOW, keys

CLIENT = keys(1)
HASH, PREIMAGE = PaymentHash("ab" * 32), Preimage("cd" * 32)
ENTRY = HistoryEntry(
    Direction.INCOMING, "open", Msat(5_000), ZERO, HASH, "tea", NOW, "lnbcrt1", None, NOW + 60
)
PAID = evolve(
    ENTRY, direction=Direction.OUTGOING, state="settled", fee=Msat(7), preimage=PREIMAGE, settled_at=NOW + 9
)  # fmt: skip


def heard(*tags: tuple[str, ...], kind: int = 23194, at: int = NOW, content: str = "") -> bool:
    event = sign(Draft(kind, at, tags, content), CLIENT)
    return answers.is_heard(event, CLIENT.public_key, now=NOW)


def test_the_client_is_heard() -> None:
    assert heard()
    assert heard(("expiration", str(NOW + 1)))
    assert heard(at=NOW - 600)
    assert heard(at=NOW + 600)


def test_nobody_else_is_and_nothing_that_somebody_may_have_kept() -> None:
    stranger = sign(Draft(23194, NOW), keys(2))
    assert not answers.is_heard(stranger, CLIENT.public_key, now=NOW)
    assert not heard(("expiration", str(NOW)))
    assert not heard(at=NOW - 601)
    assert not heard(at=NOW + 601)
    assert not heard(kind=23195)
    assert not heard(content="a" * 65_537)


def test_only_a_wallet_that_holds_says_so() -> None:
    holds, plain = Capabilities(hold=True), Capabilities()
    assert {"make_hold_invoice", "settle_hold_invoice", "cancel_hold_invoice"} == set(
        answers.methods(holds)
    ) - set(answers.methods(plain))
    assert set(answers.notifications(holds)) - set(answers.notifications(plain)) == {
        "hold_invoice_accepted"
    }


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ("open", State.PENDING),
        ("pending", State.PENDING),
        ("accepted", State.ACCEPTED),
        ("settled", State.SETTLED),
        ("expired", State.EXPIRED),
        ("cancelled", State.FAILED),
        ("failed", State.FAILED),
        ("of another wallet", State.PENDING),
    ],
)
def test_a_line_of_the_history_is_a_transaction(state: str, shown: State) -> None:
    tx = answers.transaction(evolve(ENTRY, state=state))
    assert (tx.stands(), tx.type, tx.amount, tx.payment_hash) == (shown, "incoming", 5_000, HASH)
    assert (tx.invoice, tx.description) == ("lnbcrt1", "tea")
    assert (tx.created_at, tx.expires_at, tx.fees_paid) == (NOW, NOW + 60, 0)


def test_the_newest_word_is_what_counts() -> None:
    held = InvoiceStatus(HASH, InvoiceState.ACCEPTED, Msat(5_000), NOW + 1_200)
    tx = answers.transaction(ENTRY, held)
    assert (tx.stands(), tx.settle_by) == (State.ACCEPTED, NOW + 1_200)
    assert tx.settle_deadline == answers.block_height(NOW) + 2
    ended = answers.transaction(ENTRY, InvoiceStatus(HASH, InvoiceState.CANCELLED))
    assert (ended.stands(), ended.settle_deadline) == (State.FAILED, None)

    pending = evolve(PAID, state="pending", preimage=None, settled_at=None, fee=ZERO)
    settled = answers.transaction(pending, PaymentSettled(HASH, PREIMAGE, Msat(5_000), Msat(7)))
    assert (settled.stands(), settled.preimage, settled.fees_paid) == (State.SETTLED, PREIMAGE, 7)
    assert answers.transaction(pending, PaymentFailed(HASH, "no")).stands() is State.FAILED
    assert answers.transaction(pending, PaymentInFlight(HASH)).stands() is State.PENDING


def test_a_new_invoice_is_pending() -> None:
    made = IssuedInvoice("lnbcrt1", HASH, Msat(5_000), NOW, NOW + 60)
    tx = answers.issued(made, "tea")
    assert (tx.stands(), tx.invoice, tx.preimage) == (State.PENDING, "lnbcrt1", None)
    assert (tx.created_at, tx.expires_at, tx.description) == (NOW, NOW + 60, "tea")


def test_what_the_history_does_not_reach_has_what_is_known() -> None:
    status = InvoiceStatus(HASH, InvoiceState.SETTLED, Msat(5_000))
    entry = answers.unlisted(HASH, Direction.INCOMING, status)
    tx = answers.transaction(entry, status)
    assert (tx.stands(), tx.amount, tx.payment_hash) == (State.SETTLED, 5_000, HASH)
    paid = PaymentSettled(HASH, PREIMAGE, Msat(9), Msat(1))
    tx = answers.transaction(answers.unlisted(HASH, Direction.OUTGOING, paid), paid)
    assert (tx.amount, tx.fees_paid, tx.type) == (9, 1, "outgoing")


HISTORY = [
    evolve(ENTRY, payment_hash=PaymentHash(f"{n:064x}"), at=NOW - n, state=state, direction=way)
    for n, (state, way) in enumerate(
        [
            ("open", Direction.INCOMING),
            ("settled", Direction.INCOMING),
            ("settled", Direction.OUTGOING),
            ("failed", Direction.OUTGOING),
            ("settled", Direction.INCOMING),
        ]
    )
]


@pytest.mark.parametrize(
    ("asked", "listed"),
    [
        (ListTransactions(), [1, 2, 4]),
        (ListTransactions(unpaid=True), [0, 1, 2, 3, 4]),
        (ListTransactions(type="incoming"), [1, 4]),
        (ListTransactions(since=NOW - 2), [1, 2]),
        (ListTransactions(until=NOW - 2), [2, 4]),
        (ListTransactions(limit=1), [1]),
        (ListTransactions(offset=1), [2, 4]),
        (ListTransactions(unpaid=True, limit=2, offset=2), [2, 3]),
        (ListTransactions(offset=9), []),
    ],
)
def test_what_is_listed_is_what_was_asked_for(asked: ListTransactions, listed: list[int]) -> None:
    funding = HistoryEntry(Direction.FUNDING, "settled", Msat(1), ZERO, None, "faucet", NOW)
    page = answers.page([funding, *HISTORY], asked)
    assert [int(tx.payment_hash, 16) for tx in page.transactions] == listed


@pytest.mark.parametrize("description", ["tea", "\U0001f375" * 639, "\x01" * 639])
@pytest.mark.parametrize("bolt11", ["l" * 300, "l" * 7_000])
def test_a_page_can_be_encrypted_however_long_its_lines(description: str, bolt11: str) -> None:
    entries = [evolve(PAID, description=description, bolt11=bolt11)] * 30
    page = answers.page(entries, ListTransactions(limit=99))
    assert 1 <= len(page.transactions) <= 20
    text = write_response("list_transactions", page)
    assert nip44.encrypt(b"\x01" * 32, text, nonce=b"\x02" * 32)


def test_a_payment_fails_for_want_of_money_or_else() -> None:
    failed = PaymentFailed(HASH, "because")
    short = answers.payment_failure(failed, amount=Msat(5), balance=Msat(4))
    assert (short.error, short.message) == (ErrorCode.INSUFFICIENT_BALANCE, "because")
    other = answers.payment_failure(failed, amount=Msat(5), balance=Msat(5))
    assert other.error is ErrorCode.PAYMENT_FAILED


def test_ending_a_hold_is_refused_unless_it_ended_so() -> None:
    def status(state: InvoiceState) -> InvoiceStatus:
        return InvoiceStatus(HASH, state)

    assert answers.unsettled(status(InvoiceState.SETTLED)) is None
    assert answers.uncancelled(status(InvoiceState.CANCELLED)) is None
    assert answers.uncancelled(status(InvoiceState.EXPIRED)) is None
    for refusal in (
        answers.unsettled(status(InvoiceState.OPEN)),
        answers.unsettled(status(InvoiceState.CANCELLED)),
        answers.uncancelled(status(InvoiceState.SETTLED)),
    ):
        assert refusal is not None
        assert refusal.error is ErrorCode.OTHER


def test_times_are_within_reason() -> None:
    assert answers.expiry_seconds(None) == answers.expiry_seconds(0) == 3_600
    assert answers.expiry_seconds(60) == 60
    assert answers.expiry_seconds(10**12) == 31 * 86_400
    assert answers.hold_seconds(None) == 600
    assert answers.hold_seconds(18 + 6) == 3_600
    assert answers.hold_seconds(0) == 600
