"""The chain, served to wallets in the Electrum protocol 1.4: JSON-RPC, one message a line, over TCP."""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from hashlib import sha256
from typing import Any

import msgspec
import trio
from attrs import define, field

from tests.integration.lightning.chain import GENESIS_HASH, Chain, Refused

VERSION = "1.4"
HEADERS_AT_ONCE = 2016
MAX_LINE = 1 << 20
FEE_RATE = 0.00002  # BTC per 1000 bytes, whatever is asked


async def serve_chain(
    chain: Chain, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve wallets on a free port of the loopback, which is told, until cancelled."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port: int = listener.socket.getsockname()[1]
    serve = partial(trio.serve_listeners, partial(_serve_wallet, chain), [listener])
    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        task_status.started(port)


async def _serve_wallet(chain: Chain, stream: trio.SocketStream) -> None:
    told_in, told_out = trio.open_memory_channel[bytes](math.inf)
    session = Session(chain, lambda message: told_in.send_nowait(msgspec.json.encode(message)))
    chain.listeners.add(session.hear)
    try:
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(_write, stream, told_out)
            async for line in _lines(stream):
                session.take(line)
            nursery.cancel_scope.cancel("the wallet has hung up")
    except* trio.BrokenResourceError:
        pass  # a wallet that was killed
    finally:
        chain.listeners.discard(session.hear)


async def _write(stream: trio.SocketStream, messages: trio.MemoryReceiveChannel[bytes]) -> None:
    async for message in messages:
        await stream.send_all(message + b"\n")


async def _lines(stream: trio.SocketStream) -> Any:
    rest = b""
    async for piece in stream:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > MAX_LINE:
            return
        for line in lines:
            yield line


@define(eq=False)
class Session:
    """One wallet: what it is subscribed to, and the answers to what it asks."""

    _chain: Chain
    _send: Callable[[Mapping[str, Any]], None]
    _scripthashes: set[str] = field(factory=set, init=False)
    _wants_headers: bool = field(default=False, init=False)

    def take(self, line: bytes) -> None:
        """Answer a request, or several at once."""
        asked = msgspec.json.decode(line)
        for request in asked if isinstance(asked, list) else [asked]:
            answer = {"jsonrpc": "2.0", "id": request["id"]}
            try:
                method = _METHODS[request["method"]]
                self._send(answer | {"result": method(self, *request.get("params", []))})
            except (Refused, KeyError, IndexError) as exc:
                self._send(answer | {"error": {"code": 1, "message": str(exc)}})

    def hear(self, touched: Iterable[str], new_block: bool) -> None:
        """Tell the wallet of a change that it is subscribed to."""
        if new_block and self._wants_headers:
            self._notify("blockchain.headers.subscribe", self._tip())
        for scripthash in self._scripthashes.intersection(touched):
            self._notify("blockchain.scripthash.subscribe", scripthash, self._status(scripthash))

    def _notify(self, method: str, *params: object) -> None:
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def version(self, *_: object) -> list[str]:
        return ["regtest chain", VERSION]

    def features(self) -> Mapping[str, Any]:
        return _FEATURES

    def subscribe_headers(self) -> Mapping[str, Any]:
        self._wants_headers = True
        return self._tip()

    def subscribe_scripthash(self, scripthash: str) -> str | None:
        self._scripthashes.add(scripthash)
        return self._status(scripthash)

    def header(self, height: int, *_: object) -> str:
        return self._chain.headers[height].hex()

    def headers(self, start: int, count: int, *_: object) -> Mapping[str, Any]:
        found = self._chain.headers[start : start + min(count, HEADERS_AT_ONCE)]
        return {"hex": b"".join(found).hex(), "count": len(found), "max": HEADERS_AT_ONCE}

    def history(self, scripthash: str) -> list[Mapping[str, Any]]:
        return [_history_line(*item) for item in self._chain.history(scripthash)]

    def unspent(self, scripthash: str) -> list[Mapping[str, Any]]:
        keys = ("tx_hash", "tx_pos", "value", "height")
        return [dict(zip(keys, item, strict=True)) for item in self._chain.unspent(scripthash)]

    def transaction(self, txid: str, *_: object) -> str:
        return self._chain.transaction(txid).hex()

    def broadcast(self, raw: str) -> str:
        return self._chain.broadcast(bytes.fromhex(raw))

    def merkle(self, txid: str, *_: object) -> Mapping[str, Any]:
        proof = self._chain.proof(txid)
        return {"merkle": proof.branch, "block_height": proof.height, "pos": proof.position}

    def id_from_position(self, height: int, position: int, wants_proof: bool = False) -> Any:
        txid = self._chain.txid_at(height, position)
        if not wants_proof:
            return txid
        return {"tx_hash": txid, "merkle": self._chain.proof(txid).branch}

    def fee_rate(self, *_: object) -> float:
        return FEE_RATE

    def _tip(self) -> Mapping[str, Any]:
        return {"hex": self._chain.headers[-1].hex(), "height": self._chain.height}

    def _status(self, scripthash: str) -> str | None:
        """Sum up a script's history, so that a wallet sees whether there is anything new."""
        history = self._chain.history(scripthash)
        text = "".join(f"{txid}:{height}:" for txid, height in history)
        return sha256(text.encode()).hexdigest() if history else None


_METHODS: Mapping[str, Callable[..., Any]] = {
    "server.version": Session.version,
    "server.features": Session.features,
    "server.ping": lambda _: None,
    "server.banner": lambda _: "",
    "server.donation_address": lambda _: "",
    "server.peers.subscribe": lambda _: [],
    "blockchain.headers.subscribe": Session.subscribe_headers,
    "blockchain.block.header": Session.header,
    "blockchain.block.headers": Session.headers,
    "blockchain.scripthash.subscribe": Session.subscribe_scripthash,
    "blockchain.scripthash.get_history": Session.history,
    "blockchain.scripthash.listunspent": Session.unspent,
    "blockchain.transaction.get": Session.transaction,
    "blockchain.transaction.broadcast": Session.broadcast,
    "blockchain.transaction.get_merkle": Session.merkle,
    "blockchain.transaction.id_from_pos": Session.id_from_position,
    "blockchain.estimatefee": Session.fee_rate,
    "blockchain.relayfee": Session.fee_rate,
    "mempool.get_fee_histogram": lambda _: [],
}
_FEATURES: Mapping[str, Any] = {
    "genesis_hash": GENESIS_HASH,
    "hosts": {},
    "protocol_max": VERSION,
    "protocol_min": VERSION,
    "pruning": None,
    "server_version": "regtest chain",
    "hash_function": "sha256",
}


def _history_line(txid: str, height: int) -> Mapping[str, Any]:
    line = {"tx_hash": txid, "height": height}
    return line if height else line | {"fee": 200}
