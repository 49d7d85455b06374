"""Our NWC client against wallets and relays that behave in every way they are known to."""

import json
import logging
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from pylon.adapters.lightning.nwc import open_nwc
from pylon.adapters.memory.clock import MemoryClock
from pylon.core.relay_rules import RelayRules
from pylon.errors import BadInvoice, Misconfigured, WalletUnavailable
from pylon.model.ids import PaymentHash, Preimage, RelayUrl
from pylon.model.invoice import Invoice
from pylon.model.money import ZERO, Msat, Network
from pylon.model.wallet import (
    Capabilities,
    InvoiceState,
    PaymentFailed,
    PaymentInFlight,
    PaymentSettled,
)
from pylon.wire import nip04
from pylon.wire.bolt11 import encode
from pylon.wire.secp import KeyPair
from tests.adapters.lightning.scripted_nwc import (
    CLIENT,
    HOLD,
    NOT_FOUND,
    PLAIN,
    SECRET,
    STRANGER,
    URL,
    WALLET,
    Scene,
    scene,
)
from tests.adapters.wallet_contract import take, take_until

NODE = KeyPair(b"\x11" * 32)
PREIMAGE = Preimage("22" * 32)
HASH = PaymentHash(sha256(bytes.fromhex(PREIMAGE)).hexdigest())
AMOUNT, FEE = Msat(21_000), Msat(7)
NOW = 1_700_000_000
BALANCE = {"result": {"balance": 5_000}}


def bolt11(
    *, amount: Msat | None = AMOUNT, network: Network = Network.REGTEST, at: int = NOW
) -> str:
    return encode(
        Invoice(
            network=network,
            amount=amount,
            created_at=at,
            payment_hash=HASH,
            payment_secret="cd" * 32,
            payee=NODE.node_key,
            description="a job",
            expiry_seconds=600,
        ),
        NODE,
    )


def tx(state: str | None = None, *, way: str = "outgoing", **more: Any) -> dict[str, Any]:
    base = {
        "type": way,
        "payment_hash": HASH,
        "amount": AMOUNT,
        "fees_paid": FEE,
        "created_at": NOW,
        "expires_at": NOW + 600,
        "invoice": bolt11(),
        "description": "a job",
    }
    if state is not None:
        base["state"] = state
    if state == "settled":
        base |= {"preimage": PREIMAGE, "settled_at": NOW + 5}
    return {"result": base | more}


def refusal(code: str, message: str = "no") -> dict[str, Any]:
    return {"result_type": "", "error": {"code": code, "message": message}, "result": None}


SETTLED = PaymentSettled(HASH, PREIMAGE, AMOUNT, FEE)
PAID = {"result": {"preimage": PREIMAGE, "fees_paid": FEE}}


async def pay(town: Scene, seconds: float = 30.0) -> Any:
    return await town.client.pay(bolt11(), max_fee=ZERO, deadline_seconds=seconds)


# Reaching the wallet


async def test_without_a_relay_there_is_one_clear_answer(autojump_clock: MockClock) -> None:
    async with scene() as town:
        town.relay.up = False
        town.relay.cut()
        with pytest.raises(WalletUnavailable, match=r"relays cannot be reached: ws://one\.test: "):
            await town.client.balance()
        assert trio.current_time() <= 30


async def test_a_wallet_that_is_not_there_is_said_to_be_so(autojump_clock: MockClock) -> None:
    async with scene(running=False) as town:
        for ask in (town.client.balance, town.client.info):
            with pytest.raises(WalletUnavailable, match="is it running"):
                await ask()


async def test_a_wallet_that_comes_late_is_found(autojump_clock: MockClock) -> None:
    async with scene(running=False) as town, trio.open_nursery() as nursery:
        town.wallet.says["get_balance"] = BALANCE

        async def later() -> None:
            await trio.sleep(3)
            await town.nursery.start(town.wallet.run)

        nursery.start_soon(later)
        assert await town.client.balance() == 5_000


