"""BOLT-11 invoices: text to `Invoice` and back, signature included.

The reader is strict: where BOLT-11 lets a reader choose, it refuses. What it reads is at most
`MAX_LENGTH` characters, and every number in it fits into 64 bits.
"""

import re
from hashlib import sha256
from typing import Final

from pylon.errors import BadInvoice, BadSignature, Malformed
from pylon.model.ids import NodeKey, PaymentHash
from pylon.model.invoice import (
    DEFAULT_EXPIRY_SECONDS,
    DEFAULT_MIN_FINAL_CLTV,
    Invoice,
)
from pylon.model.money import Msat, Network
from pylon.wire import bech32
from pylon.wire import bolt11_fields as fields
from pylon.wire.secp import KeyPair, recover_ecdsa, verify_ecdsa

MAX_LENGTH: Final = 7089  # what the largest QR code holds
MAX_AMOUNT: Final = Msat(21_000_000 * 10**11)  # every bitcoin there will ever be

_SCHEME: Final = "lightning:"
_CURRENCIES: Final = {
    "bc": Network.MAINNET,
    "tb": Network.TESTNET,
    "tbs": Network.SIGNET,
    "bcrt": Network.REGTEST,
}
_CURRENCY_OF: Final = {network: currency for currency, network in _CURRENCIES.items()}
_HRP: Final = re.compile(r"ln(bcrt|tbs|bc|tb)(?:([1-9][0-9]{0,19})([munp]?))?")
_MSAT_PER: Final = {"": 10**11, "m": 10**8, "u": 10**5, "n": 100}  # p is a tenth of one

_TIMESTAMP_LENGTH: Final = 7  # symbols
_SIGNATURE_LENGTH: Final = 104
_ONE_DESCRIPTION: Final = "needs a description or its hash, and not both"


def decode(text: str) -> Invoice:
    """Read an invoice and check its signature; `payee` is whoever made it.

    Upper case and a `lightning:` prefix are welcome. Of a field given twice the first counts.

    Raises:
        BadInvoice: The text is no invoice, breaks BOLT-11, or needs a feature we do not have.
    """
    try:
        return _read(text)
    except (Malformed, BadSignature) as error:
        raise BadInvoice(f"invoice: {error}") from error
    except UnicodeDecodeError as error:
        raise BadInvoice("invoice: the description is not UTF-8") from error


def encode(invoice: Invoice, key: KeyPair) -> str:
    """Write and sign an invoice, in the shortest form; `key` must be the payee's.

    Raises:
        BadInvoice: The value cannot be written as BOLT-11 wants it.
    """
    if key.node_key != invoice.payee:
        raise BadInvoice("invoice: only its payee can sign it")
    try:
        hrp = f"ln{_CURRENCY_OF[invoice.network]}{_write_amount(invoice.amount)}"
        signed = _write_timestamp(invoice.created_at) + _write_fields(invoice)
    except (ValueError, Malformed) as error:
        raise BadInvoice(f"invoice: {error}") from error
    signature, recovery_id = key.sign_recoverable(_digest(hrp, signed))
    text = bech32.encode(hrp, signed + bech32.to_symbols(signature + bytes([recovery_id])))
    if len(text) > MAX_LENGTH:
        raise BadInvoice("invoice: too long")
    return text


def _read(text: str) -> Invoice:
    if len(text) > MAX_LENGTH:
        raise Malformed("too long")
    if text[: len(_SCHEME)].lower() == _SCHEME:
        text = text[len(_SCHEME) :]
    hrp, symbols = bech32.decode(text)
    network, amount = _read_hrp(hrp)
    if len(symbols) < _TIMESTAMP_LENGTH + _SIGNATURE_LENGTH:
        raise Malformed("too short")
    signed, signature = symbols[:-_SIGNATURE_LENGTH], symbols[-_SIGNATURE_LENGTH:]
    found = fields.split(signed[_TIMESTAMP_LENGTH:])
    payment_hash, payment_secret = (
        fields.read_hex(found, fields.P),
        fields.read_hex(found, fields.S),
    )
    if payment_hash is None or payment_secret is None:
        raise Malformed("no payment hash or no payment secret")
    description = fields.read_data(found, fields.D)
    description_hash = fields.read_hex(found, fields.H)
    if (description is None) == (description_hash is None):
        raise Malformed(_ONE_DESCRIPTION)
    return Invoice(
        network=network,
        amount=amount,
        created_at=bech32.to_number(signed[:_TIMESTAMP_LENGTH]),
        payment_hash=PaymentHash(payment_hash),
        payment_secret=payment_secret,
        payee=_read_payee(_digest(hrp, signed), bech32.to_bytes(signature), found),
        description=None if description is None else description.decode(),
        description_hash=description_hash,
        expiry_seconds=fields.read_number(found, fields.X, DEFAULT_EXPIRY_SECONDS),
        min_final_cltv=fields.read_number(found, fields.C, DEFAULT_MIN_FINAL_CLTV),
        features=fields.read_features(found),
        metadata=fields.read_data(found, fields.M),
        fallbacks=fields.read_fallbacks(found),
        routes=fields.read_routes(found),
    )


