"""The real model that some tests need: fetched once, kept where every test finds it."""

import os
from functools import cache
from pathlib import Path

import pytest
import trio

from pylon.adapters.home import find_home
from pylon.adapters.inference.embedded import EmbeddedModel, is_installed
from pylon.adapters.inference.models import DEFAULT_MODEL, StoredModel
from pylon.adapters.inference.pulling import pull
from pylon.errors import PylonError


def models_folder() -> Path:
    """Return PYLON_MODELS, or where the program itself keeps models for this user."""
    chosen = os.environ.get("PYLON_MODELS")
    return Path(chosen) if chosen else find_home(os.environ).models


def demo_model() -> EmbeddedModel:
    """Return the default model, or skip the test where it cannot be had."""
    found = _fetch()
    if isinstance(found, str):
        pytest.skip(found)
    return EmbeddedModel(found, DEFAULT_MODEL.name, slots=2, context_tokens=2048)


@cache
def _fetch() -> Path | str:
    if not is_installed():
        return "xllamacpp is not installed: pip install 'pylon[embedded]'"
    try:
        return trio.run(_pull).path
    except PylonError as exc:
        return f"no demo model: {exc}"


async def _pull() -> StoredModel:
    return await pull(DEFAULT_MODEL.name, models_folder(), progress=lambda _done, _total: None)
