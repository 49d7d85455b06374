"""llama.cpp's own HTTP server in a process of its own: `python -m` this, orders on stdin.

The parent writes one line of JSON and keeps the pipe open; the address comes back in one line on
stdout. When the pipe closes, however the parent died, this process ends. (The kernel's
parent-death signal would not do: it is bound to the thread that started the child.)
"""

import json
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

SMALL_MACHINE = 2  # cores; there the model leaves one to the node


def main() -> None:
    """Load the model, tell the address, serve until the parent is gone."""
    order = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _be_first_to_die_for_memory()
    answer = os.dup(1)
    os.dup2(2, 1)  # whatever else prints must not be taken for the address
    server = _serve(order)
    os.write(answer, f"{server.listening_address}\n".encode())
    # Until here stderr says why loading failed; nobody reads it from now on.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    threading.Event().wait()


def _serve(order: dict[str, Any]) -> Any:
    import xllamacpp  # noqa: PLC0415 - after the watch on the parent has begun

    params = xllamacpp.CommonParams()
    params.model.path = order["model"]
    params.model_alias = {order["name"]}
    params.n_parallel = order["slots"]
    params.n_ctx = order["slots"] * order["context_tokens"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [order["api_key"]]  # other users of this machine can reach the port too
    params.cache_ram_mib = 0  # else up to 8 GiB of old prompts are kept
    # Waiting threads that spin make each other, and the node, ten times slower on a busy machine.
    params.cpuparams.poll = 0
    if (os.cpu_count() or 1) <= SMALL_MACHINE:
        params.cpuparams.n_threads = 1
    params.ui = False
    params.verbosity = 1  # errors
    return xllamacpp.Server(params)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def _be_first_to_die_for_memory() -> None:
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


if __name__ == "__main__":
    main()
