"""Jobs survive the trip in both dialects; what cannot be read is refused."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import Malformed, Misconfigured, PeerFault
from pylon.model.event import Draft, Event, Tag
from pylon.model.ids import EventId, JobId, PaymentHash, PublicKey
from pylon.model.job import Encryption, FeedbackStatus, JobInput
from pylon.model.money import Msat, PayMode
from pylon.model.wallet import IssuedInvoice
from pylon.wire import event as events
from pylon.wire import jobs, json, nip44
from pylon.wire.secp import KeyPair
from tests.vectors import load
from tests.wire.strategies import ALICE, BOB, event, tags

VECTORS: dict[str, Any] = load("nip90.json")
CUSTOMER = KeyPair(bytes.fromhex(VECTORS["customer_sec"]))
PROVIDER = KeyPair(bytes.fromhex(VECTORS["provider_sec"]))
HIDDEN = VECTORS["encrypted_plaintext"]
QUESTION = "what is the capital of France?"
ID = EventId("ab" * 32)
NOW = 1_700_000_900
INVOICE = IssuedInvoice("lnbcrt1", PaymentHash("cd" * 32), Msat(21_000), NOW, NOW + 600)


def vector(name: str) -> Event:
    """Read one event of the vectors, id and signature checked."""
    found = events.parse(msgspec.json.encode(VECTORS[name]))
    events.check(found)
    return found


def feedback(*tags: Tag, content: str = "") -> Event:
    return event(7000, ("e", ID), ("p", ALICE.public_key), *tags, content=content, keys=BOB)


def result(*tags: Tag, content: str = "") -> Event:
    return event(6050, ("e", ID), ("p", ALICE.public_key), *tags, content=content, keys=BOB)


REQUEST = vector("request")


def test_a_request_is_read_with_all_its_tags() -> None:
    request = jobs.read_request(REQUEST)
    assert (request.id, request.kind, request.customer) == (REQUEST.id, 5050, CUSTOMER.public_key)
    assert request.created_at == 1_700_000_800
    assert request.inputs == (JobInput(QUESTION),)
    assert request.params == (("model", "m"), ("max_tokens", "64"), ("temperature", "0.5"))
    assert (request.output, request.bid) == ("text/plain", 50_000)
    assert request.providers == (PROVIDER.public_key,)
    assert request.relays == ("ws://127.0.0.1:7777",)
    assert request.topics == ("bitcoin",)
    assert request.pay is None, "a stranger"
    assert request.encryption is Encryption.NONE


def test_what_we_write_has_the_tags_of_the_vector() -> None:
    draft = jobs.write_request(
        5050,
        now=REQUEST.created_at,
        inputs=[JobInput(QUESTION)],
        params=[("model", "m"), ("max_tokens", "64"), ("temperature", "0.5")],
        output="text/plain",
        bid=Msat(50_000),
        relays=["ws://127.0.0.1:7777"],
        providers=[PROVIDER.public_key],
        topics=["Bitcoin"],
    )
    assert draft.tags == REQUEST.tags


words = st.text(min_size=1, max_size=12)
keys = st.sampled_from([ALICE.public_key, BOB.public_key])
inputs = st.lists(
    st.builds(JobInput, words, st.sampled_from(["text", "url"]), relay=words, marker=words)
    | st.builds(JobInput, words, st.just("text"), relay=words)
    | st.builds(JobInput, st.just(ID), st.sampled_from(["event", "job"])),
    min_size=1,
    max_size=4,
)
bodies = st.fixed_dictionaries(
    {
        "inputs": inputs.map(tuple),
        "params": st.lists(
            st.tuples(words, words) | st.tuples(words, words, words), max_size=4
        ).map(tuple),
        "output": st.none() | words,
        "topics": st.lists(words.map(str.lower), max_size=4).map(tuple),
        "content": st.text(max_size=20),
        "bid": st.none() | st.integers(0, 10**15).map(Msat),
        "relays": st.lists(
            st.sampled_from(["ws://a.example", "wss://b.example/x"]), max_size=3
        ).map(tuple),
        "pay": st.none() | st.lists(st.sampled_from(list(PayMode))).map(tuple),
        "expires_at": st.none() | st.integers(0, 2**40),
    }
)
HALVES = ("inputs", "params", "output", "topics", "content", "bid", "relays", "pay", "expires_at")


def signed_plainly(draft: Draft, author: PublicKey = ALICE.public_key) -> Event:
    """Make an event whose id is nobody's business."""
    return Event(ID, author, draft.created_at, draft.kind, draft.tags, draft.content, "")


