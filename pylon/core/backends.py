"""Which backend and model serve a job: names as people write them, and the choice."""

import re
from collections.abc import Sequence
from typing import TypeAlias

from attrs import frozen

from pylon.errors import Malformed
from pylon.model.inference import BackendHealth

KNOWN = ("apple_fm", "llamacpp", "ollama", "openai", "embedded")

_MAX_NAME = 256
_NAME = re.compile(r"[^\s\x00-\x1f\x7f]+")


@frozen
class Wanted:
    """What a job asks for; None leaves the choice to the provider."""

    backend: str | None = None
    model: str | None = None

    def __str__(self) -> str:
        return ":".join(part for part in (self.backend, self.model) if part) or "any"


@frozen
class Chosen:
    """Who serves it. `model` is the backend's own spelling; None where it lists none."""

    backend: str
    model: str | None

    def __str__(self) -> str:
        return f"{self.backend}:{self.model}" if self.model else self.backend


@frozen
class Refused:
    """Nobody serves it: `unknown` for good, otherwise not now. `reason` is for the asker."""

    unknown: bool
    reason: str


Choice: TypeAlias = Chosen | Refused


def parse(identifier: str) -> Wanted:
    """Read `apple_fm`, `llamacpp:gpt_oss_20b`, `ollama:llama3.2:3b`, or a model's name alone.

    Raises `Malformed` for text that is no name.
    """
    if len(identifier) > _MAX_NAME or not _NAME.fullmatch(identifier):
        raise Malformed("a model is named like `llamacpp:gpt_oss_20b` or `llama3.2`")
    head, colon, model = identifier.partition(":")
    if head not in KNOWN:
        return Wanted(model=identifier)
    if colon and not model:
        raise Malformed(f"no model after `{head}:`")
    return Wanted(head, model or None)


def combine(*, backend: str | None, model: str | None) -> Wanted:
    """Join a backend and a model given apart; each may also name both.

    Raises `Malformed` for a backend that does not exist, or two that contradict each other.
    """
    first = parse(backend) if backend else Wanted()
    if backend and first.backend is None:
        raise Malformed(f"no backend is called {backend}; there are {', '.join(KNOWN)}")
    second = parse(model) if model else Wanted()
    if _contradict(first.backend, second.backend) or _contradict(first.model, second.model):
        raise Malformed(f"{first} and {second} cannot both be meant")
    return Wanted(first.backend or second.backend, second.model or first.model)


def choose(
    preference: Sequence[str],
    healths: Sequence[BackendHealth],
    wanted: Wanted,
    *,
    default_model: str = "",
) -> Choice:
    """Pick the first backend, in order of preference, that can serve what is wanted now.

    Backends missing from `preference` come last. A job that names no model gets `default_model`
    from a backend that has it, and otherwise the first the backend lists.
    """
    ranks = {name: rank for rank, name in enumerate(preference)}
    ordered = sorted(healths, key=lambda health: ranks.get(health.backend, len(ranks)))
    of_backend = [h for h in ordered if wanted.backend in (None, h.backend)]
    for health in of_backend:
        if health.available and (wanted.model is None or find_model(health, wanted.model)):
            return Chosen(health.backend, _model_of(health, wanted.model or default_model))
    return _refuse(ordered, of_backend, wanted)


def find_model(health: BackendHealth, wanted: str) -> str | None:
    """Return the backend's own spelling of a model; None if it does not have it.

    Folders, `.gguf`, case and the choice among `-`, `_` and `.` do not count, nor does `:latest`.
    """
    if wanted in health.models:
        return wanted
    plain = _plain(wanted)
    return next((model for model in health.models if _plain(model) == plain), None)


def _contradict(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other


def _model_of(health: BackendHealth, liked: str) -> str | None:
    found = find_model(health, liked) if liked else None
    return found or next(iter(health.models), None)


def _plain(model: str) -> str:
    name = model.rsplit("/", 1)[-1].casefold().removesuffix(".gguf").removesuffix(":latest")
    return re.sub(r"[-_.]+", "_", name)


def _refuse(
    everyone: Sequence[BackendHealth], of_backend: Sequence[BackendHealth], wanted: Wanted
) -> Refused:
    if not everyone:
        return Refused(unknown=True, reason="no backend is configured here")
    if not of_backend:
        names = ", ".join(health.backend for health in everyone)
        return Refused(unknown=True, reason=f"no backend {wanted.backend} here; have: {names}")
    up = [health for health in of_backend if health.available]
    down = "; ".join(f"{h.backend}: {h.reason or 'down'}" for h in of_backend if not h.available)
    if not up:
        return Refused(unknown=False, reason=f"cannot generate now ({down})")
    offers = [str(Chosen(h.backend, model)) for h in up for model in h.models or (None,)]
    reason = f"no model {wanted.model} here; have: {', '.join(offers)}"
    # What is down may be the one that has it, so this refusal is not for good.
    return Refused(unknown=not down, reason=f"{reason} ({down})" if down else reason)
