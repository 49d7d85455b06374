"""What must be true after any run, one function for each invariant of the market.

    I1   sats are conserved over all wallets, the escrow and the fees, and the nodes' books agree
    I2   at most one payment is settled for a job
    I3   no held or locked payment is settled without an answer that its buyer can read
    I4   `paid` is said only with the wallet's evidence
    I5   what is spent and reserved stays within every cap
    I6   every job and order has ended, in one state, and nothing is left to do
    I7   whoever was only killed ends as if it had not been
    I8   no secret is in a log or in an event
    I9   what is heard twice changes nothing
    I10  nobody gets more than the admission limits

I5 and I10 are about every moment: `watch` looks after each write. The others look at the end.
"""

import re
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from attrs import evolve

from pylon.app.budget import caps_of
from pylon.core.budget import Span
from pylon.core.job_machine import HELD_FIRST, is_final
from pylon.core.order_machine import is_final as is_ended
from pylon.model.budget import NODE
from pylon.model.job import Job, Refunded, Settled, Unpaid
from pylon.model.money import PayMode
from pylon.model.order import Cheated, Disputed, Done, Offer, OrderState, Reclaiming, offer_of
from pylon.model.order import Refunded as PaidBack
from pylon.ports.records import Record
from tests.market.nodes import NodeHome, open_rows
from tests.simulation.books import (
    Ledger,
    events_on,
    evidence_of,
    jobs_of,
    orders_of,
    read_ledger,
)
from tests.simulation.market import Market
from tests.simulation.model import answer_to
from tests.simulation.plan import FUNDS

PAID = (Done, Disputed, Cheated, Reclaiming, PaidBack)
_HEX = re.compile(r"[0-9a-f]{64}")


async def check(market: Market) -> None:
    """Assert every invariant that is about the end of a run."""
    ledger = read_ledger(market.world.ledger)
    await sats_are_conserved(market, ledger)
    no_job_is_paid_for_twice(market, ledger)
    await paying_is_receiving(market)
    only_what_was_offered_is_paid(market, ledger)
    lies_are_kept_and_liars_barred(market, ledger)
    paid_is_said_only_of_what_is_paid(market, ledger)
    for home in market.homes:
        caps_hold(home)
        admission_limits_hold(home)
    await everything_has_ended(market)
    kills_alone_change_nothing(market)
    no_secret_is_told(market, ledger)


async def sats_are_conserved(market: Market, ledger: Ledger) -> None:
    """I1."""
    found = await market.world.ledger_audit()
    assert not found, f"I1: the ledger contradicts itself: {found}"
    assert sum(ledger.balances.values()) == 0, "I1: sats were made, or have vanished"
    assert ledger.balances["escrow"] == 0, f"I1: {ledger.balances['escrow']} msat are still held"
    for customer in market.customers:
        home = customer.home
        paid = ledger.settled_by(_wallet_of(home))
        spent = sum(p.amount + p.fee for p in paid)
        booked = await home.store.budget.committed()
        assert booked == spent, f"I1: {customer.fate.name} paid {spent} msat and booked {booked}"
        back = sum(bill.amount for bill in ledger.earned_by(_wallet_of(home)))
        balance = await home.ledger.balance()
        assert balance == FUNDS - spent + back, f"I1: {customer.fate.name} has {balance} msat"
    for vendor in market.vendors:
        settled = {j.state.paid for j in jobs_of(vendor.home) if isinstance(j.state, Settled)}
        bills = ledger.earned_by(_wallet_of(vendor.home))
        earned = sum(bill.amount for bill in bills if bill.payment_hash in settled)
        booked = (await vendor.home.store.earnings.total()).amount
        assert booked == earned, f"I1: {vendor.fate.name} earned {earned} msat and booked {booked}"


def no_job_is_paid_for_twice(market: Market, ledger: Ledger) -> None:
    """I2."""
    for customer in market.customers:
        paid = Counter(p.payment_hash for p in ledger.settled_by(_wallet_of(customer.home)))
        meant = Counter(offer.payment_hash for offer in _paid_offers(customer.home))
        extra, unpaid = paid - meant, meant - paid
        assert not extra, f"I2: {customer.fate.name} paid {list(extra)}, which no order says"
        assert not unpaid, f"I2: {customer.fate.name} says that {list(unpaid)} are paid"
    twice = paid_twice(market, ledger)
    assert not twice, f"I2: paid more than once: {twice}"


def paid_twice(market: Market, ledger: Ledger) -> list[str]:
    """Return the jobs for which a wallet has paid twice, to whomever."""
    buyers = {_wallet_of(customer.home) for customer in market.customers}
    jobs = Counter(
        (p.payer, ledger.bills[p.payment_hash].description)
        for p in ledger.payments
        if p.state == "settled" and p.payer in buyers
    )
    return [description for (_, description), count in jobs.items() if count > 1]