@given(bodies, st.lists(keys, max_size=2))
def test_a_request_survives_the_trip(body: dict[str, Any], providers: list[PublicKey]) -> None:
    draft = jobs.write_request(5935, now=NOW, providers=providers, **body)
    request = jobs.read_request(signed_plainly(draft))
    assert {name: getattr(request, name) for name in HALVES} == body
    assert request.providers == tuple(providers)


@given(bodies, keys)
def test_a_hidden_request_survives_the_trip(body: dict[str, Any], provider: PublicKey) -> None:
    draft, hidden = jobs.hide_request(
        jobs.write_request(5935, now=NOW, providers=[provider], **body)
    )
    assert not {tag[0] for tag in draft.tags} & {"i", "param", "output", "t"}
    sealed = signed_plainly(evolve(draft, content="ciphertext"))
    request = jobs.read_request(sealed, hidden=hidden)
    assert {name: getattr(request, name) for name in HALVES} == body
    assert request.encryption is Encryption.NIP44


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("request", Encryption.NONE),
        ("request_encrypted_nip44", Encryption.NIP44),
        ("request_encrypted_nip04", Encryption.NIP04),
    ],
)
def test_the_scheme_is_told_by_the_shape_of_the_content(name: str, scheme: Encryption) -> None:
    assert jobs.encryption_of(vector(name)) is scheme


def test_content_that_only_looks_encrypted_is_not() -> None:
    assert jobs.encryption_of(event(5050, content="what is ?iv= in NIP-04")) is Encryption.NONE


def test_an_encrypted_request_is_read_like_one_in_clear() -> None:
    sealed = vector("request_encrypted_nip44")
    key = nip44.conversation_key(PROVIDER, sealed.pubkey)
    hidden = nip44.decrypt(key, sealed.content)
    assert hidden == HIDDEN
    request = jobs.read_request(sealed, hidden=hidden)
    assert request.inputs == (JobInput(QUESTION),)
    assert request.param("model") == "m"
    assert request.encryption is Encryption.NIP44
    assert request.content == "", "the ciphertext is no input"


def test_an_encrypted_request_is_not_read_before_it_is_decrypted() -> None:
    with pytest.raises(Malformed, match="nobody has decrypted it"):
        jobs.read_request(vector("request_encrypted_nip44"))


def test_an_encrypted_chat_may_be_the_bare_json_object() -> None:
    sealed = event(5935, ("p", BOB.public_key), ("encrypted",), content="x")
    chat = '{"messages":[{"role":"user","content":"hi"}]}'
    assert jobs.read_request(sealed, hidden=chat).content == chat


@pytest.mark.parametrize("providers", [[], [ALICE.public_key, BOB.public_key]])
def test_an_encrypted_request_is_for_one_provider(providers: list[PublicKey]) -> None:
    draft = jobs.write_request(5050, now=NOW, providers=providers, inputs=[JobInput("hi")])
    with pytest.raises(Misconfigured, match="exactly one provider"):
        jobs.hide_request(draft)
    sealed = evolve(draft, tags=(*draft.tags, ("encrypted",)))
    with pytest.raises(Malformed, match="exactly one provider"):
        jobs.read_request(signed_plainly(sealed), hidden="[]")


