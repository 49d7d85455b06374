"""Announcements of what a provider sells: kind 31990 (NIP-89)."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from pylon.errors import Malformed
from pylon.model.event import Draft, Event, Tag, Tags
from pylon.model.handler import Handler, ModelOffer, Rates
from pylon.model.money import PayMode
from pylon.wire import event as events
from pylon.wire import expiration, json
from pylon.wire.jobs.request import REQUEST_KINDS
from pylon.wire.jobs.tags import MAX_TAGS, read_modes, read_msat

HANDLER_KIND: Final = 31990

MAX_MODELS: Final = 128
MAX_CONTENT: Final = 65_536  # characters
_MAX_NAME: Final = 256
_MAX_ABOUT: Final = 2_000
_MODEL_TAG_LENGTH: Final = 6
_KIND_DIGITS: Final = 4


def write_handler(
    identifier: str,
    *,
    now: int,
    expires_at: int,
    kinds: Sequence[int],
    models: Sequence[ModelOffer],
    pay: Sequence[PayMode],
    name: str,
    about: str = "",
) -> Draft:
    """Announce what we sell; the same `identifier` replaces what was announced before.

    Prices are `["model", name, base, input, output, minimum]` in msat, the last three as in
    `Rates`; the content has what other programs look for.
    """
    tags: Tags = (
        ("d", identifier),
        *(("k", str(kind)) for kind in kinds),
        *(_write_model(model) for model in models),
        ("pay", *(mode.value for mode in pay)),
        expiration.tag(expires_at),
    )
    content = {
        "name": name,
        "about": about,
        "amount": "free" if tuple(pay) == (PayMode.FREE,) else "flexible",
        "supportsEncryption": True,
        "nip90Params": {"model": {"required": False, "values": [model.name for model in models]}},
    }
    return Draft(HANDLER_KIND, now, tags, json.encode(content))


def read_handler(event: Event) -> Handler:
    """Read an announcement. It is mostly others' and often spam: what cannot be read is left out.

    Raises:
        Malformed: if it is no announcement, names no kind of job, or is too large.
    """
    if event.kind != HANDLER_KIND:
        raise Malformed(f"kind {event.kind} is no announcement")
    if len(event.tags) > MAX_TAGS or len(event.content) > MAX_CONTENT:
        raise Malformed("the announcement is too large")
    kinds = tuple(dict.fromkeys(_read_kinds(event.tag_values("k"))))
    if not kinds:
        raise Malformed("the announcement names no kind of job")
    said = _read_content(event.content)
    return Handler(
        provider=event.pubkey,
        identifier=event.tag("d") or "",
        created_at=event.created_at,
        kinds=kinds,
        name=_text(said.get("name") or said.get("display_name"), _MAX_NAME),
        about=_text(said.get("about"), _MAX_ABOUT),
        models=_read_models(event.tags) or _models_in(said.get("nip90Params")),
        pay=read_modes(event.tags),
        amount=_text(said.get("amount"), _MAX_NAME),
        encryption=_yes(said.get("supportsEncryption"), said.get("encryptionSupported")),
        expires_at=expiration.expires_at(event),
    )


def _write_model(model: ModelOffer) -> Tag:
    rates = model.rates
    if rates is None:
        return ("model", model.name)
    prices = (rates.base, rates.input_per_1k, rates.output_per_1k, rates.minimum)
    return ("model", model.name, *map(str, prices))


def _read_kinds(values: Iterable[str]) -> Iterable[int]:
    for value in values:
        readable = value.isascii() and value.isdecimal() and len(value) == _KIND_DIGITS
        if readable and int(value) in REQUEST_KINDS:
            yield int(value)


def _read_models(tags: Tags) -> tuple[ModelOffer, ...]:
    found = [tag for tag in tags if len(tag) > 1 and tag[0] == "model"]
    return tuple(ModelOffer(_text(tag[1], _MAX_NAME), _read_rates(tag)) for tag in found)[
        :MAX_MODELS
    ]


def _read_rates(tag: Tag) -> Rates | None:
    if len(tag) < _MODEL_TAG_LENGTH:
        return None
    try:
        return Rates(*map(read_msat, tag[2:_MODEL_TAG_LENGTH]))
    except Malformed:
        return None


def _models_in(params: Any) -> tuple[ModelOffer, ...]:
    """Find models as nostrdvm lists them: `{"model": {"required": false, "values": [...]}}`."""
    model = params.get("model") if isinstance(params, dict) else None
    values = model.get("values") if isinstance(model, dict) else None
    names = (
        [value for value in values if isinstance(value, str)] if isinstance(values, list) else []
    )
    return tuple(ModelOffer(_text(name, _MAX_NAME)) for name in names[:MAX_MODELS])


def _read_content(content: str) -> dict[str, Any]:
    try:
        value = json.decode(content)
    except Malformed:
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: Any, limit: int) -> str:
    """Take a text or a number, without what terminals would obey."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return events.clean(str(value))[:limit]


def _yes(*values: Any) -> bool:
    return any(value is True or value == "true" for value in values)
