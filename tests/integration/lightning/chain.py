"""A regtest chain in memory: blocks with real headers and merkle trees, and who was paid by what.

It checks what a wallet could get wrong by accident (inputs that exist, are unspent and cover the
outputs), and no scripts: it is for Lightning nodes that are on our side.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from attrs import define, field, frozen

COIN = 100_000_000
SUBSIDY = 50 * COIN
MATURITY = 100  # blocks after which a coinbase can be spent
GENESIS_HASH = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
UNSPENDABLE = b"\x6a"

_GENESIS_TXID = bytes.fromhex("4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b")
_GENESIS_TIME, _GENESIS_NONCE = 1_296_688_602, 2
_BITS = 0x207FFFFF
_TARGET = 0x7FFFFF << 8 * (0x20 - 3)
_NO_OUTPOINT = b"\0" * 32 + b"\xff" * 4
_HEADER = struct.Struct("<i32s32sIII")


@frozen
class Output:
    """An amount in satoshi, and the script that may spend it."""

    value: int
    script: bytes


@frozen
class Transaction:
    """A transaction, read; `txid` is as people write it, in reversed byte order."""

    raw: bytes
    txid: str
    spends: tuple[bytes, ...]  # outpoints: 32 bytes of hash, 4 of index
    outputs: tuple[Output, ...]

    def outpoint(self, index: int) -> bytes:
        return bytes.fromhex(self.txid)[::-1] + struct.pack("<I", index)


@frozen
class Proof:
    """Where a transaction is in a block, and the hashes that lead from it to the merkle root."""

    branch: tuple[str, ...]
    height: int
    position: int


class Refused(Exception):
    """The transaction cannot be part of this chain."""


Listener = Callable[[frozenset[str], bool], None]  # touched scripthashes; whether there is a block


@define
class Chain:
    """Blocks and the mempool. `listeners` hear of every change, at once."""

    now: Callable[[], float]
    listeners: set[Listener] = field(factory=set, init=False)
    headers: list[bytes] = field(factory=lambda: [_genesis()], init=False)
    _blocks: list[tuple[str, ...]] = field(factory=lambda: [()], init=False)
    _mempool: dict[str, Transaction] = field(factory=dict, init=False)
    _transactions: dict[str, Transaction] = field(factory=dict, init=False)
    _heights: dict[str, int] = field(factory=dict, init=False)  # of what is mined
    _outputs: dict[bytes, Output] = field(factory=dict, init=False)  # every one there ever was
    _spenders: dict[bytes, str] = field(factory=dict, init=False)
    _histories: dict[str, list[str]] = field(factory=dict, init=False)

    @property
    def height(self) -> int:
        return len(self.headers) - 1

    def mine(self, count: int, script: bytes = UNSPENDABLE) -> int:
        """Add blocks that pay `script` and hold the mempool; return the new height."""
        touched: set[str] = set()
        for _ in range(count):
            coinbase = read_transaction(_coinbase(self.height + 1, script))
            mined = (coinbase, *self._mempool.values())
            touched |= self._index(coinbase)
            for transaction in self._mempool.values():
                touched |= self._touches(transaction)
            self._mempool.clear()
            self._append(mined)
        self._tell(touched, new_block=True)
        return self.height

    def broadcast(self, raw: bytes) -> str:
        """Take a transaction into the mempool and return its id; raise `Refused` if it cannot be."""
        transaction = read_transaction(raw)
        if transaction.txid in self._transactions:
            return transaction.txid
        for outpoint in transaction.spends:
            if outpoint not in self._outputs:
                raise Refused("missing inputs")
            if outpoint in self._spenders:
                raise Refused("txn-mempool-conflict")
        spent = sum(self._outputs[outpoint].value for outpoint in transaction.spends)
        if spent < sum(output.value for output in transaction.outputs):
            raise Refused("bad-txns-in-belowout")
        self._mempool[transaction.txid] = transaction
        self._tell(self._index(transaction), new_block=False)
        return transaction.txid

    def transaction(self, txid: str) -> bytes:
        """Return a transaction's bytes; raise `KeyError` for one that is nowhere."""
        return self._transactions[txid].raw

    def history(self, scripthash: str) -> list[tuple[str, int]]:
        """List the transactions of a script with their heights, in the chain's order; 0: unmined."""
        found = [(txid, self._heights.get(txid, 0)) for txid in self._histories.get(scripthash, ())]
        return sorted(found, key=self._place)

    def unspent(self, scripthash: str) -> list[tuple[str, int, int, int]]:
        """List a script's outputs that nothing spends: txid, index, satoshi, height."""
        return [
            (txid, index, output.value, height)
            for txid, height in self.history(scripthash)
            for index, output in enumerate(self._transactions[txid].outputs)
            if script_hash(output.script) == scripthash
            and self._transactions[txid].outpoint(index) not in self._spenders
        ]

    def proof(self, txid: str) -> Proof:
        """Prove that a transaction is in its block; raise `KeyError` for one that is in none."""
        height = self._heights[txid]
        ids = self._blocks[height]
        position = ids.index(txid)
        branch = merkle_branch([_from_hex(each) for each in ids], position)
        return Proof(tuple(map(_to_hex, branch)), height, position)

    def txid_at(self, height: int, position: int) -> str:
        return self._blocks[height][position]

    def _append(self, mined: Sequence[Transaction]) -> None:
        ids = tuple(transaction.txid for transaction in mined)
        self._heights.update(dict.fromkeys(ids, self.height + 1))
        self._blocks.append(ids)
        root = merkle_root([_from_hex(txid) for txid in ids])
        before = _HEADER.unpack(self.headers[-1])[3]
        time = max(before + 1, int(self.now()))
        self.headers.append(_work(hash256(self.headers[-1]), root, time))

    def _index(self, transaction: Transaction) -> set[str]:
        self._transactions[transaction.txid] = transaction
        for index, output in enumerate(transaction.outputs):
            self._outputs[transaction.outpoint(index)] = output
        for outpoint in transaction.spends:
            self._spenders[outpoint] = transaction.txid
        touched = self._touches(transaction)
        for scripthash in touched:
            self._histories.setdefault(scripthash, []).append(transaction.txid)
        return touched

    def _touches(self, transaction: Transaction) -> set[str]:
        spent = [self._outputs[outpoint] for outpoint in transaction.spends]
        return {script_hash(output.script) for output in (*spent, *transaction.outputs)}

    def _place(self, item: tuple[str, int]) -> tuple[float, int]:
        txid, height = item
        return (height, self._blocks[height].index(txid)) if height else (float("inf"), 0)

    def _tell(self, touched: Iterable[str], *, new_block: bool) -> None:
        for listener in tuple(self.listeners):
            listener(frozenset(touched), new_block)


