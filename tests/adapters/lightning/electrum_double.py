"""Electrum's daemon for the tests, where the real one would not do what is wanted of it.

The real one is asked in tests/integration/lightning; answers here have its shapes.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import msgspec
import trio
from attrs import define, field

from pylon.adapters.clock import SystemClock
from pylon.adapters.lightning.electrum import open_electrum
from pylon.model.money import Network
from pylon.ports.wallet import Wallet
from tests.adapters.inference.scripted import Reply, Request, document, scripted

USER, PASSWORD = "user", "a secret of the tests"
NODE = "02" + "ab" * 32
HOLDS = (
    "add_hold_invoice",
    "check_hold_invoice",
    "settle_hold_invoice",
    "cancel_hold_invoice",
    "export_lightning_preimage",
)

Answer: TypeAlias = Any  # a value of JSON, a `Reply`, or a function of the parameters


@define
class Double:
    """Answers by method: a value, a `Reply`, or a function of the parameters."""

    answers: dict[str, Answer] = field(factory=dict)
    calls: list[tuple[str, Mapping[str, Any]]] = field(factory=list, init=False)

    def asked(self, method: str) -> list[Mapping[str, Any]]:
        """Return the parameters of every call of a method."""
        return [params for called, params in self.calls if called == method]

    def script(self, request: Request) -> Reply:
        method, params = request.json["method"], request.json["params"]
        self.calls.append((method, params))
        answer = self.answers.get(method)
        if callable(answer):
            answer = answer(params)
        return answer if isinstance(answer, Reply) else result(answer)


def result(value: Any) -> Reply:
    return document({"id": 0, "jsonrpc": "2.0", "result": value})


def error(text: str) -> Reply:
    """Refuse as 4.3 does."""
    return document({"id": 0, "jsonrpc": "2.0", "error": {"code": 1, "message": text}})


def new_error(text: str) -> Reply:
    """Refuse as 4.8 does."""
    hidden = {
        "code": 2,
        "message": "internal error while executing RPC",
        "data": {"exception": text},
    }
    return document({"id": 0, "jsonrpc": "2.0", "error": hidden})


def later(event: trio.Event, value: Any) -> Reply:
    """Answer when the event is set."""
    return Reply((event, msgspec.json.encode({"id": 0, "result": value})))


def daemon(*, holds: bool = False, **answers: Answer) -> Double:
    """Return a daemon of 4.3, or of 4.8, whose wallet has a channel and nothing in flight."""
    common: dict[str, Answer] = {
        "getinfo": {"network": "regtest", "version": "4", "blockchain_height": 100},
        "nodeid": f"{NODE}@127.0.0.1:9735",
        "help": ["lnpay", *(HOLDS if holds else ())],
        "list_channels": [channel()],
        "getbalance": {"confirmed": "0", "lightning": "0.001"},
    }
    return Double(common | answers)


def channel(*, out: int = 0, coming: int = 0, state: str = "OPEN") -> dict[str, Any]:
    return {
        "channel_id": "ab" * 32,
        "state": state,
        "local_unsettled_sent": out,
        "remote_unsettled_sent": coming,
    }


def opened(url: str) -> AbstractAsyncContextManager[Wallet]:
    return open_electrum(
        url, user=USER, password=PASSWORD, network=Network.REGTEST, clock=SystemClock()
    )


@asynccontextmanager
async def wallet_of(double: Double) -> AsyncGenerator[Wallet, None]:
    async with scripted(double.script) as server, opened(server.url) as wallet:
        yield wallet