async def test_nobody_listening_is_told_at_once(autojump_clock: MockClock) -> None:
    async with scene(running=False) as town:
        await _announce_and_leave(town)
        began = trio.current_time()
        with pytest.raises(WalletUnavailable, match=r"not reached: .*no one is listening"):
            await town.client.balance()
        assert trio.current_time() - began < 5


async def _announce_and_leave(town: Scene) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            await nursery.start(town.wallet.run)
            await wait_all_tasks_blocked()
            scope.cancel()
    await trio.sleep(5)  # until the relay has noticed


async def test_a_relay_that_will_not_let_us_listen_is_named(autojump_clock: MockClock) -> None:
    async with scene(rules=RelayRules(filters=2)) as town:
        with pytest.raises(WalletUnavailable, match=r"ws://one\.test: does not let us listen: "):
            await town.client.balance()


async def test_one_relay_of_several_is_enough(autojump_clock: MockClock) -> None:
    other = RelayUrl("ws://down.test")

    async with scene(relays=(other, URL)) as town:
        town.wallet.says["get_balance"] = BALANCE
        assert await town.client.balance() == 5_000


async def test_what_others_say_in_the_wallets_name_is_passed_over(
    autojump_clock: MockClock,
) -> None:
    """An answer by a stranger, and one of the wallet's to another request."""
    async with scene() as town:

        async def forge(_: Any) -> None:
            town.wallet.author = STRANGER
            await town.wallet.publish(
                23195, _about(town), town.wallet.hide('{"result":{"balance":1}}')
            )
            town.wallet.author = WALLET
            other = (("p", CLIENT.public_key), ("e", "ab" * 32))
            await town.wallet.publish(23195, other, town.wallet.hide('{"result":{"balance":2}}'))
            await town.wallet.publish(23195, (("p", CLIENT.public_key),), "no e tag")

        town.wallet.before = forge
        town.wallet.says["get_balance"] = BALANCE
        assert await town.client.balance() == 5_000


def _about(town: Scene) -> tuple[tuple[str, ...], ...]:
    return (("p", CLIENT.public_key), ("e", town.wallet.requests[-1].id))


async def test_an_answer_need_not_say_whom_it_is_for(autojump_clock: MockClock) -> None:
    """That of Alby's service does not."""
    async with scene() as town:

        async def answer(_: Any) -> None:
            (_, about) = _about(town)
            await town.wallet.publish(23195, (about,), town.wallet.hide(json.dumps(BALANCE)))

        town.wallet.before = answer
        assert await town.client.balance() == 5_000


@pytest.mark.parametrize("said", ["rubbish", '{"result":{"balance":-1}}', '{"result":[]}'])
async def test_an_answer_that_cannot_be_read_is_none(autojump_clock: MockClock, said: str) -> None:
    async with scene() as town:

        async def answer(_: Any) -> None:
            await town.wallet.publish(23195, _about(town), town.wallet.hide(said))

        town.wallet.before = answer
        with pytest.raises(WalletUnavailable, match="cannot be read"):
            await town.client.balance()


async def test_silence_ends_in_time(autojump_clock: MockClock) -> None:
    async with scene() as town:
        with pytest.raises(WalletUnavailable, match="does not answer for 30 s"):
            await town.client.balance()
        assert trio.current_time() == pytest.approx(30, abs=1)
        (request,) = town.wallet.requests
        assert request.tag("expiration") == str(request.created_at + 30)


# Encryption


@pytest.mark.parametrize(
    ("spoken", "legacy"), [("nip44_v2 nip04", False), ("nip04", True), (None, True)]
)
async def test_the_best_encryption_that_the_wallet_knows_is_used(
    autojump_clock: MockClock, spoken: str | None, legacy: bool
) -> None:
    async with scene(encryption=spoken) as town:
        town.wallet.says["get_balance"] = BALANCE
        assert await town.client.balance() == 5_000
        (request,) = town.wallet.requests
        assert nip04.is_nip04(request.content) is legacy
        assert request.tag("encryption") == ("nip04" if legacy else "nip44_v2")