async def paying_is_receiving(market: Market) -> None:
    """I3, for honest sellers in every mode: answered, and rightly, or paid back."""
    lost = lost_orders(market)
    assert not lost, f"I3: paid an honest seller for nothing: {lost}"
    honest = {vendor.home.key for vendor in market.vendors}
    for customer in market.customers:
        asked = {trip.order.id: trip.errand for trip in customer.trips if trip.order is not None}
        for record in orders_of(customer.home):
            if not isinstance(record.state, Done):
                continue
            text = await customer.home.result_text(record.facts)
            assert text, f"I3: done, and nothing to read: {_short(record)}"
            if record.state.answer.provider in honest:
                right = answer_to(asked[record.id].question)
                assert text == right, f"I3: {text!r} is no answer to {right!r}"


def lost_orders(market: Market) -> list[str]:
    """Return the orders that were paid to an honest seller, and neither answered nor paid back."""
    honest = {vendor.home.key for vendor in market.vendors}
    return [
        f"{customer.fate.name}: {_short(record)}"
        for customer in market.customers
        for record in orders_of(customer.home)
        if isinstance(record.state, Disputed | Cheated | Reclaiming)
        and record.state.offer.provider in honest
    ]


def only_what_was_offered_is_paid(market: Market, ledger: Ledger) -> None:
    """I3: the amount that was offered, to the one whose offer was picked."""
    honest = {_wallet_of(v.home): v.home.key for v in market.vendors}
    for customer in market.customers:
        for record in orders_of(customer.home):
            offer = offer_of(record.state)
            if not isinstance(record.state, PAID) or offer is None:
                continue
            name, bill = f"order {_short(record)}", ledger.bills[offer.payment_hash]
            assert bill.amount == offer.amount <= record.facts.max_price, f"I3: amount: {name}"
            assert bill.payee == offer.node_key, f"I3: payee: {name}"
            owner = honest.get(bill.payee, offer.provider)
            assert owner == offer.provider, f"I3: paid {owner[:8]} under another's name: {name}"
            assert offer.mode in record.facts.accepts, f"I3: mode: {name}"


def lies_are_kept_and_liars_barred(market: Market, ledger: Ledger) -> None:
    """I3, for sellers that lie: what they signed is kept, and orders to come do not pay a cheat."""
    for customer in market.customers:
        paid = {p.payment_hash for p in ledger.settled_by(_wallet_of(customer.home))}
        records = orders_of(customer.home)
        for record in records:
            state, kept = record.state, {e.id for e in evidence_of(customer.home, record.id)}
            if isinstance(state, Disputed | Cheated | Reclaiming | PaidBack):
                assert state.offer.feedback in kept, f"I3: no evidence: {_short(record)}"
            if not isinstance(state, Cheated):
                continue
            assert state.answer.result in kept, f"I3: no evidence of fraud: {_short(record)}"
            liar, known_at = state.offer.provider, record.updated_at
            for other in records:
                later = offer_of(other.state)
                if (
                    later is not None
                    and later.provider == liar
                    and other.facts.opened_at > known_at
                ):
                    again = later.payment_hash in paid
                    assert not again, f"I3: a liar is paid again: {_short(other)}"


def paid_is_said_only_of_what_is_paid(market: Market, ledger: Ledger) -> None:
    """I4."""
    for vendor in market.vendors:
        for record in jobs_of(vendor.home):
            paid = getattr(record.state, "paid", None)
            if paid is not None:
                bill = ledger.bills[paid]
                assert bill.state == "settled", f"I4: {_short(record)}, and is {bill.state}"
            if isinstance(record.state, Refunded):
                assert _opens(record.state.preimage, record.state.refund), "I4: refund not proved"
    for customer in market.customers:
        for order in orders_of(customer.home):
            state, offer = order.state, offer_of(order.state)
            preimage = getattr(state, "preimage", None)
            if isinstance(state, PAID) and offer is not None:
                assert preimage, f"I4: order {order.id[:8]} says paid and has no proof"
                assert _opens(preimage, offer.payment_hash), f"I4: {order.id[:8]}: no proof"
            if isinstance(state, PaidBack):
                back = ledger.bills[state.invoice].state
                assert back == "settled", f"I4: order {order.id[:8]} says paid back: it is {back}"


def caps_hold(home: NodeHome) -> None:
    """I5."""
    limits = caps_of(home.config).by_span()
    totals = home.store.budget._totals  # type: ignore[attr-defined]
    held = totals[NODE, Span.TOTAL, ""].reserved if (NODE, Span.TOTAL, "") in totals else 0
    for (scope, span, key), used in totals.items():
        cap = limits[span]
        also = held if span in (Span.HOUR, Span.DAY) else 0
        assert cap is None or used.committed + also <= cap, (
            f"I5: {used.committed + also} msat committed for {scope} {span} {key}, capped at {cap}"
        )


