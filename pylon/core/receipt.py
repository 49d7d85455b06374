"""Receipts: all that proves one paid job in one value, which anybody can check without us.

A preimage proves that somebody has paid the invoice, not who: every node on the route has learnt
it. The signed events around it say what it was paid for.
"""

from enum import StrEnum
from hashlib import sha256
from typing import Final

import msgspec
from attrs import frozen

from pylon.core import offers
from pylon.errors import Malformed, PeerFault
from pylon.model.event import Event
from pylon.model.ids import JobId, Preimage
from pylon.model.invoice import Invoice
from pylon.model.job import Encryption
from pylon.model.money import show_sats
from pylon.wire import bolt11, hexes, jobs, json
from pylon.wire import event as events
from pylon.wire.jobs.tags import read_amount, read_locked

VERSION: Final = 1
MAX_SIZE: Final = 4 << 20  # bytes of JSON: three events and an answer


@frozen(kw_only=True)
class Receipt:
    """One paid job. `offer` is the provider's demand: feedback, or the locked result itself.

    `answer` is the content of the result as the buyer reads it; others can read it only here.
    """

    request: Event
    offer: Event
    result: Event | None  # None: it was never delivered
    invoice: str  # BOLT-11
    preimage: Preimage
    answer: str | None = None
    pylon_receipt: int = VERSION


class Verdict(StrEnum):
    """What a check has found."""

    HOLDS = "holds"
    FAILS = "fails"
    OPEN = "open"  # nothing in the receipt tells


@frozen
class Claim:
    """One thing that a receipt claims. `detail` says more: the amount, or what is wrong."""

    name: str
    verdict: Verdict
    detail: str = ""


def write(receipt: Receipt) -> str:
    """Write a receipt as a JSON object."""
    return json.encode(receipt)


def read(text: str | bytes) -> Receipt:
    """Read a receipt; `claims` then says what it is worth.

    Raises:
        Malformed: if it is no receipt, or one of another version.
    """
    receipt = json.decode_as(_DECODER, text, max_size=MAX_SIZE)
    if receipt.pylon_receipt != VERSION:
        raise Malformed(f"a receipt of version {receipt.pylon_receipt}; this reads {VERSION}")
    if not hexes.is_hex(receipt.preimage, 32):
        raise Malformed("the preimage is not 32 bytes of hex")
    return receipt


def claims(receipt: Receipt) -> list[Claim]:
    """Check everything that a receipt claims. Total: it never raises."""
    return [
        _signed("the request is signed by the buyer", receipt.request),
        _signed("the offer is signed by the provider", receipt.offer),
        _about("the offer is for this request, to its buyer", receipt, receipt.offer),
        *_payment(receipt),
        *_delivery(receipt),
    ]


def holds(found: list[Claim]) -> bool:
    """Say whether no claim is false."""
    return all(claim.verdict is not Verdict.FAILS for claim in found)


def _payment(receipt: Receipt) -> list[Claim]:
    """Follow the money: offer, invoice, preimage."""
    try:
        invoice = bolt11.decode(receipt.invoice)
    except PeerFault as fault:
        return [Claim("the invoice is signed", Verdict.FAILS, str(fault))]
    proven = sha256(bytes.fromhex(receipt.preimage)).hexdigest() == invoice.payment_hash
    amount = "" if invoice.amount is None else show_sats(invoice.amount)
    return [
        Claim("the invoice is signed", Verdict.HOLDS, f"by the Lightning node {invoice.payee}"),
        _asked(receipt, invoice),
        _described(receipt, invoice),
        _claim("it was paid: the preimage hashes to the payment hash", proven, amount),
    ]


def _asked(receipt: Receipt, invoice: Invoice) -> Claim:
    name = "the offer asks for this invoice and its amount"
    try:
        amount, text = read_amount(receipt.offer.tags)
    except Malformed as fault:
        return Claim(name, Verdict.FAILS, str(fault))
    if amount is None and jobs.encryption_of(receipt.offer) is not Encryption.NONE:
        return Claim(name, Verdict.OPEN, "the offer is encrypted to the buyer")
    same = text is not None and text.lower() == receipt.invoice.lower()
    return _claim(name, same and amount == invoice.amount)


def _described(receipt: Receipt, invoice: Invoice) -> Claim:
    name = "the invoice names this job"
    if invoice.description is None or not invoice.description.startswith("pylon:"):
        return Claim(name, Verdict.OPEN, "its provider describes invoices otherwise")
    job, provider = JobId(receipt.request.id), receipt.offer.pubkey
    return _claim(name, offers.misplaced(invoice.description, job, provider) is None)


def _delivery(receipt: Receipt) -> list[Claim]:
    """Follow the answer: who signed it, for whom, and whether it is the one that was sold."""
    result = receipt.result
    if result is None:
        nothing = "there is no result in it: it proves a payment, and no more"
        return [Claim("an answer was delivered", Verdict.OPEN, nothing)]
    name = "the result is signed by the provider that was paid"
    signed = _signed(name, result)
    if result.pubkey != receipt.offer.pubkey:
        signed = Claim(name, Verdict.FAILS, "another key has signed it")
    return [
        signed,
        _about("the result is for this request, to its buyer", receipt, result),
        *_lock(receipt, result),
    ]


def _lock(receipt: Receipt, result: Event) -> list[Claim]:
    """Hold a locked result against the payment, and the answer against the result."""
    try:
        locked = read_locked(result.tags)
    except Malformed as fault:
        return [Claim("the payment opens the result", Verdict.FAILS, str(fault))]
    if locked is None:
        return [_content(receipt, result)]
    opens = sha256(bytes.fromhex(receipt.preimage)).hexdigest() == locked.payment_hash
    opened = _claim("the payment opens the result", opens)
    name = "the answer is the one that was sold"
    if receipt.answer is None:
        return [opened, Claim(name, Verdict.OPEN, "the receipt does not tell the answer")]
    digest = sha256(receipt.answer.encode()).hexdigest()
    return [opened, _claim(name, digest == locked.digest)]


def _content(receipt: Receipt, result: Event) -> Claim:
    name = "the answer is the one that was signed"
    if jobs.encryption_of(result) is not Encryption.NONE:
        return Claim(name, Verdict.OPEN, "only the buyer can read it")
    return _claim(name, receipt.answer in (None, result.content))


def _about(name: str, receipt: Receipt, event: Event) -> Claim:
    """Check that a provider's event answers the request, by kind and tags."""
    request = receipt.request
    kinds = (jobs.FEEDBACK_KIND, jobs.result_kind(request.kind))
    fits = (
        request.kind in jobs.REQUEST_KINDS
        and event.kind in (kinds if event is receipt.offer else kinds[1:])
        and event.tag("e") == request.id
        and event.tag("p") == request.pubkey
    )
    return _claim(name, fits)


def _signed(name: str, event: Event) -> Claim:
    try:
        events.check(event)
    except PeerFault as fault:
        return Claim(name, Verdict.FAILS, str(fault))
    return Claim(name, Verdict.HOLDS, event.pubkey)


def _claim(name: str, is_so: bool, detail: str = "") -> Claim:
    return Claim(name, Verdict.HOLDS if is_so else Verdict.FAILS, detail)


_DECODER: Final = msgspec.json.Decoder(Receipt)
