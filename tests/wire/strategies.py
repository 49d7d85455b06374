"""What Hypothesis draws for the wire: drafts, signed events, hostile JSON."""

from hypothesis import strategies as st

from pylon.model.event import Draft, Event
from pylon.wire import event as events
from pylon.wire.secp import KeyPair

ALICE = KeyPair(b"\x01" * 32)
BOB = KeyPair(b"\x02" * 32)

hex32 = st.binary(min_size=32, max_size=32).map(bytes.hex)
tags = st.lists(st.lists(st.text(max_size=8), max_size=4).map(tuple), max_size=4).map(tuple)
drafts = st.builds(
    Draft,
    kind=st.integers(0, 0xFFFF),
    created_at=st.integers(0, (1 << 53) - 1),
    tags=tags,
    content=st.text(max_size=40),
)
authors = st.sampled_from([ALICE, BOB])
signed = st.builds(events.sign, drafts, authors)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


def event(
    kind: int = 1,
    *tags: tuple[str, ...],
    at: int = 1_700_000_000,
    content: str = "",
    keys: KeyPair = ALICE,
) -> Event:
    """Sign an event with as little said about it as a test needs."""
    return events.sign(Draft(kind, at, tags, content), keys)
