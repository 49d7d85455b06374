"""Our wallet client against Alby's wallet service, which asks a ledger of ours what to answer."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
from attrs import define, field, frozen

from pylon.adapters.clock import SystemClock
from pylon.adapters.lightning.ledger.opening import open_ledger
from pylon.adapters.lightning.ledger.wallet import LedgerWallet
from pylon.adapters.lightning.nwc import open_nwc
from pylon.adapters.lightning.nwc.wallet import NwcWallet
from pylon.adapters.websocket import dial_websocket
from pylon.errors import WalletUnavailable
from pylon.model.ids import EventId, PaymentHash, RelayUrl
from pylon.model.money import Msat, Network
from pylon.model.wallet import InvoiceState, PaymentFailed, PaymentResult, PaymentSettled
from pylon.services.nwc_service.requests import Requests
from pylon.wire.nwc.payloads import BadRequest, Notification, Refusal, read_request, write_response
from pylon.wire.nwc.uri import WalletUri, write_uri
from pylon.wire.secp import KeyPair
from tests.adapters.wallet_contract import AMOUNT, ENOUGH, FUNDS, UNKNOWN, take_until
from tests.integration.market import Market, Process
from tests.integration.nwc.programs import FOLDER

WALLET, CLIENT = b"\x31" * 32, b"\x32" * 32


@frozen
class Spending:
    """Pays without a budget."""

    wallet: LedgerWallet

    async def pay(
        self, text: str, payment_hash: PaymentHash, amount: Msat, *, seconds: float
    ) -> PaymentResult:
        del payment_hash
        return await self.wallet.pay(text, max_fee=amount, deadline_seconds=seconds)

    async def settle(self) -> None:
        await trio.lowlevel.checkpoint()


@define(eq=False)
class Alby:
    """Alby's service, our client of it, the ledger behind it, and somebody to trade with."""

    process: Process
    ledger: LedgerWallet
    shop: LedgerWallet
    client: NwcWallet
    asked: list[str] = field(factory=list)
    silent: bool = False  # does what it is asked, and does not say so

    async def answer(self) -> None:
        info = await self.ledger.info()
        requests = Requests(
            self.ledger, Spending(self.ledger), SystemClock(), info, "alby", _nobody
        )
        while True:
            asked = await self.process.read()
            self.asked.append(asked["method"])
            try:
                request = read_request(json.dumps(asked))
            except BadRequest as fault:
                method, result = fault.method, fault.refusal
                await self.process.tell(json.loads(write_response(method, result)))
                continue
            method, done = await requests.answer(request, EventId(f"{len(self.asked)}"))
            if self.silent and not isinstance(done, Refusal):
                self.silent = False
                done = Refusal("INTERNAL", "the answer was lost")
            await self.process.tell(json.loads(write_response(method, done)))


async def _nobody(_told: Notification) -> None:
    await trio.lowlevel.checkpoint()


@asynccontextmanager
async def alby(market: Market, node: str) -> AsyncGenerator[Alby, None]:
    await market.serve_relay()
    process = await market.launch(
        node, str(FOLDER / "alby_service.mjs"), market.relay_url, told=True
    )
    await process.tell({"wallet": WALLET.hex(), "client": KeyPair(CLIENT).public_key})
    assert await process.read() == {"ready": True}
    uri = WalletUri(KeyPair(WALLET).public_key, (RelayUrl(market.relay_url),), CLIENT.hex())
    clock = SystemClock()
    async with (
        open_ledger(market.ledger, KeyPair(b"\x41" * 32), clock=clock) as ledger,
        open_ledger(market.ledger, KeyPair(b"\x42" * 32), clock=clock) as shop,
        open_nwc(
            write_uri(uri), network=Network.REGTEST, dial=dial_websocket, clock=clock
        ) as client,
        trio.open_nursery() as nursery,
    ):
        await ledger.fund(FUNDS)
        await shop.fund(FUNDS)
        it = Alby(process, ledger, shop, client)
        nursery.start_soon(it.answer)
        yield it
        nursery.cancel_scope.cancel("the test is over")


async def test_our_client_pays_and_is_paid_through_albys_service(market: Market, node: str) -> None:
    async with alby(market, node) as it:
        info = await it.client.info()
        assert info.network is Network.REGTEST
        assert not info.capabilities.hold  # that service knows none
        assert await it.client.balance() == FUNDS

        bill = await it.shop.make_invoice(AMOUNT, description="tea", expiry_seconds=600)
        paid = await it.client.pay(bill.bolt11, max_fee=ENOUGH, deadline_seconds=30)
        assert isinstance(paid, PaymentSettled)
        assert paid == await it.client.payment(bill.payment_hash)
        assert await it.client.pay(bill.bolt11, max_fee=ENOUGH, deadline_seconds=30) == paid
        assert it.asked.count("pay_invoice") == 1
        assert await it.client.payment(UNKNOWN) is None

        made = await it.client.make_invoice(AMOUNT, description="for us", expiry_seconds=600)
        async with it.client.watch(after=0) as watch:
            await it.shop.pay(made.bolt11, max_fee=ENOUGH, deadline_seconds=30)
            told = await take_until(watch, {made.payment_hash: InvoiceState.SETTLED})
        assert told[-1].paid == AMOUNT
        past = await it.client.history(limit=10)
        assert sorted(entry.direction.value for entry in past) == ["incoming", "outgoing"]


async def test_a_refusal_of_albys_service_is_a_failure_and_a_lost_answer_is_none(
    market: Market, node: str
) -> None:
    async with alby(market, node) as it:
        dear = await it.shop.make_invoice(FUNDS, description="dear", expiry_seconds=600)
        failed = await it.client.pay(dear.bolt11, max_fee=ENOUGH, deadline_seconds=30)
        assert isinstance(failed, PaymentFailed)

        bill = await it.shop.make_invoice(AMOUNT, description="tea", expiry_seconds=600)
        it.silent = True
        try:
            told = await it.client.pay(bill.bolt11, max_fee=ENOUGH, deadline_seconds=30)
        except WalletUnavailable:
            told = await it.client.pay(bill.bolt11, max_fee=ENOUGH, deadline_seconds=30)
        assert isinstance(told, PaymentSettled)
        assert await it.shop.balance() == FUNDS + AMOUNT
        assert it.asked.count("pay_invoice") == 2
