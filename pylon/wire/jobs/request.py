"""Job requests: kinds 5000 to 5999 (NIP-90)."""

from collections.abc import Sequence
from typing import Final, TypeVar

from attrs import evolve

from pylon.errors import Malformed, Misconfigured
from pylon.model.event import Draft, Event, Tag, Tags
from pylon.model.ids import JobId, PublicKey
from pylon.model.job import Encryption, JobInput, JobRequest
from pylon.model.money import Msat, PayMode
from pylon.wire import expiration, hexes, json, relay_url
from pylon.wire.jobs.tags import (
    encryption_of,
    find,
    parse_tags,
    plaintext,
    read_key,
    read_modes,
    read_msat,
)

REQUEST_KINDS: Final = range(5000, 6000)

MAX_INPUTS: Final = 64
MAX_PARAMS: Final = 64
MAX_PARAM_LENGTH: Final = 4_096  # characters of its name and values together
MAX_PROVIDERS: Final = 64
MAX_RELAYS: Final = 16
MAX_TOPICS: Final = 32
MAX_BESIDE: Final = 65_536  # characters of tags, beside the inputs themselves and the content

_TEXT_KINDS: Final = (5050, 5940)  # whose content may stand in for an input
_INPUT_TYPES: Final = ("url", "event", "job", "text")
_HIDDEN: Final = ("i", "param", "output", "t")  # what an encrypted request says in private

T = TypeVar("T")


def read_request(event: Event, *, hidden: str | None = None) -> JobRequest:
    """Read a request; `hidden` is the decrypted content of an encrypted one.

    Hidden is a JSON array of tags, in which `["content", text]` stands for the content; a JSON
    object is the content itself (chats). What an encrypted request says in clear counts as well,
    and `p` and `expiration` count only there.

    Raises:
        Malformed: if it is no request, a tag cannot be read, or there are too many, or too long ones.
    """
    if event.kind not in REQUEST_KINDS:
        raise Malformed(f"kind {event.kind} is no job request")
    opened = _open(event, hidden)
    if _beside_inputs(opened.tags) > MAX_BESIDE:
        raise Malformed(f"more than {MAX_BESIDE} characters of tags beside the inputs")
    tags, bid, pay = opened.tags, opened.tag("bid"), read_modes(opened.tags)
    return JobRequest(
        id=JobId(event.id),
        kind=event.kind,
        customer=event.pubkey,
        created_at=event.created_at,
        inputs=_read_inputs(opened),
        params=_few(tuple(_read_param(tag) for tag in _all(tags, "param")), MAX_PARAMS, "params"),
        output=opened.tag("output"),
        bid=None if bid is None else read_msat(bid),
        providers=_providers(event),
        relays=_read_relays(tags),
        topics=_few(opened.tag_values("t"), MAX_TOPICS, "topics"),
        pay=pay,
        encryption=encryption_of(event),
        expires_at=expiration.expires_at(event),
        content=opened.content,
    )


def write_request(
    kind: int,
    *,
    now: int,
    inputs: Sequence[JobInput] = (),
    params: Sequence[Tag] = (),
    output: str | None = None,
    bid: Msat | None = None,
    providers: Sequence[PublicKey] = (),
    relays: Sequence[str] = (),
    topics: Sequence[str] = (),
    pay: Sequence[PayMode] | None = None,
    expires_at: int | None = None,
    content: str = "",
) -> Draft:
    """Write a request in clear; `hide_request` makes an encrypted one of it.

    `params` are (name, value, ...), `pay` the modes we accept, the preferred one first.
    """
    tags: Tags = (
        *(_write_input(item) for item in inputs),
        *(("param", *param) for param in params),
        *(() if output is None else (("output", output),)),
        *(() if bid is None else (("bid", str(bid)),)),
        *((("relays", *relays),) if relays else ()),
        *(("p", provider) for provider in providers),
        *(("t", topic.lower()) for topic in topics),
        *(() if pay is None else (("pay", *(mode.value for mode in pay)),)),
        *(() if expires_at is None else (expiration.tag(expires_at),)),
    )
    return Draft(kind, now, tags, content)