async def test_a_wallet_with_an_encryption_of_its_own_cannot_be_used(
    autojump_clock: MockClock,
) -> None:
    async with scene(encryption="nip99") as town:
        with pytest.raises(Misconfigured, match="encryption"):
            await town.client.balance()


async def test_what_is_no_connection_string_is_refused_and_not_shown(
    autojump_clock: MockClock,
) -> None:
    with pytest.raises(Misconfigured) as refused:
        async with open_nwc(
            f"nostr+walletconnect://x?secret={SECRET}",
            network=Network.REGTEST,
            dial=_nowhere,
            clock=MemoryClock(),
        ):
            pass
    assert SECRET not in f"{refused.value!r}"


def _nowhere(url: str) -> Any:
    raise AssertionError(url)


# What the wallet is


async def test_what_a_wallet_can_do_is_what_it_says(autojump_clock: MockClock) -> None:
    for methods, hold in ((PLAIN, False), (HOLD, True), (f"{PLAIN} make_hold_invoice", False)):
        async with scene(methods=methods) as town:
            town.wallet.says["get_info"] = {
                "result": {"network": "regtest", "pubkey": NODE.node_key, "alias": None}
            }
            info = await town.client.info()
            assert info.capabilities == Capabilities(hold=hold, msat=True)
            assert (info.backend, info.network, info.node_key) == ("nwc", "regtest", NODE.node_key)
            assert info.warning == ""


async def test_methods_that_this_connection_may_not_use_do_not_count(
    autojump_clock: MockClock,
) -> None:
    async with scene(methods=HOLD) as town:
        town.wallet.says["get_info"] = {"result": {"methods": PLAIN.split(), "network": "regtest"}}
        info = await town.client.info()
        assert not info.capabilities.hold
        assert info.node_key is None


async def test_a_wallet_that_tells_little_is_taken_at_its_word(autojump_clock: MockClock) -> None:
    async with scene(methods="pay_invoice make_invoice lookup_invoice get_balance") as town:
        info = await town.client.info()
        assert (info.network, info.node_key) == (Network.REGTEST, None)
        assert "stay unseen" in info.warning
        assert town.wallet.asked == []


async def test_a_wallet_of_another_network_is_refused(autojump_clock: MockClock) -> None:
    async with scene() as town:
        for name in ("mainnet", "bitcoin", "moonnet"):
            town.wallet.says["get_info"] = {"result": {"network": name}}
            with pytest.raises(Misconfigured, match=f"is on {name}, and this node on regtest"):
                await town.client.info()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("RATE_LIMITED", WalletUnavailable),
        ("INTERNAL", WalletUnavailable),
        ("OTHER", WalletUnavailable),
        ("SOMETHING_NEW", WalletUnavailable),
        ("NOT_IMPLEMENTED", Misconfigured),
        ("RESTRICTED", Misconfigured),
        ("UNAUTHORIZED", Misconfigured),
        ("QUOTA_EXCEEDED", Misconfigured),
        ("INSUFFICIENT_BALANCE", Misconfigured),
        ("UNSUPPORTED_ENCRYPTION", Misconfigured),
    ],
)
async def test_a_refusal_is_passed_on_as_what_to_do_about_it(
    autojump_clock: MockClock, code: str, error: type[Exception]
) -> None:
    async with scene() as town:
        town.wallet.says["get_balance"] = refusal(code, "because")
        with pytest.raises(error, match=rf"because \({code}\)"):
            await town.client.balance()


# Paying


async def test_a_payment_is_looked_up_before_it_is_asked_for(autojump_clock: MockClock) -> None:
    async with scene() as town:
        town.wallet.says = {"lookup_invoice": tx("settled")}
        assert await pay(town) == SETTLED
        assert town.wallet.count("pay_invoice") == 0


