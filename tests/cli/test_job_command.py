"""`pylon job` on a home that remembers orders, where no relay can be reached."""

import io
import json
import time
from pathlib import Path

import pytest
import trio
from attrs import evolve

from pylon.adapters.home import find_home
from pylon.app.store import open_store
from pylon.cli.exit_codes import ExitCode
from pylon.core import order_machine
from pylon.model import order as orders
from pylon.model.event import Event
from pylon.model.money import PayMode
from pylon.model.order import Order, OrderState
from pylon.ports.records import Change
from pylon.wire import event as events
from pylon.wire import jobs
from pylon.wire.secp import KeyPair
from tests.adapters.stores import samples
from tests.cli.conftest import Pylon
from tests.cli.orders import DONE, FEE, HELD_OFFER, JOB, NPUB, OFFER, ORDER, PREIMAGE

SECRET = "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5"  # NIP-19's example
SELLER = KeyPair(b"\7" * 32)


@pytest.fixture
def home(pylon: Pylon, machine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    assert pylon("init").status == 0
    monkeypatch.setenv("PYLON_RELAY_URLS", "ws://127.0.0.1:1")
    return machine / ".pylon"


def remember(home: Path, order: Order, state: OrderState, *evidence: Event, key: str = "") -> None:
    """Put an order into the home's memory, as a buyer that was killed leaves it."""

    async def put() -> None:
        async with open_store(home / "pylon.db") as store:
            change = Change(
                order.id,
                state,
                samples.NOW,
                facts=order,
                final=order_machine.is_final(state),
                due=order_machine.due(order, state),
                evidence=evidence,
                key=key or None,
            )
            await store.orders.save([change])

    trio.run(put)


def answered(home: Path, text: str, *, key: str = "") -> None:
    draft = jobs.write_result(ORDER.request, text, now=samples.NOW)
    result = events.sign(draft, SELLER)
    done = evolve(DONE, answer=orders.Answer(result.id, result.pubkey))
    remember(home, ORDER, done, result, key=key)


def other(number: int, question: str, *, seconds: int = 600) -> Order:
    """Make an order that is still under way."""
    order, now = samples.order(number), int(time.time())
    request = evolve(order.request, tags=(("i", question, "text"),))
    return evolve(order, request=request, opened_at=now, deadline=now + seconds)


def test_a_home_without_orders_says_how_to_make_one(pylon: Pylon, home: Path) -> None:
    ran = pylon("--home", str(home), "job", "list")

    assert (ran.status, ran.out) == (0, "")
    assert ran.err == f'no jobs yet: pylon --home {home} job submit "What is 2+2?" --auto-pay\n'
    assert json.loads(pylon("job", "list", "--json").out) == []


@pytest.mark.parametrize("command", [("list",), ("status", "0000")])
def test_looking_at_a_home_that_is_not_there_makes_none(
    pylon: Pylon, machine: Path, command: tuple[str, ...]
) -> None:
    ran = pylon("--home", str(machine / "none"), "job", *command)

    assert ran.status == ExitCode.USAGE
    assert ran.err.endswith(f"run `pylon --home {machine}/none init`\n")
    assert not (machine / "none").exists()


def test_a_list_says_when_what_and_for_how_much(pylon: Pylon, home: Path) -> None:
    answered(home, "four")
    remember(home, other(0xA << 252, f"Why?\n{'so ' * 40}"), orders.Published())

    lines = pylon("job", "list").out.splitlines()

    assert lines[0] == "JOB\tWHEN\tSTATE\tPRICE\tASKED"
    told = {line.split("\t")[0]: line.split("\t")[2:] for line in lines[1:]}
    assert told[JOB[:8]] == ["done", "12 sat", "What is 2+2?"]
    assert told["a0000000"][:2] == ["published", "-"]
    assert told["a0000000"][2].startswith("Why? so so")
    assert len(told["a0000000"][2]) == 60
    assert len(pylon("job", "list", "--limit", "1").out.splitlines()) == 2
    assert {row["id"] for row in json.loads(pylon("job", "list", "--json").out)} == {
        JOB,
        f"a{0:063x}",
    }


def test_a_status_is_a_receipt(pylon: Pylon, home: Path) -> None:
    answered(home, "four")

    told = dict(line.split("  ", 1) for line in pylon("job", "status", JOB).out.splitlines())

    assert told["job"].strip() == JOB
    assert told["price"].strip() == "12 sat"
    assert told["preimage"].strip() == PREIMAGE
    assert told["provider"].strip().startswith("npub1")
    assert json.loads(pylon("job", "status", JOB, "--json").out)["state"] == "done"


def test_a_status_says_what_to_do_with_an_order_that_was_left(pylon: Pylon, home: Path) -> None:
    remember(home, ORDER, orders.Chosen(OFFER))

    ran = pylon("--home", str(home), "job", "status", JOB)

    assert f"its time is over, and this settles it: pylon --home {home} job results" in ran.out
    assert NPUB in ran.out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("000", "no job '000': give 4 characters of its id, or more"),
        ("ffff", "no job 'ffff' was ordered from this home: see `pylon job list`"),
        ("0000", "'0000' begins the ids of 2 jobs; write more of it"),
    ],
)
def test_an_id_that_names_no_single_job_is_one_line(
    pylon: Pylon, home: Path, text: str, said: str
) -> None:
    remember(home, ORDER, orders.Draft())
    remember(home, samples.order(2), orders.Draft())

    for command in ("status", "results", "cancel"):
        ran = pylon("job", command, text)
        assert (ran.status, ran.err) == (ExitCode.USAGE, f"pylon: {said}\n")