def hide_request(draft: Draft) -> tuple[Draft, str]:
    """Split a request: what everybody may see, and the text to encrypt into its content.

    Raises:
        Misconfigured: if it is not addressed to exactly one provider.
    """
    if sum(tag[0] == "p" for tag in draft.tags) != 1:
        raise Misconfigured("an encrypted job must be addressed to exactly one provider")
    said = tuple(tag for tag in draft.tags if tag[0] not in _HIDDEN)
    hidden = tuple(tag for tag in draft.tags if tag[0] in _HIDDEN)
    content = (("content", draft.content),) if draft.content else ()
    return evolve(draft, tags=(*said, ("encrypted",)), content=""), json.encode((*hidden, *content))


def _open(event: Event, hidden: str | None) -> Event:
    """Return the event as it would look in clear."""
    text = plaintext(event, hidden)
    if encryption_of(event) is Encryption.NONE:
        return event
    if len(_providers(event)) != 1:
        raise Malformed("an encrypted request names exactly one provider")
    if text.startswith("{"):
        return evolve(event, content=text)
    tags = parse_tags(text)
    content = next((tag[1] for tag in _all(tags, "content")), "")
    return evolve(event, tags=(*event.tags, *tags), content=content)


def _beside_inputs(tags: Tags) -> int:
    """Count the characters that nobody is asked to work on, and that would be kept all the same."""
    said = (tag[2:] if tag[:1] == ("i",) else tag for tag in tags)
    return sum(len(element) for tag in said for element in tag)


def _providers(event: Event) -> tuple[PublicKey, ...]:
    keys = tuple(read_key(value) for value in event.tag_values("p"))
    return _few(keys, MAX_PROVIDERS, "providers")


def _read_inputs(opened: Event) -> tuple[JobInput, ...]:
    inputs = tuple(_read_input(tag) for tag in _all(opened.tags, "i"))
    if not inputs and opened.kind in _TEXT_KINDS and opened.content:
        return (JobInput(opened.content),)
    return _few(inputs, MAX_INPUTS, "inputs")


def _read_input(tag: Tag) -> JobInput:
    """Read `["i", data, type, relay?, marker?]`; the page of kind 5050 calls text `prompt`."""
    _, data, type_, relay, marker, *_ = (*tag, "", "", "")
    type_ = "text" if type_ in ("", "prompt") else type_
    if type_ not in _INPUT_TYPES:
        raise Malformed("an input is a url, an event, a job or a text")
    if type_ in ("event", "job") and not hexes.is_hex(data, 32):
        raise Malformed(f"an input of type {type_} holds no event id")
    return JobInput(data, type_, relay, marker)


def _write_input(item: JobInput) -> Tag:
    if item.marker:
        return ("i", item.data, item.type, item.relay, item.marker)
    return ("i", item.data, item.type, *((item.relay,) if item.relay else ()))


def _read_param(tag: Tag) -> tuple[str, ...]:
    _, name, *values = tag
    if not name or not values:
        raise Malformed("a param has a name and a value")
    if len(name) + sum(map(len, values)) > MAX_PARAM_LENGTH:
        raise Malformed("a param is too long")
    return (name, *values)


def _read_relays(tags: Tags) -> tuple[str, ...]:
    """Keep what is a relay's URL; where to publish is a wish, not an order."""
    found: list[str] = []
    for text in (find(tags, "relays") or ())[1 : MAX_RELAYS + 1]:
        try:
            found.append(relay_url.normalise(text))
        except Malformed:
            continue
    return tuple(found)


def _all(tags: Tags, name: str) -> list[Tag]:
    """Return the tags of a name that have a value."""
    return [tag for tag in tags if len(tag) > 1 and tag[0] == name]


def _few(items: tuple[T, ...], limit: int, what: str) -> tuple[T, ...]:
    if len(items) > limit:
        raise Malformed(f"more than {limit} {what}")
    return items