def test_who_is_asked_and_until_when_is_not_decided_in_hiding() -> None:
    sealed = event(5050, ("p", BOB.public_key), ("encrypted",), content="x")
    hidden = json.encode([["i", "hi"], ["p", ALICE.public_key], ["expiration", "1"]])
    request = jobs.read_request(sealed, hidden=hidden)
    assert request.providers == (BOB.public_key,)
    assert request.expires_at is None


@pytest.mark.parametrize("tag", [("i", "hi"), ("i", "hi", ""), ("i", "hi", "prompt")])
def test_text_has_several_names(tag: Tag) -> None:
    assert jobs.read_request(event(5050, tag)).inputs == (JobInput("hi", "text"),)


def test_a_chained_request_names_the_job_and_where_it_is() -> None:
    request = jobs.read_request(vector("chained_request"))
    assert request.inputs == (JobInput(REQUEST.id, "job", "ws://127.0.0.1:7777"),)


def test_content_stands_in_for_an_input_where_there_is_none() -> None:
    assert jobs.read_request(event(5050, content="hi")).inputs == (JobInput("hi"),)
    assert jobs.read_request(event(5050, ("i", "a"), content="hi")).inputs == (JobInput("a"),)
    assert jobs.read_request(event(5935, content="{}")).inputs == ()
    assert jobs.read_request(event(5050)).inputs == ()


def test_pay_modes_of_another_version_are_passed_over() -> None:
    request = jobs.read_request(event(5050, ("pay", "barter", "locked", "prepay")))
    assert request.pay == (PayMode.LOCKED, PayMode.PREPAY)
    assert jobs.read_request(event(5050, ("pay", "barter"))).pay == ()


def test_relays_that_are_none_are_passed_over() -> None:
    request = jobs.read_request(event(5050, ("relays", "http://a.example", "WSS://B.example/")))
    assert request.relays == ("wss://b.example",)


@pytest.mark.parametrize(
    ("tag", "complaint"),
    [
        (("bid", "12.5"), "decimal"),
        (("bid", "-1"), "decimal"),
        (("bid", "1e9"), "decimal"),
        (("bid", "\u0661\u0662"), "decimal"),
        (("bid", "9" * 20), "decimal"),
        (("bid", "9" * 19), "more bitcoin"),
        (("p", "npub1"), "public key"),
        (("i", "https://a.example", "link"), "an input is"),
        (("i", "1234", "event"), "no event id"),
        (("param", "model"), "a name and a value"),
        (("param", "", "x"), "a name and a value"),
        (("param", "x", "y" * 4096), "too long"),
    ],
)
def test_a_tag_that_cannot_be_read_is_refused(tag: Tag, complaint: str) -> None:
    with pytest.raises(Malformed, match=complaint):
        jobs.read_request(event(5050, tag))


@pytest.mark.parametrize(
    ("tag", "count"),
    [
        (("i", "x"), 65),
        (("param", "x", "y"), 65),
        (("p", ALICE.public_key), 65),
        (("t", "x"), 33),
        (("z", "x"), 513),
    ],
)
def test_more_tags_than_anyone_needs_are_refused(tag: Tag, count: int) -> None:
    assert jobs.read_request(event(5050, *[tag] * (count - 1))).kind == 5050
    with pytest.raises(Malformed, match="more than"):
        jobs.read_request(event(5050, *[tag] * count))


@pytest.mark.parametrize(
    ("tag", "most"),
    [
        (("z",), 65_535),
        (("i", "What is 2+2?", "text"), 65_532),
        (("i", "x" * 100_000, ""), 65_536),
    ],
    ids=["an unknown tag", "behind an input", "behind a long input"],
)
def test_longer_tags_than_anyone_needs_are_refused(tag: Tag, most: int) -> None:
    assert jobs.read_request(event(5050, (*tag, "x" * most))).kind == 5050
    with pytest.raises(Malformed, match="beside the inputs"):
        jobs.read_request(event(5050, (*tag, "x" * most), ("",), ("x",)))