async def test_a_success_without_its_fee_is_completed(autojump_clock: MockClock) -> None:
    """Electrum's answer has the preimage alone."""
    async with scene() as town:
        lookups = iter([NOT_FOUND, tx("settled")])
        town.wallet.says = {
            "lookup_invoice": lambda _: next(lookups),
            "pay_invoice": {"result": {"preimage": PREIMAGE}},
        }
        assert await pay(town) == SETTLED


async def test_a_success_without_its_proof_is_none(autojump_clock: MockClock) -> None:
    async with scene() as town:
        wrong = "33" * 32
        town.wallet.says = {
            "lookup_invoice": lambda _: (
                tx("settled", preimage=wrong) if town.wallet.count("pay_invoice") else NOT_FOUND
            ),
            "pay_invoice": {"result": {"preimage": wrong, "fees_paid": 0}},
        }
        assert await pay(town) == PaymentInFlight(HASH)
        assert await town.client.payment(HASH) == PaymentInFlight(HASH)
        assert town.wallet.count("pay_invoice") == 1


async def test_silence_is_no_failure_and_is_not_paid_again(autojump_clock: MockClock) -> None:
    async with scene() as town:
        town.wallet.says = {"lookup_invoice": NOT_FOUND}
        assert await pay(town, 10.0) == PaymentInFlight(HASH)
        assert await town.client.payment(HASH) == PaymentInFlight(HASH)  # it may yet be begun
        (request,) = [
            r
            for r, (m, _) in zip(town.wallet.requests, town.wallet.asked, strict=True)
            if m == "pay_invoice"
        ]
        void_at = int(request.tag("expiration") or "")
        assert void_at <= request.created_at + 10

        town.clock.jump(45)
        assert town.clock.now() > void_at
        assert await town.client.payment(HASH) is None  # now it is too late for that
        assert town.wallet.count("pay_invoice") == 1


async def test_an_answer_that_is_lost_is_found_while_waiting(autojump_clock: MockClock) -> None:
    async with scene() as town:
        town.wallet.says = {
            "lookup_invoice": lambda _: (
                tx("settled") if town.wallet.count("pay_invoice") else NOT_FOUND
            )
        }
        assert await pay(town) == SETTLED
        assert trio.current_time() < 5


async def test_the_failure_of_an_earlier_try_is_not_that_of_this_one(
    autojump_clock: MockClock,
) -> None:
    async with scene() as town:
        states = iter(["failed", "failed", "pending", "settled"])
        town.wallet.says = {"lookup_invoice": lambda _: tx(next(states))}
        assert await pay(town) == SETTLED
        assert town.wallet.count("pay_invoice") == 1


async def test_a_payment_in_flight_is_waited_for_and_not_begun_again(
    autojump_clock: MockClock,
) -> None:
    for end, outcome in (
        (tx("settled"), SETTLED),
        (tx("failed"), PaymentFailed(HASH, "the wallet says that the payment failed")),
    ):
        async with scene() as town:
            says = iter([tx("pending"), tx("pending"), end])
            town.wallet.says = {"lookup_invoice": partial(_next, says)}
            assert await pay(town) == outcome
            assert town.wallet.count("pay_invoice") == 0


def _next(says: Iterator[dict[str, Any]], _asked: Any) -> dict[str, Any]:
    return next(says)


async def test_a_payment_that_vanished_may_be_begun(autojump_clock: MockClock) -> None:
    async with scene() as town:
        says = iter([tx("pending"), NOT_FOUND])
        town.wallet.says = {"lookup_invoice": lambda _: next(says), "pay_invoice": PAID}
        assert await pay(town) == SETTLED


@pytest.mark.parametrize(
    "code",
    [
        "INSUFFICIENT_BALANCE",
        "QUOTA_EXCEEDED",
        "RATE_LIMITED",
        "RESTRICTED",
        "UNAUTHORIZED",
        "NOT_IMPLEMENTED",
        "UNSUPPORTED_ENCRYPTION",
        "PAYMENT_FAILED",
    ],
)
async def test_a_definite_refusal_is_a_failure_and_may_be_tried_again(
    autojump_clock: MockClock, code: str
) -> None:
    async with scene() as town:
        town.wallet.says = {"lookup_invoice": NOT_FOUND, "pay_invoice": refusal(code, "because")}
        assert await pay(town) == PaymentFailed(HASH, f"because ({code})")
        assert await town.client.payment(HASH) is None
        town.wallet.says["pay_invoice"] = PAID
        assert await pay(town) == SETTLED


