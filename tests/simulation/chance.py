"""One seed for all that is left to chance, so that a run can be had again."""

import gc
import os
import random
from collections.abc import Generator
from contextlib import contextmanager

from trio._core import _run as trio_run


@contextmanager
def one_seed(seed: int) -> Generator[None, None, None]:
    """Let every source of chance in this process follow from `seed` until the block ends.

    These are Trio's choice among runnable tasks, the module `random`, and the system's randomness,
    which `secrets` and `random.SystemRandom` draw from as well. What is left is the order of sets of
    strings (PYTHONHASHSEED) and of objects: nothing here may depend on it. Garbage is not collected
    meanwhile: what it finalises it does at moments that depend on what ran before.
    """
    system = random.Random(f"system {seed}")  # noqa: S311 - it must be repeatable
    kept = os.urandom, random._urandom, trio_run._ALLOW_DETERMINISTIC_SCHEDULING  # type: ignore[attr-defined]
    states = random.getstate(), trio_run._r.getstate()
    os.urandom = random._urandom = system.randbytes  # type: ignore[attr-defined]
    trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    random.seed(f"random {seed}")
    trio_run._r.seed(f"trio {seed}")
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        os.urandom, random._urandom, trio_run._ALLOW_DETERMINISTIC_SCHEDULING = kept  # type: ignore[attr-defined,misc]
        random.setstate(states[0])
        trio_run._r.setstate(states[1])


def stream(seed: int, name: str) -> random.Random:
    """Return a source of its own for one part of the world; others' draws do not move it."""
    return random.Random(f"{name} {seed}")  # noqa: S311 - it must be repeatable