def test_more_hidden_tags_than_anyone_needs_are_refused() -> None:
    sealed = event(5050, ("p", BOB.public_key), ("encrypted",), content="x")
    with pytest.raises(Malformed, match="more than 512 tags"):
        jobs.read_request(sealed, hidden=json.encode([["z"]] * 513))


@pytest.mark.parametrize("hidden", ["", "null", '"i"', '["i"]', '[["i",1]]', "[" * 9_999, "[[]"])
def test_hidden_text_that_holds_no_tags_is_refused(hidden: str) -> None:
    sealed = event(5050, ("p", BOB.public_key), ("encrypted",), content="x")
    with pytest.raises(Malformed):
        jobs.read_request(sealed, hidden=hidden)


@pytest.mark.parametrize("kind", [4999, 6000, 7000])
def test_each_kind_is_read_as_what_it_is(kind: int) -> None:
    with pytest.raises(Malformed, match="no job request"):
        jobs.read_request(event(kind))
    with pytest.raises(Malformed, match="no feedback"):
        jobs.read_feedback(event(7001))
    with pytest.raises(Malformed, match="no result"):
        jobs.read_result(event(5999))


job_tags = st.lists(
    st.lists(
        st.sampled_from(
            ["i", "p", "e", "param", "bid", "amount", "status", "encrypted", "pay", "relays", "seq"]
        )
        | st.text(max_size=8),
        max_size=5,
    ).map(tuple),
    max_size=8,
).map(tuple)


@given(
    st.sampled_from([5, 5050, 5935, 6050, 7000]),
    job_tags | tags,
    st.text(max_size=20),
    st.none()
    | st.text(max_size=20)
    | job_tags.map(lambda found: msgspec.json.encode(found).decode()),
)
def test_any_event_is_read_or_refused(
    kind: int, tags: tuple[Tag, ...], content: str, hidden: str | None
) -> None:
    found = Event(ID, ALICE.public_key, NOW, kind, tags, content, "")
    with suppress(PeerFault):
        jobs.read_request(found, hidden=hidden)
    with suppress(PeerFault):
        jobs.read_feedback(found, hidden)
    with suppress(PeerFault):
        jobs.read_result(found, hidden)
    with suppress(PeerFault):
        jobs.read_cancel(found)


def test_a_demand_for_payment_is_read() -> None:
    found = jobs.read_feedback(vector("feedback_payment_required"))
    assert found.status is FeedbackStatus.PAYMENT_REQUIRED
    assert (found.job, found.customer) == (REQUEST.id, CUSTOMER.public_key)
    assert (found.provider, found.text, found.amount) == (PROVIDER.public_key, "pay first", 21_000)
    assert found.bolt11 is not None
    assert found.bolt11.startswith("lnbc210n1")


def test_the_other_statuses_are_read() -> None:
    assert jobs.read_feedback(vector("feedback_processing")).status == "processing"
    assert jobs.read_feedback(vector("feedback_partial")).content == "Par"
    assert jobs.read_feedback(vector("feedback_error")).text == "model not available"


def test_a_reason_in_the_content_is_a_reason() -> None:
    found = jobs.read_feedback(feedback(("status", "error"), content="no GPU"))
    assert found.text == "no GPU"
    assert jobs.read_feedback(feedback(("status", "partial"), content="Par")).text == ""


def test_a_status_of_another_make_is_passed_on() -> None:
    found = jobs.read_feedback(feedback(("status", "subscription-required")))
    assert found.status == "subscription-required"


@pytest.mark.parametrize(
    ("tag", "complaint"),
    [
        (("state", "processing"), "status is missing"),
        (("status",), "status is missing"),
        (("status", "x" * 65), "too long"),
    ],
)
def test_feedback_without_a_status_is_refused(tag: Tag, complaint: str) -> None:
    with pytest.raises(Malformed, match=complaint):
        jobs.read_feedback(feedback(tag))


