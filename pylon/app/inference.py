"""The configured backends, opened in order of preference."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from attrs import frozen

from pylon.adapters.inference import models, servers
from pylon.adapters.inference.embedded import (
    NAME,
    EmbeddedBackend,
    EmbeddedModel,
    is_installed,
    open_embedded,
)
from pylon.adapters.inference.generation import Limits
from pylon.adapters.inference.models import CATALOGUE, Progress, StoredModel
from pylon.adapters.inference.openai import open_openai
from pylon.adapters.inference.pulling import pull
from pylon.config import BackendsConfig
from pylon.core.backends import Chosen, Refused, Wanted, choose
from pylon.errors import BackendUnavailable, Misconfigured
from pylon.model.inference import BackendHealth
from pylon.ports.inference import Backend

API_KEY = "OPENAI_API_KEY"


@frozen
class Picked:
    """A backend that can generate now, and the model to ask it for."""

    backend: Backend
    model: str | None


@asynccontextmanager
async def open_backends(
    config: BackendsConfig, environ: Mapping[str, str], *, models_folder: Path
) -> AsyncGenerator[tuple[Backend, ...], None]:
    """Open what is configured, the preferred first. Nothing is asked and no model is loaded yet.

    Raises `Misconfigured` when nothing is left: llama.cpp is not installed, and nothing else named.
    """
    opened: list[Backend] = []
    async with AsyncExitStack() as stack:
        for server in _servers(config, environ):
            backend = await stack.enter_async_context(open_openai(server, limits=_limits(config)))
            opened.append(backend)
        if NAME in config.order and (is_installed() or not opened):
            model = embedded_model(config, models_folder)
            embedded = open_embedded(model, limits=_limits(config))
            opened.append(await stack.enter_async_context(embedded))
        if not opened:
            raise Misconfigured("backends.order names no backend that is configured")
        yield tuple(sorted(opened, key=lambda backend: config.order.index(backend.name)))


async def pick(backends: Sequence[Backend], config: BackendsConfig, wanted: Wanted) -> Picked:
    """Find who serves what is wanted, asking no more backends than it takes.

    Raises `Misconfigured` for what does not exist here, `BackendUnavailable` for what is down.
    """
    healths: list[BackendHealth] = []
    refused: Refused | None = None
    for backend in backends:
        if wanted.backend in (None, backend.name):
            healths.append(await backend.health())
            choice = choose(config.order, healths, wanted, default_model=config.default_model)
            if isinstance(choice, Chosen):
                return Picked(backend, choice.model)
            refused = choice
    if refused is None:
        names = ", ".join(backend.name for backend in backends)
        hint = "" if is_installed() else "; pip install 'pylon[embedded]' brings one"
        raise Misconfigured(f"no backend {wanted.backend} here; have: {names}{hint}")
    raise (Misconfigured if refused.unknown else BackendUnavailable)(refused.reason)


async def load_embedded(backends: Sequence[Backend]) -> None:
    """Load the embedded model now, if it is the only one that could generate.

    A seller calls this before it announces anything. Raises `BackendUnavailable` with every reason
    when nobody can generate.
    """
    reasons = []
    for backend in sorted(backends, key=lambda backend: backend.name == NAME):
        if isinstance(backend, EmbeddedBackend):
            health = await backend.start()
        else:
            health = await backend.health()
        if health.available:
            return
        reasons.append(f"{health.backend}: {health.reason}")
    raise BackendUnavailable(f"no backend can generate ({'; '.join(reasons)})")


async def pull_embedded_model(
    config: BackendsConfig, *, models_folder: Path, progress: Progress
) -> StoredModel | None:
    """Fetch the embedded backend's model unless it is here; None where it would be of no use."""
    model = embedded_model(config, models_folder)
    usable = NAME in config.order and is_installed()
    if not usable or model.path.is_file() or config.embedded_model not in CATALOGUE:
        return models.find_model(models_folder, config.embedded_model) if usable else None
    return await pull(config.embedded_model, models_folder, progress=progress)


def embedded_model(config: BackendsConfig, models_folder: Path) -> EmbeddedModel:
    """Say what the embedded backend loads; the file need not be there."""
    found = models.find_model(models_folder, config.embedded_model)
    path = found.path if found else models_folder / f"{config.embedded_model}{models.SUFFIX}"
    return EmbeddedModel(path, path.stem, config.embedded_slots, config.context_tokens)


def _servers(config: BackendsConfig, environ: Mapping[str, str]) -> list[servers.Server]:
    liked = config.default_model
    known = {
        "llamacpp": servers.llamacpp(config.llama_server_url),
        "ollama": servers.ollama(config.ollama_url, probe_model=liked),
        "apple_fm": servers.apple_fm(config.fm_bridge_url),
    }
    if config.openai_base_url:
        api_key = environ.get(API_KEY, "").strip() or None
        known["openai"] = servers.openai(config.openai_base_url, api_key=api_key, probe_model=liked)
    return [known[name] for name in dict.fromkeys(config.order) if name in known]


def _limits(config: BackendsConfig) -> Limits:
    return Limits(max_tokens=config.max_tokens, stall_seconds=config.stall_seconds)
