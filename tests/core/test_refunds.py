"""A customer's invoice is paid back only as far as it is one that can be paid."""

from typing import Any

import pytest
from attrs import evolve

from pylon.core.job_machine import RefundAsked
from pylon.core.offers import MAX_EXPIRY_SECONDS, MAX_FINAL_CLTV
from pylon.core.refunds import EXPIRY_MARGIN_SECONDS, RefundTerms, read_refund
from pylon.errors import BadInvoice
from pylon.model.ids import EventId, JobId
from pylon.model.invoice import Invoice
from pylon.model.job import Refund
from pylon.model.money import Msat, Network, from_sats
from pylon.wire import bolt11
from pylon.wire.jobs import RefundRequest
from tests.nostr import NOW, keys

TERMS = RefundTerms(Network.REGTEST, fee_percent=1, fee_floor=from_sats(5))
INVOICE = Invoice(
    network=Network.REGTEST,
    amount=Msat(12_000),
    created_at=NOW,
    payment_hash="ab" * 32,  # type: ignore[arg-type]  # a payment hash
    payment_secret="5e" * 32,
    payee=keys(1).node_key,
    description="a refund",
    expiry_seconds=600,
)


def asked(says: int = 12_000, *, now: int = NOW, **changes: Any) -> RefundAsked:
    text = bolt11.encode(evolve(INVOICE, **changes), keys(1))
    job, customer, provider = JobId(EventId("cd" * 32)), keys(1).public_key, keys(2).public_key
    return read_refund(RefundRequest(job, customer, provider, Msat(says), text), TERMS, now)


def test_a_good_invoice_is_read_with_the_most_that_paying_it_may_cost() -> None:
    text = bolt11.encode(INVOICE, keys(1))
    refund = Refund(text, INVOICE.payment_hash, from_sats(3), NOW + 600)
    assert asked() == RefundAsked(refund, Msat(12_000))
    large = asked(1_000_000_000, amount=Msat(1_000_000_000))
    assert large.refund.max_fee == 10_000_000


@pytest.mark.parametrize("network", [Network.MAINNET, Network.SIGNET])
def test_an_invoice_of_another_network_is_not_paid(network: Network) -> None:
    with pytest.raises(BadInvoice, match=f"for {network}"):
        asked(network=network)


@pytest.mark.parametrize("amount", [Msat(12_001), Msat(11_999), None])
def test_an_invoice_for_another_amount_than_the_one_asked_for_is_not_paid(
    amount: Msat | None,
) -> None:
    with pytest.raises(BadInvoice, match="amounts"):
        asked(amount=amount)


def test_an_expired_invoice_is_not_paid_and_neither_is_one_that_is_about_to() -> None:
    last = NOW + 600 - EXPIRY_MARGIN_SECONDS
    assert asked(now=last) == asked()
    with pytest.raises(BadInvoice, match="expired"):
        asked(now=last + 1)


def test_an_invoice_that_stays_open_for_years_is_not_paid() -> None:
    """What fails is tried again for as long as its invoice is good: a customer must not say for ever."""
    longest = asked(expiry_seconds=MAX_EXPIRY_SECONDS)
    assert longest.refund.expires_at == NOW + MAX_EXPIRY_SECONDS
    with pytest.raises(BadInvoice, match="long"):
        asked(expiry_seconds=MAX_EXPIRY_SECONDS + 1)


def test_an_invoice_whose_payment_could_be_held_for_weeks_is_not_paid() -> None:
    assert asked(min_final_cltv=MAX_FINAL_CLTV).amount == 12_000
    with pytest.raises(BadInvoice, match="hold"):
        asked(min_final_cltv=MAX_FINAL_CLTV + 1)


def test_what_is_no_invoice_is_not_paid() -> None:
    request = RefundRequest(
        JobId(EventId("cd" * 32)), keys(1).public_key, keys(2).public_key, Msat(1), "lnbcrt1x"
    )
    with pytest.raises(BadInvoice):
        read_refund(request, TERMS, NOW)
