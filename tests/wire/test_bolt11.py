"""BOLT-11 against the standard's own examples, against another implementation, and against noise."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import sha256
from typing import Any

import bolt11 as other
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import BadInvoice
from pylon.model.ids import NodeKey, PaymentHash
from pylon.model.invoice import Fallback, Invoice, RouteHop
from pylon.model.money import Msat, Network
from pylon.wire import bech32
from pylon.wire.bolt11 import MAX_AMOUNT, MAX_LENGTH, decode, encode
from pylon.wire.secp import KeyPair
from tests.vectors import load

VECTORS = load("bolt11.json")
KEY = KeyPair(bytes.fromhex(VECTORS["private_key"]))
SECRET = VECTORS["private_key"]
IGNORED_FIELDS = "Same, but including fields which must be ignored."
VALID = [case for case in VECTORS["valid"] if case["title"] != IGNORED_FIELDS]
CURRENCIES = {
    "bc": Network.MAINNET,
    "tb": Network.TESTNET,
    "tbs": Network.SIGNET,
    "bcrt": Network.REGTEST,
}
TYPES = dict(zip("pshdmnxcfr9", (1, 16, 23, 13, 27, 19, 6, 24, 9, 3, 5), strict=True))

PLAIN = Invoice(
    network=Network.REGTEST,
    amount=Msat(12_000),
    created_at=1_700_000_000,
    payment_hash=PaymentHash("ab" * 32),
    payment_secret="cd" * 32,
    payee=KEY.node_key,
    description="a job",
    features=frozenset({8, 14, 17}),
)


def titles(cases: Iterable[dict[str, Any]]) -> list[str]:
    return [case["title"][:40] for case in cases]


def is_in_our_order(kinds: list[str]) -> bool:
    return kinds == sorted(kinds, key="spdhmxcfr9".index)


# --- the standard's examples ---


@pytest.mark.parametrize("case", VALID, ids=titles(VALID))
def test_an_example_of_the_standard_says_what_the_standard_says(case: dict[str, Any]) -> None:
    said = case["decoded"]
    invoice = decode(case["invoice"])

    assert invoice.network is CURRENCIES[said["currency"]]
    assert invoice.amount == said["amount_msat"]
    assert invoice.created_at == said["timestamp"]
    assert invoice.payment_hash == said["payment_hash"]
    assert invoice.payment_secret == said["payment_secret"]
    assert invoice.payee == said["payee"]
    assert invoice.description == said.get("description")
    assert invoice.description_hash == said.get("description_hash")
    assert invoice.expiry_seconds == said.get("expiry", 3600)
    assert invoice.min_final_cltv == said.get("min_final_cltv_expiry_delta", 18)
    assert invoice.features == set(said["feature_bits"])
    assert invoice.metadata == (bytes.fromhex(said["metadata"]) if "metadata" in said else None)
    assert invoice.expires_at == said["timestamp"] + said.get("expiry", 3600)


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=titles(VECTORS["invalid"]))
def test_an_example_of_what_not_to_accept_is_not_accepted(case: dict[str, Any]) -> None:
    with pytest.raises(BadInvoice):
        decode(case["invoice"])


def test_the_example_of_fields_once_ignored_is_refused_as_the_rule_of_2025_says() -> None:
    (case,) = (case for case in VECTORS["valid"] if case["title"] == IGNORED_FIELDS)
    with pytest.raises(BadInvoice, match="wrong length"):
        decode(case["invoice"])


OURS = [case for case in VALID if case["decoded"]["payee"] == VECTORS["payee_for_all_unless_noted"]]
IN_OUR_ORDER = [
    case for case in OURS if is_in_our_order([kind for kind, _ in case["decoded"]["field_order"]])
]


@pytest.mark.parametrize("case", OURS, ids=titles(OURS))
def test_an_example_survives_being_written_anew(case: dict[str, Any]) -> None:
    invoice = decode(case["invoice"])
    assert decode(encode(invoice, KEY)) == invoice


@pytest.mark.parametrize("case", IN_OUR_ORDER, ids=titles(IN_OUR_ORDER))
def test_an_example_with_its_fields_in_our_order_is_written_to_the_letter(
    case: dict[str, Any],
) -> None:
    assert encode(decode(case["invoice"]), KEY) == case["invoice"]


# --- amounts ---


@pytest.mark.parametrize("row", VECTORS["hrp_amount_decode"], ids=lambda row: row["hrp"])
def test_a_prefix_is_read_as_the_table_says(row: dict[str, Any]) -> None:
    text = forge(row["hrp"])
    if "error" in row:
        with pytest.raises(BadInvoice):
            decode(text)
    else:
        assert decode(text).amount == row["amount_msat"]


@pytest.mark.parametrize("row", VECTORS["hrp_amount_encode_shortest"], ids=lambda row: row["msat"])
def test_an_amount_is_written_in_its_shortest_form(row: dict[str, Any]) -> None:
    text = encode(evolve(PLAIN, amount=Msat(row["msat"])), KEY)
    assert text.rpartition("1")[0] == f"lnbcrt{row['hrp_amount']}"


@pytest.mark.parametrize(
    "hrp", ["lnbc21000001", "lnbc" + "9" * 20, "lnbc" + "9" * 5000, "lnbc\u0661"]
)
def test_more_than_all_money_is_no_amount(hrp: str) -> None:
    with pytest.raises(BadInvoice):
        decode(forge(hrp) if hrp.isascii() else hrp)


@pytest.mark.parametrize("currency", CURRENCIES)
def test_each_network_has_its_prefix(currency: str) -> None:
    text = encode(evolve(PLAIN, network=CURRENCIES[currency]), KEY)
    assert text.startswith(f"ln{currency}120n1")
    assert decode(text).network is CURRENCIES[currency]


# --- the strict reader ---


def field(letter: str, symbols: bytes) -> bytes:
    return bytes((TYPES[letter], len(symbols) >> 5, len(symbols) & 31)) + symbols


def data_field(letter: str, data: bytes) -> bytes:
    return field(letter, bech32.to_symbols(data))


HASH = data_field("p", b"\xab" * 32)
OTHER_HASH = data_field("p", b"\xef" * 32)
PAYMENT_SECRET = data_field("s", b"\xcd" * 32)
WORDS = data_field("d", b"a job")
BASE = HASH + PAYMENT_SECRET + WORDS


def forge(hrp: str = "lnbcrt120n", fields: bytes = BASE) -> str:
    """Sign whatever we are given: wrong in its form, right in its signature."""
    symbols = bytes(7) + fields
    size = -(-len(symbols) * 5 // 8)
    packed = (bech32.to_number(symbols) << (size * 8 - len(symbols) * 5)).to_bytes(size, "big")
    signature, recovery_id = KEY.sign_recoverable(sha256(hrp.encode() + packed).digest())
    return bech32.encode(hrp, symbols + bech32.to_symbols(signature + bytes([recovery_id])))


def test_what_the_forge_makes_of_good_fields_is_good() -> None:
    assert decode(forge()).payee == KEY.node_key


HOP = bytes.fromhex(KEY.node_key) + bytes(18)

BROKEN = {
    "no payment hash": PAYMENT_SECRET + WORDS,
    "no payment secret": HASH + WORDS,
    "no description": HASH + PAYMENT_SECRET,
    "description and hash": BASE + data_field("h", bytes(32)),
    "short hash": BASE + field("p", bytes(51)),
    "long secret": BASE + field("s", bytes(53)),
    "short description hash": BASE + field("h", bytes(51)),
    "short payee": BASE + field("n", bytes(52)),
    "padding of ones in the hash": field("p", bytes(51) + b"\x01") + PAYMENT_SECRET + WORDS,
    "a whole symbol of padding": HASH + PAYMENT_SECRET + field("d", bytes(1)),
    "description not UTF-8": HASH + PAYMENT_SECRET + data_field("d", b"\xff\xfe"),
    "a surrogate in the description": HASH + PAYMENT_SECRET + data_field("d", b"\xed\xa0\x80"),
    "cut inside a field's head": BASE + b"\x0d\x00",
    "field longer than what is left": BASE + b"\x0d\x01\x00\x01",
    "expiry with a leading zero": BASE + field("x", b"\x00\x01"),
    "expiry beyond 32 bits": BASE + field("x", b"\x04" + bytes(6)),
    "delta of a thousand symbols": BASE + field("c", b"\x01" * 1023),
    "features with a leading zero": BASE + field("9", b"\x00\x01"),
    "an unknown feature it needs": BASE + field("9", b"\x01\x00\x00"),
    "multi-part without payment secret": BASE + field("9", b"\x02\x00\x00\x00"),
    "fallback without a version": BASE + field("f", b""),
    "witness program of 21 bytes": BASE + field("f", b"\x00" + bech32.to_symbols(bytes(21))),
    "key hash of 32 bytes": BASE + field("f", b"\x11" + bech32.to_symbols(bytes(32))),
    "taproot program of 41 bytes": BASE + field("f", b"\x01" + bech32.to_symbols(bytes(41))),
    "route without hops": BASE + field("r", b""),
    "route of half a hop": BASE + data_field("r", HOP[:-1]),
    "payee that is no point": BASE + data_field("n", b"\x05" + bytes(32)),
    "payee who did not sign": BASE + data_field("n", bytes.fromhex(KeyPair(b"\1" * 32).node_key)),
}


@pytest.mark.parametrize("fields", BROKEN.values(), ids=BROKEN)
def test_a_broken_rule_is_a_bad_invoice(fields: bytes) -> None:
    with pytest.raises(BadInvoice):
        decode(forge(fields=fields))


KEPT: dict[str, tuple[bytes, Callable[[Invoice], object], object]] = {
    "the first hash of two": (BASE + OTHER_HASH, lambda i: i.payment_hash, "ab" * 32),
    "the payee it names": (
        BASE + data_field("n", bytes.fromhex(KEY.node_key)),
        lambda i: i.payee,
        KEY.node_key,
    ),
    "an unknown odd feature": (BASE + field("9", b"\x10\x00"), lambda i: i.features, {9}),
    "no features at all": (BASE, lambda i: i.features, set()),
    "multi-part with payment secret": (
        BASE + field("9", b"\x04\x10\x00\x00"),
        lambda i: i.features,
        {14, 17},
    ),
    "an expiry of nothing": (BASE + field("x", b""), lambda i: i.expiry_seconds, 0),
    "an unknown field": (BASE + b"\x02\x00\x01\x1f", lambda i: i.description, "a job"),
    "a fallback of tomorrow": (BASE + field("f", b"\x13\x1f"), lambda i: i.fallbacks, ()),
    "a taproot fallback": (
        BASE + field("f", b"\x01" + bech32.to_symbols(bytes(32))),
        lambda i: i.fallbacks,
        (Fallback(1, bytes(32)),),
    ),
}


@pytest.mark.parametrize(("fields", "look", "expected"), KEPT.values(), ids=KEPT)
def test_what_is_to_be_kept_or_ignored_is(
    fields: bytes,
    look: Callable[[Invoice], object],
    expected: object,
) -> None:
    assert look(decode(forge(fields=fields))) == expected


@pytest.mark.parametrize("prefix", ["lightning:", "LIGHTNING:", "Lightning:"])
def test_a_uri_and_upper_case_are_welcome(prefix: str) -> None:
    text = encode(PLAIN, KEY)
    assert decode(prefix + text) == decode(prefix + text.upper()) == PLAIN


def test_one_changed_character_is_always_noticed() -> None:
    text = encode(PLAIN, KEY)
    for at in range(len(text)):
        changed = text[:at] + ("q" if text[at] != "q" else "p") + text[at + 1 :]
        with pytest.raises(BadInvoice):
            decode(changed)


def test_a_text_beyond_any_invoice_is_not_even_looked_at() -> None:
    with pytest.raises(BadInvoice, match="too long"):
        decode("lnbc1" + "q" * MAX_LENGTH)


@pytest.mark.parametrize("recovery_id", [4, 31, 255])
def test_a_recovery_id_that_does_not_exist_is_refused(recovery_id: int) -> None:
    symbols = bech32.decode(forge())[1]
    signature = bech32.to_bytes(symbols[-104:])[:-1] + bytes([recovery_id])
    with pytest.raises(BadInvoice):
        decode(bech32.encode("lnbcrt120n", symbols[:-104] + bech32.to_symbols(signature)))


# --- the writer ---

HOP_VALUE = RouteHop(KEY.node_key, 2**64 - 1, Msat(2**32 - 1), 2**32 - 1, 2**16 - 1)

UNWRITABLE = {
    "signed by another": {"payee": NodeKey("02" * 33)},
    "nothing": {"amount": Msat(0)},
    "less than nothing": {"amount": Msat(-1)},
    "more than everything": {"amount": Msat(MAX_AMOUNT + 1)},
    "a time before time": {"created_at": -1},
    "a time after time": {"created_at": 2**35},
    "a short hash": {"payment_hash": PaymentHash("ab")},
    "a hash that is not hex": {"payment_hash": PaymentHash("zz" * 32)},
    "no description": {"description": None},
    "both descriptions": {"description_hash": "ab" * 32},
    "a description of 640 bytes": {"description": "x" * 640},
    "half a character": {"description": "\ud800"},
    "endless expiry": {"expiry_seconds": 2**32},
    "negative delta": {"min_final_cltv": -1},
    "an impossible feature": {"features": frozenset({5115})},
    "a negative feature": {"features": frozenset({-1})},
    "a fallback of no known version": {"fallbacks": (Fallback(19, bytes(20)),)},
    "a fallback of no known length": {"fallbacks": (Fallback(17, bytes(21)),)},
    "a route without hops": {"routes": ((),)},
    "a route number too large": {"routes": ((evolve(HOP_VALUE, cltv_delta=2**16),),)},
    "a route through half a key": {"routes": ((evolve(HOP_VALUE, node_key=NodeKey("02")),),)},
    "more than fits": {"routes": ((HOP_VALUE,) * 12,) * 8},
}


@pytest.mark.parametrize("changes", UNWRITABLE.values(), ids=UNWRITABLE)
def test_what_the_standard_cannot_say_is_not_written(changes: dict[str, Any]) -> None:
    with pytest.raises(BadInvoice):
        encode(evolve(PLAIN, **changes), KEY)


def test_a_signature_is_low_s_and_the_same_every_time() -> None:
    text = encode(PLAIN, KEY)
    signature = bech32.to_bytes(bech32.decode(text)[1][-104:])
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

    assert int.from_bytes(signature[32:64], "big") <= order // 2
    assert encode(PLAIN, KEY) == text


# --- properties ---

hex32 = st.binary(min_size=32, max_size=32).map(bytes.hex)
texts = st.text(max_size=150)  # at most 4 bytes a character
hops = st.builds(
    RouteHop,
    node_key=st.binary(min_size=33, max_size=33).map(lambda key: NodeKey(key.hex())),
    short_channel_id=st.integers(0, 2**64 - 1),
    fee_base=st.integers(0, 2**32 - 1).map(Msat),
    fee_ppm=st.integers(0, 2**32 - 1),
    cltv_delta=st.integers(0, 2**16 - 1),
)
fallbacks = st.one_of(
    st.builds(Fallback, st.sampled_from([0, 17, 18]), st.binary(min_size=20, max_size=20)),
    st.builds(Fallback, st.integers(1, 16), st.binary(min_size=2, max_size=40)),
)
features = st.frozensets(
    st.one_of(st.sampled_from([8, 14, 24, 36, 48]), st.integers(0, 2000).map(lambda n: 2 * n + 1)),
    max_size=5,
).map(lambda bits: bits | {14} if bits else bits)  # 17 rests on 14


@st.composite
def invoices(draw: st.DrawFn) -> Invoice:
    said, hashed = draw(st.one_of(st.tuples(texts, st.none()), st.tuples(st.none(), hex32)))
    return Invoice(
        network=draw(st.sampled_from(Network)),
        amount=draw(st.one_of(st.none(), st.integers(1, MAX_AMOUNT).map(Msat))),
        created_at=draw(st.integers(0, 2**35 - 1)),
        payment_hash=PaymentHash(draw(hex32)),
        payment_secret=draw(hex32),
        payee=KEY.node_key,
        description=said,
        description_hash=hashed,
        expiry_seconds=draw(st.integers(0, 2**32 - 1)),
        min_final_cltv=draw(st.integers(0, 2**32 - 1)),
        features=draw(features),
        metadata=draw(st.one_of(st.none(), st.binary(max_size=100))),
        fallbacks=tuple(draw(st.lists(fallbacks, max_size=2))),
        routes=tuple(draw(st.lists(st.lists(hops, min_size=1, max_size=3).map(tuple), max_size=2))),
    )


@given(invoices())
def test_what_we_write_we_read_back(invoice: Invoice) -> None:
    assert decode(encode(invoice, KEY)) == invoice


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(BadInvoice):
        decode(text)


@given(
    st.sampled_from(["lnbc", "lnbcrt1u", "lntbs20m"]),
    st.lists(st.integers(0, 31), max_size=300).map(bytes),
)
def test_any_fields_with_a_good_signature_are_read_or_refused(hrp: str, fields: bytes) -> None:
    with suppress(BadInvoice):  # any other exception fails the test
        decode(forge(hrp, BASE + fields))


# --- another implementation ---

plain_invoices = st.builds(
    lambda network, amount, at, secret, words, expiry: evolve(
        PLAIN,
        network=network,
        amount=Msat(amount),
        created_at=at,
        payment_secret=secret,
        description=words,
        expiry_seconds=expiry,
    ),
    st.sampled_from([Network.MAINNET, Network.TESTNET, Network.REGTEST]),
    st.integers(1, 10**14 - 1),  # the package writes thousands of bitcoin as that many bitcoin
    st.integers(10**9, 2**32),
    hex32,
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=60),
    st.integers(1, 10**6),
)


@given(plain_invoices)
def test_the_bolt11_package_reads_what_we_write(invoice: Invoice) -> None:
    theirs = other.decode(encode(invoice, KEY))

    assert theirs.amount_msat is not None
    assert int(theirs.amount_msat) == invoice.amount
    assert theirs.date == invoice.created_at
    assert theirs.payment_hash == invoice.payment_hash
    assert theirs.payment_secret == invoice.payment_secret
    assert theirs.description == invoice.description
    assert theirs.expiry == invoice.expiry_seconds
    assert theirs.payee == invoice.payee
    assert theirs.features is not None
    assert theirs.features.readable  # it understands our bits


@given(plain_invoices)
def test_we_read_what_the_bolt11_package_writes(invoice: Invoice) -> None:
    theirs = other.Bolt11(
        currency={v: k for k, v in CURRENCIES.items()}[invoice.network],
        amount_msat=other.MilliSatoshi(invoice.amount or 0),
        date=invoice.created_at,
        tags=other.Tags.from_dict(
            {
                "payment_hash": invoice.payment_hash,
                "payment_secret": invoice.payment_secret,
                "description": invoice.description,
                "expire_time": invoice.expiry_seconds,
            },
        ),
    )
    assert decode(other.encode(theirs, SECRET)) == evolve(invoice, features=frozenset())