def _read_hrp(hrp: str) -> tuple[Network, Msat | None]:
    match = _HRP.fullmatch(hrp)
    if match is None:
        raise Malformed("unknown currency or amount")
    currency, digits, multiplier = match.groups()
    if digits is None:
        return _CURRENCIES[currency], None
    if multiplier == "p":
        amount, rest = divmod(int(digits), 10)
        if rest:
            raise Malformed("an amount finer than a millisatoshi")
    else:
        amount = int(digits) * _MSAT_PER[multiplier]
    if amount > MAX_AMOUNT:
        raise Malformed("an amount above all money")
    return _CURRENCIES[currency], Msat(amount)


def _read_payee(digest: bytes, signature: bytes, found: fields.Fields) -> NodeKey:
    compact, recovery_id = signature[:-1], signature[-1]
    named = fields.read_hex(found, fields.N)
    if named is None:
        return recover_ecdsa(digest, compact, recovery_id)
    if not verify_ecdsa(NodeKey(named), digest, compact):
        raise BadSignature("not signed by the payee it names")
    return NodeKey(named)


def _write_amount(amount: Msat | None) -> str:
    if amount is None:
        return ""
    if not 0 < amount <= MAX_AMOUNT:
        raise ValueError("an amount that is no amount")
    for multiplier, unit in _MSAT_PER.items():
        if amount % unit == 0:
            return f"{amount // unit}{multiplier}"
    return f"{amount * 10}p"


def _write_timestamp(created_at: int) -> bytes:
    """Write seven symbols, big-endian."""
    if not 0 <= created_at < 2 ** (5 * _TIMESTAMP_LENGTH):
        raise ValueError("a time out of range")
    return bytes(created_at >> 5 * place & 31 for place in reversed(range(_TIMESTAMP_LENGTH)))


def _write_fields(invoice: Invoice) -> bytes:
    """Write what is needed, in the order of the standard's examples, and leave out what is usual."""
    parts = [
        fields.write_hex(fields.S, invoice.payment_secret),
        fields.write_hex(fields.P, invoice.payment_hash),
        _write_description(invoice),
    ]
    if invoice.metadata is not None:
        parts.append(fields.write_data(fields.M, invoice.metadata))
    if invoice.expiry_seconds != DEFAULT_EXPIRY_SECONDS:
        parts.append(fields.write_number(fields.X, invoice.expiry_seconds))
    if invoice.min_final_cltv != DEFAULT_MIN_FINAL_CLTV:
        parts.append(fields.write_number(fields.C, invoice.min_final_cltv))
    parts += map(fields.write_fallback, invoice.fallbacks)
    parts += map(fields.write_route, invoice.routes)
    if invoice.features:
        parts.append(fields.write_features(invoice.features))
    return b"".join(parts)


def _write_description(invoice: Invoice) -> bytes:
    match invoice.description, invoice.description_hash:
        case str(text), None:
            return fields.write_data(fields.D, text.encode())
        case None, str(digest):
            return fields.write_hex(fields.H, digest)
        case _:
            raise Malformed(_ONE_DESCRIPTION)


def _digest(hrp: str, symbols: bytes) -> bytes:
    """Hash what the signature covers: prefix and data, filled up with zero bits to whole bytes."""
    length = -(-len(symbols) * 5 // 8)
    packed = bech32.to_number(symbols) << (length * 8 - len(symbols) * 5)
    return sha256(hrp.encode() + packed.to_bytes(length, "big")).digest()