async def test_already_paid_is_a_success_when_it_was_paid_by_us(autojump_clock: MockClock) -> None:
    """Electrum's PAYMENT_FAILED for an invoice it has paid."""
    async with scene() as town:
        lookups = iter([NOT_FOUND, tx("settled")])
        town.wallet.says = {
            "lookup_invoice": lambda _: next(lookups),
            "pay_invoice": refusal("PAYMENT_FAILED", "This invoice has been paid already"),
        }
        assert await pay(town) == SETTLED


@pytest.mark.parametrize("code", ["INTERNAL", "OTHER", "NOT_FOUND"])
async def test_a_vague_refusal_leaves_the_outcome_open(
    autojump_clock: MockClock, code: str
) -> None:
    async with scene() as town:
        town.wallet.says = {"lookup_invoice": NOT_FOUND, "pay_invoice": refusal(code)}
        with pytest.raises(WalletUnavailable, match="nobody knows"):
            await pay(town)
        town.wallet.says["lookup_invoice"] = tx("failed")
        assert isinstance(await pay(town), PaymentFailed)


async def test_a_wallet_that_cannot_look_up_is_not_paid_with(autojump_clock: MockClock) -> None:
    async with scene() as town:
        town.wallet.says = {"lookup_invoice": refusal("NOT_IMPLEMENTED"), "pay_invoice": PAID}
        with pytest.raises(WalletUnavailable, match="does not look up"):
            await pay(town)
        assert town.wallet.count("pay_invoice") == 0


async def test_only_what_fits_the_node_is_paid(autojump_clock: MockClock) -> None:
    async with scene() as town:
        for text in (bolt11(amount=None), bolt11(network=Network.MAINNET)):
            paid = await town.client.pay(text, max_fee=ZERO, deadline_seconds=5)
            assert isinstance(paid, PaymentFailed)
        with pytest.raises(BadInvoice):
            await town.client.pay("lnbc1x", max_fee=ZERO, deadline_seconds=5)
        assert town.wallet.asked == []


async def test_an_invoice_of_ours_is_no_payment_of_ours(autojump_clock: MockClock) -> None:
    async with scene() as town:
        town.wallet.says = {"lookup_invoice": tx("settled", way="incoming")}
        assert await town.client.payment(HASH) is None
        town.wallet.says = {"lookup_invoice": tx("settled", payment_hash="ee" * 32)}
        assert await town.client.payment(HASH) is None
        assert await town.client.lookup(HASH) is None


# Being paid


async def make(town: Scene, **more: Any) -> Any:
    return await town.client.make_invoice(AMOUNT, description="a job", expiry_seconds=600, **more)


async def test_an_invoice_is_made_once_for_a_key(autojump_clock: MockClock) -> None:
    async with scene() as town:
        town.wallet.says = {"make_invoice": tx(way="incoming")}
        made = await make(town, idempotency_key="job 1")
        assert await make(town, idempotency_key="job 1") == made
        assert town.wallet.count("make_invoice") == 1
        assert (made.bolt11, made.payment_hash, made.amount) == (bolt11(), HASH, AMOUNT)
        assert (made.created_at, made.expires_at) == (NOW, NOW + 600)
        await make(town, idempotency_key="job 2")
        await make(town)
        assert town.wallet.count("make_invoice") == 3


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"invoice": None}, WalletUnavailable),
        ({"invoice": "lnbcrt1"}, WalletUnavailable),
        ({"invoice": bolt11(amount=Msat(1))}, WalletUnavailable),
        ({"payment_hash": "ee" * 32}, WalletUnavailable),
        ({"invoice": bolt11(network=Network.MAINNET)}, Misconfigured),
    ],
)
async def test_an_invoice_that_was_not_asked_for_is_not_taken(
    autojump_clock: MockClock, wrong: dict[str, Any], error: type[Exception]
) -> None:
    async with scene() as town:
        town.wallet.says = {"make_invoice": tx(way="incoming", **wrong)}
        with pytest.raises(error):
            await make(town)


