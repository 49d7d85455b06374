"""How many jobs are sold a second over a relay: `python -m benchmarks.trade`.

Relay, provider and customer are processes of their own, on loopback, with all their actors. The
customer of free jobs is a bare WebSocket client; that of paid jobs is a whole buyer.
"""

import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import trio
from attrs import define, field, frozen

from benchmarks.parts import CLOCK, CUSTOMER, PROVIDER, InstantBackend, config, request
from benchmarks.processes import Child, answer_parent, child, no_answer
from benchmarks.relay import Client, connect
from benchmarks.rows import Row, Size, show
from pylon.adapters.keys import LocalSigner
from pylon.adapters.lightning.ledger.opening import open_ledger
from pylon.adapters.lightning.ledger.wallet import LedgerWallet
from pylon.app.buyer import PROGRESS_SIZE, Buyer, BuyerParts, open_buyer
from pylon.app.provider import ProviderParts, serve_provider
from pylon.app.relays import Pool, open_pool
from pylon.app.store import Store, open_store
from pylon.config import Config
from pylon.core.order_machine import is_final
from pylon.core.order_mail import OrderChanged
from pylon.core.ordering import Wish, make_order
from pylon.model.event import Event
from pylon.model.ids import RelayUrl
from pylon.model.money import Network, PayMode, from_sats
from pylon.model.order import Done, Order
from pylon.ports.channels import drain
from pylon.wire import event as events
from pylon.wire import frames
from pylon.wire.frames import Found, Submit, encode
from pylon.wire.secp import KeyPair

HONEST_JOBS = 3_000
PAID_JOBS = 1_000
ROUNDS = 3
HONEST_DEPTH = 128  # jobs asked for and not yet answered
PAID_DEPTH = 128
PACED_JOBS = 500
PACE = 100  # jobs a second
NODES = {PROVIDER: KeyPair(b"\x05" * 32), CUSTOMER: KeyPair(b"\x06" * 32)}
FUNDS = from_sats(5_000_000)
INCLUDES = {
    PayMode.PREPAY: "request, offer, invoice, budget, payment on the ledger, work, result, receipt",
    PayMode.HOLD: "as prepay; the payment is held until a relay has the result",
    PayMode.LOCKED: "request, work, locked result with its invoice, budget, payment, opening",
    PayMode.HOLD_LOCKED: "as hold; the result is locked, and opened with the preimage",
}


# The processes


@frozen
class Party:
    """A home's resources, open."""

    store: Store
    wallet: LedgerWallet
    pool: Pool


@asynccontextmanager
async def open_party(
    name: str, signer: LocalSigner, port: str, folder: str
) -> AsyncGenerator[Party]:
    url, home = RelayUrl(f"ws://127.0.0.1:{port}"), Path(folder)
    async with (
        open_store(home / f"{name}.db") as store,
        open_ledger(home / "ledger.db", NODES[signer], clock=CLOCK) as wallet,
        open_pool((url,), signer=signer, cursors=store.cursors, clock=CLOCK) as pool,
    ):
        yield Party(store, wallet, pool)


async def provide(port: str, folder: str, mode: str) -> None:
    settings = config(paid=False) if mode == "free" else config(paid=True, mode=PayMode(mode))
    async with (
        open_party("provider", PROVIDER, port, folder) as party,
        trio.open_nursery() as nursery,
    ):
        backends = (InstantBackend(),)
        parts = ProviderParts(
            settings, PROVIDER, party.store, party.wallet, backends, party.pool, CLOCK
        )
        await nursery.start(partial(serve_provider, parts, stop=trio.Event()))
        await answer_parent("ready", no_answer)


async def ask(port: str) -> None:
    """Be the customer of free jobs."""
    settings = config(paid=False)
    async with connect(int(port)) as client:
        asker = Asker(client, settings)
        await asker.listen()

        async def answer(question: str) -> str:
            how, _, count = question.partition(" ")
            if how == "flood":
                return str(await asker.flood(int(count)))
            return " ".join(map(str, await asker.pace(int(count))))

        await answer_parent("ready", answer)


@define
class Asker:
    """Sends requests, and verifies every event that comes back."""

    client: Client
    settings: Config

    async def listen(self) -> None:
        asked = f'["REQ","a",{{"kinds":[6050,7000],"#p":["{CUSTOMER.public_key}"]}}]'
        await self.client.stream.send_all(self.client.pack(asked))
        await self.client.hear()

    async def flood(self, count: int) -> float:
        """Have some requests open at any time; return how many are answered a second."""
        packed = self._requests(count)
        sent = answered = 0
        began = time.perf_counter()
        while answered < count:
            if sent - answered <= HONEST_DEPTH // 2:
                await self.client.stream.send_all(b"".join(packed[sent : answered + HONEST_DEPTH]))
                sent = min(answered + HONEST_DEPTH, count)
            answered += len(await self._results())
        return count / (time.perf_counter() - began)

    async def pace(self, count: int) -> list[float]:
        """Send at a pace, whatever comes back; return the delays in milliseconds."""
        requests = [request(self.settings) for _ in range(count)]
        sent_at: dict[str, float] = {}
        delays: list[float] = []

        async def send() -> None:
            due = trio.current_time()
            for event in requests:
                due += 1 / PACE
                await trio.sleep_until(due)
                sent_at[event.id] = time.perf_counter()
                await self.client.stream.send_all(self.client.pack(encode(Submit(event))))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            while len(delays) < count:
                for result in await self._results():
                    asked = sent_at[result.tag("e") or ""]
                    delays.append((time.perf_counter() - asked) * 1e3)
        return delays

    def _requests(self, count: int) -> list[bytes]:
        return [self.client.pack(encode(Submit(request(self.settings)))) for _ in range(count)]

    async def _results(self) -> list[Event]:
        heard = [frames.decode_relay(text) for text in await self.client.hear()]
        found = [frame.event for frame in heard if isinstance(frame, Found)]
        for event in found:
            events.check(event)
        return [event for event in found if event.kind == 6050]


