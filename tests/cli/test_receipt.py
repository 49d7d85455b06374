"""A receipt leaves the home as one file, and is checked without it."""

import io
import json
import sys
from pathlib import Path

import pytest
import trio
from attrs import evolve

from pylon.adapters.home import find_home
from pylon.adapters.keys import LocalSigner
from pylon.app.identity import Identity, unlock
from pylon.app.store import open_store
from pylon.cli.exit_codes import ExitCode
from pylon.model import order as orders
from pylon.model.event import Event
from pylon.model.ids import JobId
from pylon.model.invoice import Invoice
from pylon.model.job import JobInput
from pylon.model.money import ZERO, Msat, Network, PayMode
from pylon.model.order import Order
from pylon.ports.records import Change
from pylon.wire import bolt11, jobs, locked
from pylon.wire import event as events
from tests.adapters.stores import samples
from tests.cli.conftest import Pylon
from tests.core.test_receipt import HASH, NODE, PREIMAGE, PROVIDER

ANSWER = "Four, of course."


@pytest.fixture
def buyer(pylon: Pylon, machine: Path) -> Identity:
    assert pylon("init").status == 0
    home = find_home({"HOME": str(machine)})
    return unlock(home, Network.REGTEST, ask_passphrase=str)


def invoice_for(job: JobId) -> str:
    invoice = Invoice(
        network=Network.REGTEST,
        amount=Msat(12_000),
        created_at=samples.NOW,
        payment_hash=HASH,
        payment_secret="cc" * 32,
        payee=NODE.node_key,
        description=f"pylon:{job}",
    )
    return bolt11.encode(invoice, NODE)


def locked_result(request: Event, buyer: Identity) -> Event:
    """Answer a request as a provider does in the mode locked."""
    job = JobId(request.id)
    sealed = locked.lock(
        ANSWER, PREIMAGE, job=job, provider=PROVIDER.public_key, nonce=bytes(locked.NONCE_BYTES)
    )
    draft = jobs.write_result(
        request,
        LocalSigner(PROVIDER).encrypt(sealed, buyer.public_key),
        now=samples.NOW,
        amount=Msat(12_000),
        bolt11=invoice_for(job),
        mode=PayMode.LOCKED,
        encrypted=True,
        locked=locked.describe(ANSWER, PREIMAGE),
    )
    return events.sign(draft, PROVIDER)


def bought(machine: Path, buyer: Identity, *, paid: bool = True) -> Order:
    """Remember a locked answer that was paid for, or one that was called off."""
    draft = jobs.write_request(5050, now=samples.NOW, inputs=(JobInput("2+2?"),))
    request = buyer.signer.sign(draft)
    result = locked_result(request, buyer)
    order = evolve(samples.order(1), id=JobId(request.id), request=request)
    about = locked.describe(ANSWER, PREIMAGE)
    answer = orders.Answer(result.id, PROVIDER.public_key, about)
    offer = orders.Offer(
        provider=PROVIDER.public_key,
        feedback=result.id,
        amount=Msat(12_000),
        bolt11=invoice_for(order.id),
        payment_hash=HASH,
        node_key=NODE.node_key,
        expires_at=samples.NOW + 600,
        mode=PayMode.LOCKED,
        answer=answer,
    )
    state = orders.Done(answer, offer, PREIMAGE, ZERO) if paid else orders.Withdrawn()

    async def put() -> None:
        async with open_store(machine / ".pylon" / "pylon.db") as store:
            change: samples.OrderChange = Change(
                order.id, state, samples.NOW, facts=order, evidence=(result,)
            )
            await store.orders.save([change])

    trio.run(put)
    return order


def test_a_receipt_in_a_file_is_checked_by_a_stranger(
    pylon: Pylon, machine: Path, buyer: Identity
) -> None:
    order, file = bought(machine, buyer), machine / "receipt.json"

    made = pylon("job", "receipt", order.id[:8], "--with-answer", "--out", str(file))
    checked = pylon("--home", str(machine / "elsewhere"), "receipt", "verify", str(file))

    assert made.status == checked.status == ExitCode.OK
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text())["answer"] == ANSWER
    assert "yes  the answer is the one that was sold" in checked.out
    assert checked.out.endswith("the receipt holds\n")
    assert not (machine / "elsewhere").exists()


def test_a_receipt_goes_through_a_pipe_and_keeps_the_answer_to_itself(
    pylon: Pylon, machine: Path, buyer: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = bought(machine, buyer)

    made = pylon("job", "receipt", order.id)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(made.out.encode())))
    checked = pylon("receipt", "verify", "-", "--json")

    assert ANSWER not in made.out
    said = json.loads(checked.out)
    verdicts = {claim["claim"]: claim["verdict"] for claim in said["claims"]}
    assert (said["holds"], said["job"]) == (True, order.id)
    assert verdicts["the answer is the one that was sold"] == "open"
    assert verdicts["it was paid: the preimage hashes to the payment hash"] == "holds"


def test_a_receipt_that_was_tampered_with_is_called_false(
    pylon: Pylon, machine: Path, buyer: Identity
) -> None:
    file = machine / "receipt.json"
    order = bought(machine, buyer)
    true = json.loads(pylon("job", "receipt", order.id, "--with-answer").out)
    file.write_text(json.dumps(true | {"answer": "Five."}))

    checked = pylon("receipt", "verify", str(file))

    assert checked.status == ExitCode.FAILURE
    assert "  NO  the answer is the one that was sold" in checked.out
    assert checked.out.endswith("THE RECEIPT IS FALSE\n")


def test_what_was_not_paid_for_has_no_receipt(pylon: Pylon, machine: Path, buyer: Identity) -> None:
    order = bought(machine, buyer, paid=False)

    made = pylon("job", "receipt", order.id)

    assert (made.status, made.out) == (ExitCode.USAGE, "")
    assert "was not paid for" in made.err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"{}", "receipt.json is no receipt that can be checked: "),
        (b" " * (4 << 20) + b" ", "too large"),
    ],
)
def test_what_is_no_receipt_is_one_line(
    pylon: Pylon, machine: Path, content: bytes | None, words: str
) -> None:
    file = machine / "receipt.json"
    if content is not None:
        file.write_bytes(content)

    checked = pylon("receipt", "verify", str(file))

    assert checked.status != ExitCode.OK
    assert words in checked.err
    assert checked.err.count("\n") == 1