@pytest.mark.parametrize(
    ("tag", "complaint"),
    [
        (("amount",), "decimal"),
        (("amount", "flexible"), "decimal"),
        (("amount", "1", "l" * 7090), "too long"),
    ],
)
def test_an_amount_that_cannot_be_read_is_refused(tag: Tag, complaint: str) -> None:
    with pytest.raises(Malformed, match=complaint):
        jobs.read_feedback(feedback(("status", "payment-required"), tag))
    with pytest.raises(Malformed, match=complaint):
        jobs.read_result(result(tag))


@pytest.mark.parametrize("missing", ["e", "p"])
def test_a_reply_that_does_not_say_to_what_or_to_whom_is_refused(missing: str) -> None:
    for reply, read in (
        (feedback(("status", "success")), jobs.read_feedback),
        (result(content="4"), jobs.read_result),
    ):
        assert read(reply).job == ID
        left = tuple(tag for tag in reply.tags if tag[0] != missing)
        for broken in (left, (*left, (missing, "xyz"))):
            with pytest.raises(Malformed, match=f"{missing} tag"):
                read(evolve(reply, tags=broken))


modes = st.none() | st.sampled_from(list(PayMode))


sayings = st.fixed_dictionaries(
    {
        "status": st.sampled_from(list(FeedbackStatus)),
        "text": words,
        "content": st.text(max_size=20),
        "mode": modes,
        "seq": st.none() | st.integers(0, 999_999_999),
    }
)


@given(sayings, st.none() | st.just(INVOICE))
def test_feedback_survives_the_trip(said: dict[str, Any], invoice: IssuedInvoice | None) -> None:
    draft = jobs.write_feedback(REQUEST, now=NOW, invoice=invoice, **said)
    found = jobs.read_feedback(signed_plainly(draft))
    assert (found.job, found.customer) == (REQUEST.id, REQUEST.pubkey)
    assert {name: getattr(found, name) for name in said} == said
    asked = (invoice.amount, invoice.bolt11) if invoice else (None, None)
    assert (found.amount, found.bolt11) == asked


def test_feedback_goes_void_when_nobody_needs_it_any_more() -> None:
    def void_at(status: FeedbackStatus, invoice: IssuedInvoice | None = None) -> int:
        draft = jobs.write_feedback(REQUEST, status, now=NOW, invoice=invoice)
        return int({tag[0]: tag[1] for tag in draft.tags}["expiration"])

    assert void_at(FeedbackStatus.PAYMENT_REQUIRED, INVOICE) == INVOICE.expires_at
    assert void_at(FeedbackStatus.PARTIAL) == NOW + 3_600
    assert void_at(FeedbackStatus.ERROR) == NOW + 7 * 86_400


def test_a_place_in_the_stream_that_is_no_number_is_none() -> None:
    for word in ("", "-1", "one", "9" * 10):
        assert jobs.read_feedback(feedback(("status", "partial"), ("seq", word))).seq is None


def test_an_encrypted_piece_of_an_answer_is_read() -> None:
    draft = jobs.write_feedback(
        REQUEST, FeedbackStatus.PARTIAL, now=NOW, content="ciphertext", seq=3, encrypted=True
    )
    found = signed_plainly(draft)
    assert jobs.read_feedback(found, "Par").content == "Par"
    with pytest.raises(Malformed, match="nobody has decrypted it"):
        jobs.read_feedback(found)