async def test_what_was_made_before_is_a_hold_invoice_again_if_it_is_the_same(
    autojump_clock: MockClock,
) -> None:
    """Other wallets refuse a payment hash they have seen."""
    async with scene(methods=HOLD) as town:
        town.wallet.says = {
            "make_hold_invoice": refusal("OTHER", "duplicate"),
            "lookup_invoice": tx("pending", way="incoming"),
        }

        async def hold(amount: Msat) -> Any:
            return await town.client.make_hold_invoice(
                HASH, amount, description="a job", expiry_seconds=600, hold_seconds=1_201
            )

        assert (await hold(AMOUNT)).bolt11 == bolt11()
        (_, asked), *_ = town.wallet.asked
        assert asked["min_cltv_expiry_delta"] == 18 + 3
        with pytest.raises(WalletUnavailable, match="duplicate"):
            await hold(Msat(AMOUNT + 1))
        town.wallet.says["lookup_invoice"] = NOT_FOUND
        with pytest.raises(WalletUnavailable, match="duplicate"):
            await hold(AMOUNT)


async def test_where_nothing_can_be_held_nothing_is(autojump_clock: MockClock) -> None:
    async with scene() as town:
        for order in (
            town.client.make_hold_invoice(
                HASH, AMOUNT, description="", expiry_seconds=1, hold_seconds=1
            ),
            town.client.settle_hold(PREIMAGE),
            town.client.cancel_invoice(HASH),
        ):
            with pytest.raises(Misconfigured):
                await order
        with pytest.raises(Misconfigured):
            await make(town, preimage=PREIMAGE)
        assert town.wallet.asked == []


async def test_settling_that_is_refused_while_the_money_is_held_is_tried_again(
    autojump_clock: MockClock,
) -> None:
    async with scene(methods=HOLD) as town:
        town.wallet.says = {
            "settle_hold_invoice": refusal("OTHER", "busy"),
            "lookup_invoice": tx("accepted", way="incoming"),
        }
        with pytest.raises(WalletUnavailable, match="busy"):
            await town.client.settle_hold(PREIMAGE)
        town.wallet.says["lookup_invoice"] = tx("failed", way="incoming")
        assert (await town.client.settle_hold(PREIMAGE)).state is InvoiceState.CANCELLED
        town.wallet.says = {"cancel_hold_invoice": {"result": None}, "lookup_invoice": NOT_FOUND}
        with pytest.raises(Misconfigured, match="never made"):
            await town.client.cancel_invoice(HASH)


async def test_a_deadline_in_blocks_becomes_an_early_time(autojump_clock: MockClock) -> None:
    async with scene(methods=HOLD) as town:
        town.wallet.says = {
            "lookup_invoice": tx("accepted", way="incoming", settle_deadline=844_006),
            "get_info": {"result": {"network": "regtest", "block_height": 844_000}},
        }
        status = await town.client.lookup(HASH)
        assert status is not None
        assert status.settle_deadline == int(town.clock.now()) + 6 * 300
        assert status.paid == AMOUNT

        town.clock.jump(60)  # blocks that came later do not move it
        assert await town.client.lookup(HASH) == status
    async with scene(methods=HOLD) as town:
        town.wallet.says = {
            "lookup_invoice": tx("accepted", way="incoming", settle_deadline=844_006),
            "get_info": {"result": {}},
        }
        status = await town.client.lookup(HASH)
        assert status is not None
        assert status.settle_deadline is None


# Watching