async def buy(port: str, folder: str, mode: str) -> None:
    """Be the buyer of paid jobs."""
    settings = config(paid=True, mode=PayMode(mode))
    async with open_party("buyer", CUSTOMER, port, folder) as party:
        await party.wallet.fund(FUNDS)
        parts = BuyerParts(settings, CUSTOMER, party.store, party.wallet, party.pool, CLOCK)
        async with open_buyer(parts, since=int(time.time())) as buyer:

            async def answer(count: str) -> float:
                return await buy_all(buyer, settings, int(count))

            await answer_parent("ready", answer)
        assert await party.wallet.audit() == []


async def buy_all(buyer: Buyer, settings: Config, count: int, *, depth: int = PAID_DEPTH) -> float:
    """Have so many orders open at any time; return how many are answered a second."""
    room = trio.Semaphore(depth)

    async def order() -> None:
        for _ in range(count):
            await room.acquire()
            await buyer.submit(_order(settings))

    began, left = time.perf_counter(), count
    async with trio.open_nursery() as nursery:
        nursery.start_soon(order)
        while left:
            first = await buyer.progress.receive()
            for item in drain(buyer.progress, first, limit=PROGRESS_SIZE):
                if isinstance(item, OrderChanged) and is_final(item.state):
                    assert isinstance(item.state, Done), item.state
                    assert item.state.preimage is not None
                    room.release()
                    left -= 1
    return count / (time.perf_counter() - began)


def _order(settings: Config) -> Order:
    wish = Wish("", provider=PROVIDER.public_key, auto_pay=True)
    now = int(time.time())
    return make_order(wish, request(settings), settings.buyer, network=Network.REGTEST, now=now)


# What is measured


@define
class Market:
    """The processes of one market."""

    relay: Child
    provider: Child
    customer: Child
    _before: tuple[float, ...] = field(default=(), init=False)

    def begin(self) -> None:
        self._before = self._cpu()

    def costs(self, count: int) -> tuple[float, ...]:
        """Return the CPU time of a job since `begin`, process by process, in microseconds."""
        pairs = zip(self._cpu(), self._before, strict=True)
        return tuple((now - before) / count * 1e6 for now, before in pairs)

    def _cpu(self) -> tuple[float, ...]:
        return tuple(party.cpu() for party in (self.relay, self.provider, self.customer))


@contextmanager
def market(mode: str) -> Generator[Market, None, None]:
    with tempfile.TemporaryDirectory() as folder, child("benchmarks.relay", "serve", "") as relay:
        port = relay.hello
        customer = ("ask", port) if mode == "free" else ("buy", port, folder, mode)
        with (
            child("benchmarks.trade", "provide", port, folder, mode) as provider,
            child("benchmarks.trade", *customer) as buyer,
        ):
            yield Market(relay, provider, buyer)


def measure(*, durable: float | None = None, ledger: float | None = None) -> list[Row | Size]:
    """Measure free and paid jobs; the limits are the same without a relay, and the ledger alone."""
    return [*_honest(durable), *[_paid(mode, ledger) for mode in INCLUDES]]


def _honest(limit: float | None) -> list[Row | Size]:
    with market("free") as parties:
        parties.customer.ask("flood 200")  # warm
        per_second, costs = _flood(parties, HONEST_JOBS, "flood {}")
        delays = sorted(map(float, parties.customer.ask(f"pace {PACED_JOBS}").split()))
    cuts = quantiles(delays, n=100)
    includes = "the durable job over one loopback relay, verified by the customer"
    paced = f"asked to heard, {PACE} jobs/s, the backend takes no time"
    return [
        Row("honest job", per_second, f"{costs}; {includes}", limit, 1_000),
        Size("honest job p50", cuts[49], "ms", paced, 10),
        Size("honest job p99", cuts[98], "ms", paced, 40),
    ]


def _paid(mode: PayMode, limit: float | None) -> Row:
    with market(mode) as parties:
        parties.customer.ask("50")  # warm
        per_second, costs = _flood(parties, PAID_JOBS, "{}")
    name = "paid job" if mode is PayMode.PREPAY else f"paid job, {mode}"
    target = 250 if mode is PayMode.PREPAY else 200
    return Row(name, per_second, f"{costs}; {INCLUDES[mode]}", limit, target)


def _flood(parties: Market, count: int, question: str) -> tuple[float, str]:
    """Return the median rate, and where the CPU time of a job goes."""
    parties.begin()
    rates = [float(parties.customer.ask(question.format(count // ROUNDS))) for _ in range(ROUNDS)]
    relay, provider, customer = parties.costs(count // ROUNDS * ROUNDS)
    costs = f"CPU µs: relay {relay:,.0f}, provider {provider:,.0f}, customer {customer:,.0f}"
    return median(rates), costs


ROLES: dict[str, Callable[..., Awaitable[None]]] = {"provide": provide, "ask": ask, "buy": buy}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        trio.run(ROLES[sys.argv[1]], *sys.argv[2:])
    else:
        show(measure())
