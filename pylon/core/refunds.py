"""A customer's invoice for what is owed, checked before anything is paid back."""

from attrs import frozen

from pylon.core.fees import fee_limit
from pylon.core.job_machine import RefundAsked
from pylon.core.offers import MAX_EXPIRY_SECONDS, MAX_FINAL_CLTV
from pylon.errors import BadInvoice
from pylon.model.job import Refund
from pylon.model.money import Msat, Network
from pylon.wire import bolt11
from pylon.wire.jobs import RefundRequest

FEE_SHARE = 4  # a refund costs at most this part of itself on top
EXPIRY_MARGIN_SECONDS = 10  # an invoice with less time left is not worth starting to pay


@frozen
class RefundTerms:
    """Where we pay back, and what that may cost on top of what is owed."""

    network: Network
    fee_percent: int
    fee_floor: Msat


def read_refund(request: RefundRequest, terms: RefundTerms, now: int) -> RefundAsked:
    """Read the invoice in a request; how much is owed, and to whom, the job knows.

    Raises:
        BadInvoice: if it cannot be read, or is not to be paid.
    """
    invoice = bolt11.decode(request.bolt11)
    if invoice.network is not terms.network:
        raise BadInvoice(f"the invoice is for {invoice.network}, and we pay on {terms.network}")
    if invoice.amount != request.amount:
        raise BadInvoice("the request and its invoice differ in their amounts")
    if invoice.expires_at < now + EXPIRY_MARGIN_SECONDS:
        raise BadInvoice("the invoice has expired, or is about to")
    if invoice.expires_at > now + MAX_EXPIRY_SECONDS:
        raise BadInvoice("the invoice stays open for too long: it would be tried all the while")
    if invoice.min_final_cltv > MAX_FINAL_CLTV:
        raise BadInvoice("the invoice would let its payee hold the payment for weeks")
    most = fee_limit(request.amount, percent=terms.fee_percent, floor=terms.fee_floor)
    # The customer chooses the route's last hop, and could be paid by its fee for asking often.
    most = min(most, Msat(request.amount // FEE_SHARE))
    refund = Refund(request.bolt11, invoice.payment_hash, most, invoice.expires_at)
    return RefundAsked(refund, request.amount)
