"""The chain of the tests itself: what it proves, what it refuses, and what it tells."""

import struct
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.integration.lightning.chain import (
    GENESIS_HASH,
    SUBSIDY,
    Chain,
    Output,
    Refused,
    hash256,
    merkle_branch,
    merkle_root,
    read_transaction,
    script_hash,
)

ALICE, BOB = b"\0\x14" + b"a" * 20, b"\0\x14" + b"b" * 20
NOW = 1_800_000_000


def chain() -> Chain:
    return Chain(lambda: NOW)


def spend(outpoint: bytes, *outputs: Output) -> bytes:
    """Return a transaction with a witness that nobody checks."""
    written = [struct.pack("<q", o.value) + bytes([len(o.script)]) + o.script for o in outputs]
    inside = b"\1" + outpoint + b"\0" + b"\xff" * 4 + bytes([len(outputs)]) + b"".join(written)
    return b"\2\0\0\0" + b"\0\1" + inside + b"\1\1x" + b"\0" * 4


def coin_of(chain: Chain, script: bytes) -> bytes:
    (txid, index, *_), *_ = chain.unspent(script_hash(script))
    return bytes.fromhex(txid)[::-1] + struct.pack("<I", index)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40), st.data())
def test_a_branch_leads_from_its_transaction_to_the_root(
    ids: list[bytes], data: st.DataObject
) -> None:
    position = data.draw(st.integers(0, len(ids) - 1))
    digest = ids[position]
    for place, beside in enumerate(merkle_branch(ids, position)):
        pair = (beside, digest) if position >> place & 1 else (digest, beside)
        digest = hash256(b"".join(pair))
    assert digest == merkle_root(ids)


def test_each_header_names_the_one_before_and_is_later() -> None:
    chain_ = chain()
    chain_.mine(3)
    assert hash256(chain_.headers[0])[::-1].hex() == GENESIS_HASH
    for before, header in zip(chain_.headers, chain_.headers[1:], strict=False):
        assert header[4:36] == hash256(before)
        assert header[68:72][::-1] > before[68:72][::-1]


def test_what_is_broadcast_is_mined_and_proven_by_its_block() -> None:
    chain_ = chain()
    chain_.mine(1, ALICE)
    txid = chain_.broadcast(spend(coin_of(chain_, ALICE), Output(SUBSIDY, BOB)))
    assert chain_.history(script_hash(BOB)) == [(txid, 0)]
    with pytest.raises(KeyError):
        chain_.proof(txid)

    height = chain_.mine(1)
    proof = chain_.proof(txid)
    assert chain_.history(script_hash(BOB)) == [(txid, height)]
    assert (proof.height, proof.position, chain_.txid_at(height, 1)) == (height, 1, txid)
    (coinbase,) = proof.branch
    root = hash256(bytes.fromhex(coinbase)[::-1] + bytes.fromhex(txid)[::-1])
    assert chain_.headers[height][36:68] == root


def test_money_is_spent_once_and_not_made() -> None:
    chain_ = chain()
    chain_.mine(1, ALICE)
    coin = coin_of(chain_, ALICE)
    for bad in (spend(coin, Output(SUBSIDY + 1, BOB)), spend(b"\7" * 36, Output(1, BOB))):
        with pytest.raises(Refused):
            chain_.broadcast(bad)

    first = spend(coin, Output(SUBSIDY, BOB))
    assert chain_.broadcast(first) == chain_.broadcast(first)
    with pytest.raises(Refused):
        chain_.broadcast(spend(coin, Output(1, ALICE)))
    assert [coin[2] for coin in chain_.unspent(script_hash(BOB))] == [SUBSIDY]
    assert chain_.unspent(script_hash(ALICE)) == []


def test_a_witness_changes_no_transaction_id() -> None:
    raw = spend(b"\7" * 36, Output(5, BOB))
    plain = raw[:4] + raw[6:-7] + raw[-4:]
    assert read_transaction(raw).txid == read_transaction(plain).txid
    assert read_transaction(raw).outputs == (Output(5, BOB),)


def test_who_listens_hears_whose_money_moved_and_of_each_block() -> None:
    chain_, heard = chain(), list[tuple[set[str], bool]]()

    def hear(touched: Iterable[str], new_block: bool) -> None:
        heard.append((set(touched), new_block))

    chain_.listeners.add(hear)
    chain_.mine(1, ALICE)
    chain_.broadcast(spend(coin_of(chain_, ALICE), Output(SUBSIDY, BOB)))
    alice, bob = script_hash(ALICE), script_hash(BOB)
    assert heard == [({alice}, True), ({alice, bob}, False)]