async def test_a_notification_is_told_at_once_in_either_encryption(
    autojump_clock: MockClock,
) -> None:
    for spoken, kind, other in (("nip44_v2 nip04", 23197, 23196), ("nip04", 23196, 23197)):
        async with scene(encryption=spoken, notifications="payment_received") as town:
            town.wallet.says["list_transactions"] = {"result": {"transactions": []}}
            async with town.client.watch(after=0) as watch:
                with trio.move_on_after(1):
                    await anext(watch)
                news = {
                    "notification_type": "payment_received",
                    "notification": tx("settled", way="incoming")["result"],
                }
                began = trio.current_time()
                await town.wallet.notify(other, news)
                await town.wallet.notify(kind, news)
                (told,) = await take(watch, 1)
                assert (told.payment_hash, told.state) == (HASH, InvoiceState.SETTLED)
                assert (told.paid, told.cursor) == (AMOUNT, NOW + 5)
                assert trio.current_time() == began
                with trio.move_on_after(3) as nothing_more:
                    await anext(watch)
                assert nothing_more.cancelled_caught


@pytest.mark.parametrize("notifications", ["", "payment_received hold_invoice_accepted"])
async def test_a_notification_that_is_lost_is_made_up_for(
    autojump_clock: MockClock, notifications: str
) -> None:
    async with scene(notifications=notifications) as town:
        town.wallet.says = {
            "list_transactions": {"result": {"transactions": []}},
            "make_invoice": tx(way="incoming"),
            "lookup_invoice": tx("pending", way="incoming"),
        }
        async with town.client.watch(after=0) as watch:
            await make(town)
            with trio.move_on_after(8):
                await anext(watch)
            town.wallet.says["lookup_invoice"] = tx("settled", way="incoming")
            with trio.fail_after(40):
                told = await anext(watch)
        assert told.state is InvoiceState.SETTLED


async def test_an_invoice_that_is_long_past_is_looked_at_no_more(autojump_clock: MockClock) -> None:
    async with scene() as town:
        town.wallet.says = {
            "list_transactions": {"result": {"transactions": []}},
            "make_invoice": tx(way="incoming"),
            "lookup_invoice": tx("pending", way="incoming"),
        }
        async with town.client.watch(after=0) as watch:
            await make(town)
            with trio.move_on_after(5_000):
                await anext(watch)
            looked = town.wallet.count("lookup_invoice")
            with trio.move_on_after(1_000):
                await anext(watch)
        assert looked > 10
        assert town.wallet.count("lookup_invoice") == looked


@pytest.mark.parametrize("most", [1, 7, 20])
async def test_the_list_is_read_to_its_end_however_little_comes_at_once(
    autojump_clock: MockClock, most: int
) -> None:
    """Some wallets give less than was asked for, and more come in while we read."""
    async with scene() as town:
        listed = [
            tx("settled", way="incoming", payment_hash=f"{n:064x}")["result"] for n in range(33)
        ]

        def page(asked: dict[str, Any]) -> dict[str, Any]:
            if town.wallet.count("list_transactions") % 3 == 0:
                listed.insert(0, tx("pending", way="incoming")["result"])
            start = asked.get("offset", 0)
            return {"result": {"transactions": listed[start : start + min(most, asked["limit"])]}}

        town.wallet.says = {"list_transactions": page, "lookup_invoice": tx("pending")}
        async with town.client.watch(after=0) as watch:
            wanted = {PaymentHash(f"{n:064x}"): InvoiceState.SETTLED for n in range(33)}
            assert len(await take_until(watch, wanted)) == 33


async def test_a_list_that_always_says_the_same_ends(autojump_clock: MockClock) -> None:
    async with scene() as town:
        same = {"result": {"transactions": [tx("settled", way="incoming")["result"]]}}
        town.wallet.says = {"list_transactions": same}
        async with town.client.watch(after=0) as watch:
            assert (await anext(watch)).payment_hash == HASH
            with trio.move_on_after(60) as nothing_more:
                await anext(watch)
            assert nothing_more.cancelled_caught
        assert town.wallet.count("list_transactions") == 5