def hash256(data: bytes) -> bytes:
    """Hash twice, as Bitcoin does."""
    return sha256(sha256(data).digest()).digest()


def script_hash(script: bytes) -> str:
    """Name a script as the Electrum protocol does."""
    return _to_hex(sha256(script).digest())


def merkle_root(ids: Sequence[bytes]) -> bytes:
    """Return the root over a block's transaction ids, the last of an odd layer counting twice."""
    layer = list(ids)
    while len(layer) > 1:
        layer = _layer_above(layer)
    return layer[0]


def merkle_branch(ids: Sequence[bytes], position: int) -> list[bytes]:
    """Return what a transaction is hashed with on its way up, lowest layer first."""
    layer, branch = list(ids), list[bytes]()
    while len(layer) > 1:
        branch.append(layer[min(position ^ 1, len(layer) - 1)])
        layer, position = _layer_above(layer), position >> 1
    return branch


def read_transaction(raw: bytes) -> Transaction:
    """Read a transaction, with witnesses or without."""
    begin = 6 if raw[4:6] == b"\0\1" else 4  # the mark of witnesses, which follow the outputs
    reader = _Reader(raw, begin)
    inputs = tuple(reader.input() for _ in range(reader.count()))
    outputs = tuple(reader.output() for _ in range(reader.count()))
    spends = tuple(outpoint for outpoint in inputs if outpoint != _NO_OUTPOINT)
    plain = raw[:4] + raw[begin : reader.at] + raw[-4:]
    return Transaction(raw, _to_hex(hash256(plain)), spends, outputs)


@define
class _Reader:
    raw: bytes
    at: int

    def take(self, length: int) -> bytes:
        self.at += length
        return self.raw[self.at - length : self.at]

    def count(self) -> int:
        first = self.take(1)[0]
        return first if first < 0xFD else int.from_bytes(self.take(2 << first - 0xFD), "little")

    def input(self) -> bytes:
        outpoint = self.take(36)
        self.take(self.count() + 4)  # script and sequence
        return outpoint

    def output(self) -> Output:
        value = int.from_bytes(self.take(8), "little")
        return Output(value, self.take(self.count()))


def _coinbase(height: int, script: bytes) -> bytes:
    """Return a block's first transaction; the height in it (BIP-34) makes it unlike any other."""
    number = height.to_bytes(height.bit_length() // 8 + 1, "little")
    signature = bytes([len(number)]) + number + b"\1\0"
    return b"".join(
        (
            struct.pack("<i", 2),
            b"\1" + _NO_OUTPOINT + bytes([len(signature)]) + signature + b"\xff" * 4,
            b"\1" + struct.pack("<q", SUBSIDY) + bytes([len(script)]) + script,
            b"\0" * 4,
        )
    )


def _genesis() -> bytes:
    return _HEADER.pack(1, b"\0" * 32, _GENESIS_TXID[::-1], _GENESIS_TIME, _BITS, _GENESIS_NONCE)


def _work(before: bytes, root: bytes, time: int) -> bytes:
    """Find a header that meets regtest's target: about two attempts."""
    nonce = 0
    while True:
        header = _HEADER.pack(0x20000000, before, root, time, _BITS, nonce)
        if int.from_bytes(hash256(header), "little") <= _TARGET:
            return header
        nonce += 1


def _layer_above(layer: Sequence[bytes]) -> list[bytes]:
    even = (*layer, layer[-1]) if len(layer) % 2 else layer
    return [hash256(even[i] + even[i + 1]) for i in range(0, len(even), 2)]


def _to_hex(digest: bytes) -> str:
    return digest[::-1].hex()


def _from_hex(text: str) -> bytes:
    return bytes.fromhex(text)[::-1]
