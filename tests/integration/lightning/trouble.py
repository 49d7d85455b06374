"""Trouble that Electrum can make on order: it has switches for its own tests."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tests.integration.lightning.town import Pair

_FAIL = "test_fail_htlcs_with_temp_node_failure"


@asynccontextmanager
async def nothing_is_settled(pair: Pair) -> AsyncGenerator[None, None]:
    """Let the payee keep every HTLC that comes in, until the block ends."""
    await pair.payee.call("enable_htlc_settle", b=False)
    try:
        yield
    finally:
        await pair.payee.call("enable_htlc_settle", b=True)


@asynccontextmanager
async def everything_fails(pair: Pair) -> AsyncGenerator[None, None]:
    """Let the payee refuse every HTLC, until the block ends."""
    await pair.payee.call("setconfig", key=_FAIL, value="true")
    try:
        yield
    finally:
        await pair.payee.call("setconfig", key=_FAIL, value="false")