async def test_what_was_settled_long_before_the_cursor_is_not_told_again(
    autojump_clock: MockClock,
) -> None:
    async with scene() as town:
        settled = [
            tx("settled", way="incoming", payment_hash=f"{n:064x}", settled_at=NOW + n * 1_000)
            for n in range(10)
        ]
        page = iter([{"result": {"transactions": [one["result"] for one in settled]}}])
        empty: dict[str, Any] = {"result": {"transactions": []}}
        town.wallet.says = {"list_transactions": lambda _: next(page, empty)}
        async with town.client.watch(after=NOW + 8_000) as watch:
            told = await take(watch, 5)
        assert [status.cursor for status in told] == [NOW + n * 1_000 for n in range(5, 10)]
        (_, asked), *_ = town.wallet.asked
        assert asked["from"] == NOW + 8_000 - 86_400


async def test_a_wallet_without_a_list_is_watched_from_now_on(autojump_clock: MockClock) -> None:
    async with scene(methods="make_invoice lookup_invoice") as town:
        town.wallet.says = {
            "make_invoice": tx(way="incoming"),
            "lookup_invoice": tx("settled", way="incoming"),
        }
        await make(town)
        async with town.client.watch(after=0) as watch:
            assert (await anext(watch)).payment_hash == HASH


async def test_a_wallet_that_goes_away_ends_the_watch(autojump_clock: MockClock) -> None:
    async with scene() as town, town.client.watch(after=0) as watch:
        with pytest.raises(WalletUnavailable):
            await anext(watch)


async def test_a_list_that_is_refused_ends_the_watch(autojump_clock: MockClock) -> None:
    async with scene() as town:
        town.wallet.says["list_transactions"] = refusal("RESTRICTED")
        async with town.client.watch(after=0) as watch:
            with pytest.raises(Misconfigured, match="RESTRICTED"):
                await anext(watch)


async def test_what_the_wallet_sends_is_no_invoice_of_ours(autojump_clock: MockClock) -> None:
    async with scene(notifications="payment_received payment_sent") as town:
        listed = [
            tx("settled")["result"],
            tx("settled", way="incoming", payment_hash="11" * 32)["result"],
        ]
        pages = iter([{"result": {"transactions": listed}}])
        town.wallet.says["list_transactions"] = lambda _: next(
            pages, {"result": {"transactions": []}}
        )
        async with town.client.watch(after=0) as watch:
            (told,) = await take(watch, 1)
            assert told.payment_hash == "11" * 32
            for kind in ("payment_sent", "payment_received"):
                news = {"notification_type": kind, "notification": tx("settled")["result"]}
                await town.wallet.notify(23197, news)
            with trio.move_on_after(3) as nothing_more:
                await anext(watch)
            assert nothing_more.cancelled_caught


# History


async def test_the_past_is_read_page_by_page(autojump_clock: MockClock) -> None:
    async with scene() as town:
        listed = [
            tx("settled", payment_hash=f"{n:064x}", created_at=NOW - n)["result"] for n in range(50)
        ]

        def page(asked: dict[str, Any]) -> dict[str, Any]:
            assert asked["limit"] <= 20
            start = asked.get("offset", 0)
            return {"result": {"transactions": listed[start : start + asked["limit"]]}}

        town.wallet.says["list_transactions"] = page
        told = await town.client.history(limit=45)
        assert [entry.payment_hash for entry in told] == [f"{n:064x}" for n in range(45)]
        assert len(await town.client.history(limit=99)) == 50
        assert (told[0].fee, told[0].state, told[0].at) == (FEE, "settled", NOW + 5)


# Secrets


async def test_the_secret_is_in_no_log_and_in_no_repr(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with scene() as town:
        town.wallet.says["get_balance"] = BALANCE
        await town.client.balance()
        town.relay.up = False
        town.relay.cut()
        with pytest.raises(WalletUnavailable) as away:
            await town.client.balance()
        shown = f"{away.value!r} {town.client!r} {town.client._session!r}"
    assert caplog.records
    assert SECRET not in shown + caplog.text
