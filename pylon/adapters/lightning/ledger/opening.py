"""Opening a ledger."""

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from pylon.adapters.lightning.ledger.accounts import open_account
from pylon.adapters.lightning.ledger.book import Desk, FileBook
from pylon.adapters.lightning.ledger.schema import prepare
from pylon.adapters.lightning.ledger.settlement import Terms
from pylon.adapters.lightning.ledger.wallet import LedgerWallet
from pylon.adapters.sqlite.connection import BUSY_SECONDS, connect
from pylon.adapters.sqlite.writer import open_writer
from pylon.ports.clock import Clock
from pylon.wire.secp import KeyPair

_TERMS = Terms()


@asynccontextmanager
async def open_ledger(
    path: Path,
    key: KeyPair,
    *,
    clock: Clock,
    label: str = "",
    terms: Terms = _TERMS,
    entropy: Callable[[int], bytes] = secrets.token_bytes,
    busy_seconds: float = BUSY_SECONDS,
) -> AsyncGenerator[LedgerWallet, None]:
    """Open the ledger at `path`, creating it if need be, as the node of `key`.

    Any number of nodes and programs may have it open. `entropy(n)` returns n random bytes.

    Raises:
        Misconfigured: The file is no ledger, damaged, or newer than this program.
        StoreBusy: Another program holds it for too long.
    """
    async with open_writer(
        path, prepare=partial(prepare, path), busy_seconds=busy_seconds
    ) as writer:
        reader = connect(path)
        try:
            account = await writer.run(partial(open_account, key.node_key, label))
            desk = Desk(FileBook(path, writer, reader), clock)
            yield LedgerWallet(desk, account, key, terms, entropy)
        finally:
            reader.close()
