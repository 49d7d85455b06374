"""Nostr Wallet Connect as it travels: the connection string, the events, what is in them."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import Malformed, PeerFault
from pylon.model.event import Draft, Event
from pylon.model.ids import RelayUrl
from pylon.model.job import Encryption
from pylon.wire import event as events
from pylon.wire import nip04, nip44
from pylon.wire.nwc import events as nwc
from pylon.wire.nwc import payloads
from pylon.wire.nwc.events import ServiceInfo
from pylon.wire.nwc.payloads import (
    BadRequest,
    Balance,
    Done,
    ErrorCode,
    NodeInfo,
    Paid,
    PayInvoice,
    Refusal,
    State,
    Transaction,
    Transactions,
)
from pylon.wire.nwc.uri import WalletUri, read_uri, write_uri
from pylon.wire.secp import KeyPair
from tests import vectors
from tests.wire.strategies import ALICE, BOB, drafts, json_values

SECRET = "71a8c14c1407c113601079c4302dab36460f0ccd0ad506f1f2dc73b5100e4f3c"
URI = WalletUri(ALICE.public_key, (RelayUrl("wss://relay.example.com"),), SECRET)
TEXT = (
    f"nostr+walletconnect://{ALICE.public_key}?relay=wss%3A%2F%2Frelay.example.com&secret={SECRET}"
)
HASH = "ab" * 32
RESULTS = (Paid, Transaction, Transactions, Balance, NodeInfo, Done)


def event_of(value: Any) -> Event:
    return events.parse(json.dumps(value))


# The connection string


def test_the_connection_string_of_the_standard_is_read() -> None:
    vector = vectors.load("nip47.json")
    uri, wanted = read_uri(vector["uri"]), vector["uri_parsed"]

    assert uri.wallet == wanted["wallet_pubkey"]
    assert list(uri.relays) == wanted["relays"]
    assert uri.secret == wanted["secret"]
    assert uri.keys().public_key == wanted["client_pubkey"]
    assert uri.lud16 == wanted["lud16"]
    assert write_uri(uri) == vector["uri"]


@given(
    st.lists(
        st.sampled_from(["wss://a.example", "ws://b:1/x?y=1&z", "wss://c.example/+"]), min_size=1
    ),
    st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
)
def test_a_connection_string_that_was_written_is_read(relays: list[str], lud16: str | None) -> None:
    uri = WalletUri(BOB.public_key, tuple(map(RelayUrl, dict.fromkeys(relays))), SECRET, lud16)
    assert read_uri(write_uri(uri)) == uri


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("nostr+walletconnect", "nostrwalletconnect"),
        TEXT.replace("nostr+walletconnect", "NOSTR+WALLETCONNECT"),
        TEXT.replace("://", ":"),
        TEXT.replace("?", "/?"),
        TEXT.replace(SECRET, SECRET.upper()),
        f" {TEXT}\n",
        f"{TEXT}&lud16=&unknown=1&&",
    ],
)
def test_a_connection_string_is_read_as_wallets_spell_it(text: str) -> None:
    assert read_uri(text) == URI


def test_an_address_keeps_its_plus() -> None:
    assert read_uri(f"{TEXT}&lud16=me+pay@example.com").lud16 == "me+pay@example.com"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://example.com",
        f"nostr+walletconnect://{ALICE.public_key}",
        TEXT.replace(ALICE.public_key, "npub1xyz"),
        TEXT.replace(ALICE.public_key, "f" * 64),  # no point of the curve
        TEXT.replace(SECRET, "00" * 32),
        TEXT.replace(SECRET, SECRET[:-2]),
        TEXT.replace(f"&secret={SECRET}", ""),
        TEXT + f"&secret={SECRET}",
        TEXT.replace("wss%3A", "https%3A"),
        TEXT + "&relay=wss%3A%2F%2Fa" * 8,
        TEXT + "&lud16=%ff",
        TEXT + "&x=" + "a" * 4096,
    ],
)
def test_what_is_no_connection_string_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(Malformed) as refused:
        read_uri(text)
    assert SECRET not in str(refused.value)
    assert SECRET[:16] not in str(refused.value)


def test_a_relay_that_swallowed_the_secret_is_not_shown() -> None:
    with pytest.raises(Malformed) as refused:
        read_uri(f"nostr+walletconnect://{ALICE.public_key}?relay=wss://a b secret={SECRET}")
    assert SECRET not in repr(refused.value)


def test_no_repr_shows_the_secret() -> None:
    assert ALICE.public_key in repr(URI)
    assert SECRET not in f"{URI!r} {URI} {URI.keys()!r}"


@given(st.text() | st.text().map(lambda text: TEXT + text))
def test_any_text_is_a_connection_string_or_refused(text: str) -> None:
    with suppress(PeerFault):
        uri = read_uri(text)
        assert read_uri(write_uri(uri)) == uri


# Events


def test_the_events_of_the_vectors_are_read_and_written_again() -> None:
    vector = vectors.load("nip47.json")
    wallet = KeyPair(bytes.fromhex(vector["wallet_service_sec"]))
    client = KeyPair(bytes.fromhex(vector["client_sec"]))
    key = nip44.conversation_key(client, wallet.public_key)

    request = event_of(vector["request_nip44"]["event"])
    events.check(request)
    assert nwc.encryption_of(request) is Encryption.NIP44
    assert nip44.decrypt(key, request.content) == vector["request_nip44"]["plaintext"]
    draft = nwc.request_draft(
        wallet.public_key, "x", Encryption.NIP44, now=request.created_at, void_at=1700000760
    )
    assert sorted(draft.tags) == sorted(request.tags)

    legacy = event_of(vector["request_nip04_legacy"]["event"])
    assert nwc.encryption_of(legacy) is Encryption.NIP04
    clear = nip04.decrypt(wallet.shared_x(client.public_key), legacy.content)
    assert clear == vector["request_nip04_legacy"]["plaintext"]

    for name in ("response_ok", "response_error"):
        response = event_of(vector[name]["event"])
        events.check(response)
        assert nwc.answered_request(response) == request.id
        assert nip44.decrypt(key, response.content) == vector[name]["plaintext"]
        draft = nwc.response_draft(
            client.public_key, request.id, response.content, now=response.created_at
        )
        assert draft == Draft(response.kind, response.created_at, response.tags, response.content)

    told = event_of(vector["notification"]["event"])
    assert nip44.decrypt(key, told.content) == vector["notification"]["plaintext"]
    contents = [(Encryption.NIP44, told.content)]
    (draft,) = nwc.notification_drafts(client.public_key, contents, now=told.created_at)
    assert draft == Draft(told.kind, told.created_at, told.tags, told.content)


def test_the_info_of_the_vectors_is_read_and_means_the_same_written_again() -> None:
    info = event_of(vectors.load("nip47.json")["info"])
    read = nwc.read_info(info)

    assert read.methods == set(info.content.split()) - {"notifications"}
    assert read.notifications == {"payment_received", "payment_sent"}
    assert read.encryptions == {Encryption.NIP44, Encryption.NIP04}
    again = events.sign(nwc.info_draft(read, now=1), ALICE)
    assert nwc.read_info(again) == read
    assert again.content.endswith(" notifications")


def test_the_better_encryption_is_chosen_as_the_vectors_say() -> None:
    for case in vectors.load("nip47.json")["negotiation"]:
        spoken = case["info_encryption_tag"]
        tags = () if spoken is None else (("encryption", spoken),)
        chosen = nwc.read_info(events.sign(Draft(13194, 1, tags), ALICE)).preferred()
        words = {"nip44_v2": Encryption.NIP44, "nip04": Encryption.NIP04, None: None}
        assert chosen is words[case["choose"]]


def test_a_wallet_that_tells_nothing_says_nothing_of_it() -> None:
    info = ServiceInfo(frozenset({"get_info"}))
    draft = nwc.info_draft(info, now=1)
    assert draft.content == "get_info"
    assert nwc.read_info(events.sign(draft, ALICE)) == info


def test_commas_between_encryptions_are_forgiven() -> None:
    event = events.sign(Draft(13194, 1, (("encryption", "nip44_v2,nip04"),)), ALICE)
    assert nwc.read_info(event).preferred() is Encryption.NIP44


def test_an_unknown_encryption_is_none() -> None:
    event = events.sign(Draft(23194, 1, (("encryption", "nip99"),)), ALICE)
    assert nwc.encryption_of(event) is None


@given(drafts.map(lambda draft: events.sign(draft, ALICE)), st.sampled_from([13194, 23195]))
def test_any_event_is_read_or_refused(event: Event, kind: int) -> None:
    for changed in (event, events.sign(Draft(kind, 1, event.tags, event.content), ALICE)):
        with suppress(PeerFault):
            assert nwc.read_info(changed).methods <= set(changed.content.split())
        with suppress(PeerFault):
            assert nwc.answered_request(changed) == changed.tag("e")
        nwc.encryption_of(changed)


# Payloads


def test_what_the_vectors_say_is_read_and_written_again() -> None:
    vector = vectors.load("nip47.json")
    for name in ("request_nip44", "request_nip04_legacy"):
        text = vector[name]["plaintext"]
        request = payloads.read_request(text)
        assert isinstance(request, PayInvoice)
        assert payloads.write_request(request) == text
    text = vector["response_ok"]["plaintext"]
    paid = payloads.read_response(text, Paid)
    assert isinstance(paid, Paid)
    assert paid.fees_paid == 12
    assert payloads.write_response("pay_invoice", paid) == text
    text = vector["response_error"]["plaintext"]
    refused = payloads.read_response(text, Paid)
    assert refused == Refusal("INSUFFICIENT_BALANCE", "no")
    assert refused.error is ErrorCode.INSUFFICIENT_BALANCE
    assert payloads.write_response("pay_invoice", refused) == text
    told = payloads.read_notification(vector["notification"]["plaintext"])
    assert told.notification.stands() is State.SETTLED
    assert payloads.read_notification(payloads.write_notification(told)) == told


params = {
    "pay_invoice": {"invoice": "lnbc1", "amount": 5},
    "make_invoice": {"amount": 5, "description": "d", "expiry": 60},
    "lookup_invoice": {"payment_hash": HASH},
    "list_transactions": {"from": 1, "until": 2, "limit": 3, "unpaid": True, "type": "incoming"},
    "get_balance": {},
    "get_info": {},
    "make_hold_invoice": {"amount": 5, "payment_hash": HASH, "min_cltv_expiry_delta": 144},
    "settle_hold_invoice": {"preimage": HASH},
    "cancel_hold_invoice": {"payment_hash": HASH},
}


@pytest.mark.parametrize("method", list(payloads.METHODS))
def test_every_request_is_read_and_written_again(method: str) -> None:
    text = json.dumps({"method": method, "params": params[method]})
    request = payloads.read_request(text)

    assert type(request) is payloads.METHODS[method]
    assert json.loads(payloads.write_request(request)) == json.loads(text)


def test_parameters_may_be_left_out_and_unknown_ones_are_passed_over() -> None:
    assert payloads.read_request('{"method":"get_info"}') == payloads.GetInfo()
    text = '{"method":"get_info","params":{"x":[1]},"id":"7"}'
    assert payloads.read_request(text) == payloads.GetInfo()


@pytest.mark.parametrize(
    ("text", "method", "code"),
    [
        ('{"method":"pay_keysend","params":{}}', "pay_keysend", ErrorCode.NOT_IMPLEMENTED),
        ('{"method":"pay_invoice","params":{}}', "pay_invoice", ErrorCode.OTHER),
        ('{"method":"pay_invoice","params":null}', "pay_invoice", ErrorCode.OTHER),
        ('{"method":"make_invoice","params":{"amount":0}}', "make_invoice", ErrorCode.OTHER),
        ('{"method":"make_invoice","params":{"amount":-1}}', "make_invoice", ErrorCode.OTHER),
        ('{"method":"make_invoice","params":{"amount":1.5}}', "make_invoice", ErrorCode.OTHER),
        (
            '{"method":"settle_hold_invoice","params":{"preimage":"zz"}}',
            "settle_hold_invoice",
            ErrorCode.OTHER,
        ),
    ],
)
def test_a_request_that_cannot_be_served_says_what_to_answer(
    text: str, method: str, code: ErrorCode
) -> None:
    with pytest.raises(BadRequest) as refused:
        payloads.read_request(text)
    assert (refused.value.method, refused.value.refusal.error) == (method, code)


def test_an_answer_is_read_as_wallets_write_it() -> None:
    bare = payloads.read_response('{"result":{"preimage":"00"}}', Paid)
    assert bare == Paid("00")
    nulls = '{"result_type":"x","error":null,"result":{"payment_hash":"a","amount":1,"state":null,"metadata":{}}}'
    assert payloads.read_response(nulls, Transaction) == Transaction("a", 1)
    unknown = payloads.read_response('{"error":{"code":"BAD_REQUEST"}}', Paid)
    assert isinstance(unknown, Refusal)
    assert unknown.error is ErrorCode.OTHER
    for text in ('{"result":{}}', '{"result":null}', '{"result_type":"settle_hold_invoice"}'):
        assert payloads.read_response(text, Done) == Done()
    with pytest.raises(Malformed):
        payloads.read_response('{"result":null}', Paid)


@pytest.mark.parametrize(
    ("state", "settled_at", "stands"),
    [
        ("settled", None, State.SETTLED),
        ("SETTLED", None, State.SETTLED),
        ("accepted", None, State.ACCEPTED),
        ("failed", 5, State.FAILED),
        (None, 5, State.SETTLED),
        (None, None, State.PENDING),
        (None, 0, State.PENDING),
        ("strange", 5, State.SETTLED),
    ],
)
def test_where_a_transaction_stands(
    state: str | None, settled_at: int | None, stands: State
) -> None:
    assert Transaction(HASH, 1, state=state, settled_at=settled_at).stands() is stands


def test_results_come_back_as_they_went() -> None:
    tx = Transaction(HASH, 5, type="incoming", state="accepted", settle_deadline=7, settle_by=9)
    for result in (
        Paid("00", 1), tx, Transactions((tx, tx)), Balance(7), NodeInfo(alias="a", methods=("x",)), Done(),
    ):  # fmt: skip
        text = payloads.write_response("any", result)
        assert payloads.read_response(text, type(result)) == result


def test_what_is_too_long_is_not_read() -> None:
    text = json.dumps({"method": "get_info", "x": "a" * payloads.MAX_PAYLOAD})
    with pytest.raises(Malformed):
        payloads.read_request(text)


@given(st.text() | json_values.map(json.dumps))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (payloads.read_request, payloads.read_notification):
        with suppress(PeerFault):
            read(text)
    for kind in RESULTS:
        with suppress(PeerFault):
            assert isinstance(payloads.read_response(text, kind), (kind, Refusal))


@given(
    st.sampled_from(list(payloads.METHODS)),
    st.dictionaries(st.sampled_from(["amount", "invoice", "payment_hash", "from"]), json_values),
)
def test_any_parameters_are_read_or_refused(method: str, values: dict[str, Any]) -> None:
    with suppress(PeerFault):
        request = payloads.read_request(json.dumps({"method": method, "params": values}))
        assert payloads.read_request(payloads.write_request(request)) == request