async def everything_has_ended(market: Market) -> None:
    """I6."""
    for person in market.people:
        name, home = person.fate.name, person.home
        for job in jobs_of(home):
            assert is_final(job.state), f"I6: {name}: job {_short(job)}"
        for order in orders_of(home):
            assert is_ended(order.state), f"I6: {name}: order {_short(order)}"
        rows = await open_rows(home)
        assert not rows, f"I6: {name} still has to do: {rows}"
    for customer in market.customers:
        for trip in customer.trips:
            assert await customer.is_known(trip), f"I6: never begun: {trip.errand}"


def kills_alone_change_nothing(market: Market) -> None:
    """I7: where there was no other trouble, and room for all, every order was answered."""
    if market.plan.troubles != {"kills"}:
        return
    for customer in market.customers:
        for record in orders_of(customer.home):
            assert isinstance(record.state, Done), (
                f"I7: order {record.id[:8]} of {customer.fate.name} ended as {record.state}"
            )


def no_secret_is_told(market: Market, ledger: Ledger) -> None:
    """I8."""
    secrets = {bill.preimage: "a preimage" for bill in ledger.bills.values() if bill.preimage}
    secrets |= {home.ledger._key._secret.hex(): "a key" for home in market.homes}
    hidden = [e.question for e in market.plan.errands if e.encrypted]
    texts = [*market.chronicle.logs, *map(str, events_on(market.world))]
    for text in texts:
        for word in _HEX.findall(text):
            assert word not in secrets, f"I8: {secrets[word]} is told in {text[:300]}"
    said = "\n".join(texts)
    for question in hidden:
        assert question not in said, f"I8: {question!r} was hidden, and is told"


def admission_limits_hold(home: NodeHome) -> None:
    """I10."""
    limits, jobs = home.config.provider, jobs_of(home)
    is_open = [job for job in jobs if not is_final(job.state)]
    for customer, count in Counter(job.facts.customer for job in is_open).items():
        most = limits.max_open_jobs_per_buyer
        assert count <= most, f"I10: {customer[:8]} has {count} jobs open, and may have {most}"
    holds = Counter(job.facts.customer for job in is_open if job.facts.mode in HELD_FIRST)
    assert holds.total() <= limits.max_holds, f"I10: {holds.total()} holds"
    assert max(holds.values(), default=0) <= limits.max_holds_per_buyer, f"I10: holds: {holds}"
    credit = Counter(
        job.facts.customer
        for job in jobs
        if job.facts.mode is PayMode.LOCKED
        and (not is_final(job.state) or isinstance(job.state, Unpaid))
    )
    most = limits.max_unpaid_per_buyer
    assert max(credit.values(), default=0) <= most, f"I10: unpaid: {credit}, at most {most} each"


def watch(home: NodeHome, what: str) -> None:
    """Look at what must be true at every moment, after a write."""
    if what in ("budget.reserve", "budget.spend"):
        caps_hold(home)
    elif what == "jobs.save":
        admission_limits_hold(home)


def snapshot(market: Market) -> dict[str, object]:
    """Return everything that an event heard twice must not change (I9)."""
    ledger = read_ledger(market.world.ledger)
    states: dict[str, object] = {"payments": sorted(map(str, ledger.payments))}
    states["bills"] = sorted(map(str, ledger.bills.values()))
    for person in market.people:
        name, home = person.fate.name, person.home
        states |= {f"{name} job {r.id}": r.state for r in jobs_of(home)}
        states |= {f"{name} order {r.id}": _timeless(r.state) for r in orders_of(home)}
        states[f"{name} budget"] = dict(home.store.budget._entries)  # type: ignore[attr-defined]
        states[f"{name} earnings"] = dict(home.store.earnings._earnings)  # type: ignore[attr-defined]
    return states


def _timeless(state: OrderState) -> OrderState:
    """Leave out when the wallet was last asked about a refund: that is no news."""
    return evolve(state, asked_at=None) if isinstance(state, Reclaiming) else state


def hearing_twice_changes_nothing(before: dict[str, object], after: dict[str, object]) -> None:
    """I9."""
    for what in before | after:
        was, is_now = before.get(what), after.get(what)
        assert is_now == was, f"I9: all was heard again: {what} was {was} and is {is_now}"


def _paid_offers(home: NodeHome) -> Iterator[Offer]:
    for record in orders_of(home):
        offer = offer_of(record.state)
        if isinstance(record.state, PAID) and offer is not None:
            yield offer


def _short(record: Record[Any, Any]) -> str:
    state = record.state
    return f"{record.id[:8]} ({record.facts.mode if isinstance(record.facts, Job) else ''}) is {type(state).__name__}: {state}"


def _wallet_of(home: NodeHome) -> str:
    return home.ledger._key.node_key


def _opens(preimage: str, payment_hash: str) -> bool:
    return sha256(bytes.fromhex(preimage)).hexdigest() == payment_hash
