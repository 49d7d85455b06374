"""Macaroons of lnd: what they allow is read, and nothing else is taken for one."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import Malformed, PeerFault
from pylon.wire.macaroon import MAX_LENGTH, permissions
from tests.macaroons import bake

# What lnd writes as admin.macaroon, with zeros for the nonce and the signature.
ADMIN = bytes.fromhex(
    "0201036c6e6402f801030a10"
    + "00" * 16
    + "1201301a160a0761646472657373120472656164120577726974651a130a04696e666f12047265616412057772"
    "6974651a170a08696e766f69636573120472656164120577726974651a210a086d616361726f6f6e120867656e65"
    "72617465120472656164120577726974651a160a076d657373616765120472656164120577726974651a170a086f"
    "6666636861696e120472656164120577726974651a160a076f6e636861696e120472656164120577726974651a14"
    "0a057065657273120472656164120577726974651a180a067369676e6572120867656e6572617465120472656164"
    "00000620" + "00" * 32
)
# One that may read what getinfo tells, until a time, from an address.
NARROWED = bytes.fromhex(
    "0201036c6e640224030a10"
    + "00" * 16
    + "1201301a0c0a04696e666f12047265616400022974696d652d6265666f726520323032322d30382d30385430383a"
    "31303a30342e38383933303336335a00020e69706164647220312e322e332e3400000620" + "00" * 32
)
WORDS = st.text("abcdefghijklmnopqrstuvwxyz/.", min_size=1, max_size=40)


def test_the_admin_macaroon_of_lnd_allows_everything() -> None:
    assert permissions(ADMIN) == {
        f"{entity}:{action}"
        for entity, actions in {
            "address": ("read", "write"),
            "info": ("read", "write"),
            "invoices": ("read", "write"),
            "macaroon": ("generate", "read", "write"),
            "message": ("read", "write"),
            "offchain": ("read", "write"),
            "onchain": ("read", "write"),
            "peers": ("read", "write"),
            "signer": ("generate", "read"),
        }.items()
        for action in actions
    }


def test_caveats_do_not_hide_what_a_macaroon_allows() -> None:
    assert permissions(NARROWED) == {"info:read"}


@given(st.sets(st.tuples(WORDS, WORDS), max_size=20))
def test_what_was_baked_in_is_read(powers: set[tuple[str, str]]) -> None:
    baked = {f"{entity}:{action}" for entity, action in powers}
    assert permissions(bake(*baked)) == baked


@given(st.binary(max_size=400) | st.binary(max_size=300).map(lambda tail: ADMIN[:12] + tail))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        found = permissions(raw)
    except PeerFault:
        return
    assert all(isinstance(power, str) for power in found)


@given(st.integers(1, len(ADMIN) - 1), st.integers(1, 255))
def test_a_changed_byte_is_read_or_refused(place: int, change: int) -> None:
    raw = bytearray(ADMIN)
    raw[place] ^= change
    with suppress(PeerFault):
        permissions(bytes(raw))


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "format 2"),
        (b"\1" + ADMIN[1:], "format 2"),
        (ADMIN + b"\0" * MAX_LENGTH, "format 2"),
        (b"TURBeGJHOWpZWFJwYjI0Zw==", "format 2"),  # format 1 in base64
        (b"\2", "cut short"),
        (b"\2\0", "without identifier"),
        (b"\2\1\3lnd\4\1x", "out of order"),
        (b"\2\2\0\0", "none of lnd's"),
        (b"\2\2\1\2\0", "none of lnd's"),
        (b"\2\2\5\3", "cut short"),
        (b"\2\2\xff\xff\xff\xff\x01", "a number too large"),
        (b"\2\2\3\3\x08\1", "another shape"),
        (b"\2\2\5\3\x1a\2\x12\0", "for nothing"),
        (b"\2\2\7\3\x1a\4\x0a\1\xff\x12", "cut short"),
        (b"\2\2\6\3\x1a\3\x0a\1\xff", "no word"),
    ],
)
def test_what_is_no_macaroon_of_lnd_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        permissions(raw)