def test_feedback_with_all_its_tags_inside_the_ciphertext_is_read() -> None:
    hidden = [["status", "payment-required"], ["amount", "21000", "lnbcrt1"], ["content", "hello"]]
    found = jobs.read_feedback(feedback(("encrypted",), content="x"), json.encode(hidden))
    assert found.status is FeedbackStatus.PAYMENT_REQUIRED
    assert (found.amount, found.bolt11, found.content) == (21_000, "lnbcrt1", "hello")
    assert (found.job, found.customer) == (ID, ALICE.public_key)
    bare = jobs.read_feedback(feedback(("encrypted",), content="x"), '[["status","pong"]]')
    assert (bare.status, bare.content) == ("pong", "")


def test_a_result_is_read() -> None:
    found = jobs.read_result(vector("result"))
    assert (found.job, found.customer) == (REQUEST.id, CUSTOMER.public_key)
    assert (found.provider, found.kind, found.content) == (PROVIDER.public_key, 6050, "Paris")
    assert found.amount == 21_000


def test_an_encrypted_result_is_read() -> None:
    sealed = vector("result_encrypted_nip44")
    hidden = nip44.decrypt(nip44.conversation_key(CUSTOMER, sealed.pubkey), sealed.content)
    assert jobs.read_result(sealed, hidden).content == hidden
    with pytest.raises(Malformed, match="nobody has decrypted it"):
        jobs.read_result(sealed)


def test_a_result_repeats_its_request_and_the_inputs() -> None:
    given_vector = vector("result")
    draft = jobs.write_result(
        REQUEST,
        "Paris",
        now=NOW,
        amount=Msat(21_000),
        bolt11=jobs.read_result(given_vector).bolt11,
        relay="ws://127.0.0.1:7777",
    )
    echo = events.parse({tag[0]: tag[1] for tag in draft.tags}["request"])
    assert echo == REQUEST
    without_echo = {tag for tag in draft.tags if tag[0] != "request"}
    assert without_echo == {tag for tag in given_vector.tags if tag[0] != "request"}
    assert draft.kind == 6050


@given(st.text(max_size=40), st.none() | st.integers(0, 10**15).map(Msat), modes)
def test_a_result_survives_the_trip(
    content: str, amount: Msat | None, mode: PayMode | None
) -> None:
    draft = jobs.write_result(REQUEST, content, now=NOW, amount=amount, mode=mode)
    found = jobs.read_result(signed_plainly(draft))
    assert (found.job, found.customer, found.kind) == (REQUEST.id, REQUEST.pubkey, 6050)
    assert (found.content, found.amount, found.mode) == (content, amount, mode)


def test_an_encrypted_result_shows_no_input() -> None:
    draft = jobs.write_result(REQUEST, "ciphertext", now=NOW, encrypted=True)
    assert jobs.encryption_of(signed_plainly(draft)) is Encryption.NIP44
    assert not [tag for tag in draft.tags if tag[0] == "i"]


def test_a_long_request_is_not_repeated() -> None:
    long = event(5050, ("i", "x" * 20_000, "text"))
    draft = jobs.write_result(long, "short", now=NOW)
    assert [tag[0] for tag in draft.tags] == ["e", "p"]
    assert jobs.read_result(signed_plainly(draft)).job == long.id


def test_a_cancel_names_the_jobs_it_calls_off() -> None:
    assert jobs.read_cancel(vector("cancel")) == (REQUEST.id,)
    draft = jobs.write_cancel(JobId(REQUEST.id), 5050, now=NOW, reason="changed my mind")
    assert draft.tags == vector("cancel").tags
    assert jobs.read_cancel(signed_plainly(draft)) == (REQUEST.id,)


def test_only_event_ids_are_called_off_and_not_too_many() -> None:
    assert jobs.read_cancel(event(5, ("e", "xyz"), ("a", ID), ("e", ID))) == (ID,)
    many = [("e", f"{n:064x}") for n in range(101)]
    with pytest.raises(Malformed, match="more than 100"):
        jobs.read_cancel(event(5, *many))
    assert len(jobs.read_cancel(event(5, *many[1:]))) == 100
    with pytest.raises(Malformed):
        jobs.read_cancel(event(1, ("e", ID)))
