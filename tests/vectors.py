"""The shared test vectors, which live beside the project and are not copied into it."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "vectors"


def load(name: str) -> Any:
    """Read one vector file; skip the caller where the vectors are absent."""
    return msgspec.json.decode(text(name))


def text(name: str) -> str:
    """Read one vector file as text; skip the caller where the vectors are absent."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"no shared test vectors here: {name}", allow_module_level=True)
    return path.read_text(encoding="utf-8")