def test_results_are_the_answer_alone_and_what_it_cost_beside_it(pylon: Pylon, home: Path) -> None:
    answered(home, "four\n\nof course")

    ran = pylon("job", "results", JOB[:10], "--wait")

    assert (ran.status, ran.out) == (0, "four\n\nof course\n")
    assert ran.err == (
        "answered; 12 sat paid, 0.101 sat in fees\nreceipt: pylon job receipt 00000000\n"
    )
    assert json.loads(pylon("job", "results", JOB, "--json").out)["answer"] == "four\n\nof course"


def test_results_of_an_order_under_way_say_how_to_wait(pylon: Pylon, home: Path) -> None:
    remember(home, other(1, "Why?"), orders.Paid(OFFER, PREIMAGE, FEE))

    ran = pylon("job", "results", JOB)

    assert (ran.status, ran.out) == (ExitCode.TIMEOUT, "")
    assert ran.err == ("12 sat paid; waiting for the answer: pylon job results 00000000 --wait\n")


def test_an_order_that_was_left_is_settled_by_waiting(pylon: Pylon, home: Path) -> None:
    remember(home, ORDER, orders.Published())

    ran = pylon("job", "results", JOB, "--wait", "--json")

    told = json.loads(ran.out)
    assert (ran.status, told["state"]) == (ExitCode.TIMEOUT, "not-served")
    assert told["preimage"] is None


def test_the_same_idempotency_key_shows_the_first_order(pylon: Pylon, home: Path) -> None:
    answered(home, "four", key="once")

    ran = pylon("job", "submit", "What?", "--auto-pay", "--idempotency-key", "once")

    assert (ran.status, ran.out) == (0, "four\n")
    assert f"job {JOB} has this idempotency key already" in ran.err


def test_what_is_over_cannot_be_called_off(pylon: Pylon, home: Path) -> None:
    answered(home, "four")

    ran = pylon("job", "cancel", JOB)

    assert ran.status == ExitCode.FAILURE
    assert ran.out == "not called off: answered; 12 sat paid, 0.101 sat in fees\n"


def test_an_order_is_called_off_where_no_relay_hears_of_it(pylon: Pylon, home: Path) -> None:
    remember(home, other(1, "Why?"), orders.Published())

    ran = pylon("job", "cancel", JOB, "--json")

    assert (ran.status, json.loads(ran.out)["state"]) == (0, "withdrawn")
    assert json.loads(pylon("job", "status", JOB, "--json").out)["state"] == "withdrawn"


