"""NIP-42 against its vectors, and against a relay that lies about who it is."""

from typing import Any

import msgspec
import pytest
from attrs import evolve

from pylon.errors import BadSignature, Malformed
from pylon.model.event import Event
from pylon.wire import auth, relay_url
from pylon.wire import event as events
from tests.vectors import load
from tests.wire.strategies import ALICE

VECTORS: dict[str, Any] = load("nip42.json")
NOW: int = VECTORS["now"]
OWN = relay_url.normalise(VECTORS["relay_url"])


def check(event: Event, *, now: int = NOW) -> str:
    return auth.check(event, urls={OWN}, challenge=VECTORS["challenge"], now=now)


@pytest.mark.parametrize("raw", VECTORS["valid"], ids=lambda raw: raw["id"][:8])
def test_a_valid_answer_proves_its_author(raw: dict[str, Any]) -> None:
    assert check(msgspec.convert(raw, Event)) == raw["pubkey"]


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: case["reason"])
def test_an_invalid_answer_proves_nothing(case: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        check(msgspec.convert(case["event"], Event))


def test_our_own_answer_is_accepted() -> None:
    answer = events.sign(auth.draft(OWN, VECTORS["challenge"], now=NOW), ALICE)
    assert check(answer, now=NOW + auth.WINDOW) == ALICE.public_key
    with pytest.raises(Malformed, match="600 seconds"):
        check(answer, now=NOW + auth.WINDOW + 1)


def test_an_answer_with_a_forged_signature_proves_nothing() -> None:
    answer = events.sign(auth.draft(OWN, VECTORS["challenge"], now=NOW), ALICE)
    with pytest.raises(BadSignature):
        check(evolve(answer, sig="0" * 128))


def test_an_answer_that_names_no_relay_proves_nothing() -> None:
    draft = evolve(
        auth.draft(OWN, VECTORS["challenge"], now=NOW), tags=(("challenge", VECTORS["challenge"]),)
    )
    with pytest.raises(Malformed):
        check(events.sign(draft, ALICE))


def test_an_answer_to_a_relay_in_between_is_no_answer_to_us() -> None:
    between = relay_url.normalise("wss://between.example")
    answer = events.sign(auth.draft(between, VECTORS["challenge"], now=NOW), ALICE)
    with pytest.raises(Malformed, match="another relay"):
        check(answer)