def test_a_process_that_drives_an_order_is_asked_to_call_it_off(
    pylon: Pylon, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pylon.app.ordering.LATE_SECONDS", 0.1)
    order = other(1, "Why?")
    remember(home, order, orders.Published())

    with find_home({}, asked=home).lock(f"order-{JOB[:16]}"):
        ran = pylon("job", "cancel", JOB)

    assert ran.status == ExitCode.FAILURE, "nobody is there to do it"
    assert ran.out.startswith("not called off: waiting for offers")
    assert asked_of(home, order) == ["CancelAsked"]


def asked_of(home: Path, order: Order) -> list[str]:
    async def look() -> list[str]:
        async with open_store(home / "pylon.db") as store:
            rows = await store.orders.outbox("order desk", subject=order.id)
            return [row.kind for row in rows]
        raise AssertionError

    return trio.run(look)


def test_what_is_held_is_called_off_and_may_take_its_time(
    pylon: Pylon, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pylon.app.ordering.LATE_SECONDS", 0.1)
    order = other(1, "Why?")
    remember(home, order, orders.Unknown(HELD_OFFER, order.opened_at, cancelled=True))

    with find_home({}, asked=home).lock(f"order-{JOB[:16]}"):
        ran = pylon("job", "cancel", JOB)

    assert ran.status == ExitCode.PAYMENT_UNKNOWN
    assert ran.out.startswith("called off; 12 sat may be held until the provider lets go of them")


def test_nothing_is_owed_where_nothing_went_wrong(pylon: Pylon, home: Path) -> None:
    answered(home, "four")

    ran = pylon("job", "refund")

    assert (ran.status, ran.out) == (0, "")
    assert ran.err == "no provider owes you anything\n"
    assert json.loads(pylon("job", "refund", "--json").out) == []
    (done,) = json.loads(pylon("job", "refund", JOB, "--json").out)
    assert (done["state"], done["refund_msat"]) == ("done", None)


def test_a_refund_is_asked_for_and_shown_until_it_is_there(
    pylon: Pylon, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pylon.cli.job_refund.AT_ONCE_SECONDS", 0.5)
    monkeypatch.setattr("pylon.app.ordering.LAST_WORD_SECONDS", 0.1)
    promised = orders.Disputed(OFFER, PREIMAGE, FEE, "no memory", OFFER.amount)
    remember(home, other(1, "Why?"), promised)

    listed = pylon("job", "list")
    ran = pylon("job", "refund")

    assert "1 of them are still to be paid back: pylon" in listed.err
    assert ran.status == ExitCode.PROVIDER_FAILURE
    assert f"00000000  {NPUB[:12]}...  no memory; 12 sat are asked back" in ran.err
    (owed,) = json.loads(pylon("job", "refund", JOB, "--json").out)
    assert (owed["state"], owed["refund_msat"]) == ("reclaiming", 12_000)
    first = owed["refund_payment_hash"]
    assert first is not None
    again = json.loads(pylon("job", "refund", "--json").out)
    assert again[0]["refund_payment_hash"] == first, "it is the same invoice"


def test_the_ways_to_pay_are_words_that_are_known(pylon: Pylon, home: Path) -> None:
    ran = pylon("job", "submit", "What?", "--auto-pay", "--pay", "locked,soon")

    assert ran.status == ExitCode.USAGE
    assert "--pay: 'soon' is none of prepay, hold, locked, hold+locked" in ran.err
    assert "--pay: 'free' is none" in pylon("job", "submit", "?", "--auto-pay", "--pay", "free").err


def test_a_request_says_how_it_may_be_paid(pylon: Pylon, home: Path) -> None:
    pylon("job", "submit", "What?", "--auto-pay", "--timeout", "1", "--pay", "locked, prepay")

    async def requested() -> Order:
        async with open_store(home / "pylon.db") as store:
            (record,) = await store.orders.recent(limit=9)
            return record.facts
        raise AssertionError

    order = trio.run(requested)
    assert order.accepts == (PayMode.LOCKED, PayMode.PREPAY)
    assert ("pay", "locked", "prepay") in order.request.tags


def test_results_wait_for_what_another_process_makes_of_an_order(pylon: Pylon, home: Path) -> None:
    remember(home, other(1, "Why?", seconds=-4), orders.Published())

    with find_home({}, asked=home).lock(f"order-{JOB[:16]}"):
        ran = pylon("job", "results", JOB, "--wait")

    assert ran.status == ExitCode.TIMEOUT
    assert "waiting for offers (0 so far)" in ran.err


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ([], 'what to ask? pylon job submit "..." or --input FILE'),
        (["hi", "--input", "x"], "give what to ask, or --input FILE, but not both"),
        (["  "], "the prompt is empty"),
        (["--input", "nowhere"], "--input nowhere cannot be read: No such file or directory"),
        (["--input", "."], "--input . cannot be read: Is a directory"),
        (["--input", "raw"], "--input raw is not UTF-8 text"),
        (["--input", "huge"], "--input huge is larger than 1,000,000 bytes"),
        (["hi", "--provider", "npub1zzz"], "--provider: "),
        (["hi", "--provider", SECRET], "--provider: not a public key"),
        (["hi", "--relay", "http://x"], "--relay: not a relay URL"),
        (["hi", "--encrypt"], "name it with --provider"),
        (["hi", "--kind", "5000"], "kind 5000 cannot be ordered"),
        (["hi", "--backend", "abacus"], "no backend is called abacus"),
        (["hi", "--bid", "30", "--max-sats", "20"], "the bid is above the most that may be paid"),
        (["hi", "--bid", "0"], "--bid. Must be >= 1"),
        (["hi", "--max-sats", "-1"], "--max-sats. Must be >= 0"),
        (["hi", "--timeout", "0"], "--timeout. Must be >= 1"),
        (["hi", "--max-tokens", "0"], "--max-tokens. Must be >= 1"),
        (["hi", "--temperature", "2.5"], "--temperature. Must be <= 2"),
    ],
)
def test_an_order_that_makes_no_sense_is_one_line_and_sends_nothing(
    pylon: Pylon,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    tokens: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(home)
    (home / "raw").write_bytes(b"\xff\xfe")
    (home / "huge").write_bytes("é".encode() * 500_001)

    ran = pylon("job", "submit", *tokens, "--auto-pay")

    assert (ran.status, ran.out) == (ExitCode.USAGE, "")
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert SECRET not in ran.err
    assert json.loads(pylon("job", "list", "--json").out) == []


def test_without_a_person_a_price_needs_a_yes_beforehand(pylon: Pylon, home: Path) -> None:
    ran = pylon("job", "submit", "hi")

    assert ran.status == ExitCode.USAGE
    assert "give --auto-pay" in ran.err


class Stdin:
    """Standard input with bytes in it, and nobody typing."""

    def __init__(self, raw: bytes) -> None:
        self.buffer = io.BytesIO(raw)

    def isatty(self) -> bool:
        return False


def test_where_no_relay_answers_a_person_is_told_why_and_what_helps(
    pylon: Pylon, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Stdin(b"Why is it so quiet?"))

    monkeypatch.setattr("pylon.cli.following.SILENCE_SECONDS", 0.2)

    ran = pylon("job", "submit", "--input", "-", "--auto-pay", "--timeout", "4")

    assert (ran.status, ran.out) == (ExitCode.NETWORK, "")
    assert "ws://127.0.0.1:1 cannot be reached: " in ran.err
    assert "no relay took the request in time; nothing was paid\n`pylon run` and" in ran.err
    assert json.loads(pylon("job", "list", "--json").out)[0]["state"] == "not-served"
    assert "Why is it so quiet?" in pylon("job", "list").out
