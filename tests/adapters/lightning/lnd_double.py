"""A double of lnd's REST interface over the memory ledger: strict in what it takes, and in its shapes.

It is no lnd: it has no channels, and blocks that come every 600 s. What it does is what lnd v0.21
was read to do: see the names of the messages and errors.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import trio
from attrs import define, evolve, field

from pylon.adapters.lightning.ledger import invoices as rows
from pylon.adapters.lightning.ledger.settlement import Terms
from pylon.adapters.lightning.ledger.wallet import LedgerWallet
from pylon.adapters.memory.clock import MemoryClock
from pylon.errors import BadInvoice, Misconfigured
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.money import Msat
from pylon.model.wallet import (
    InvoiceState,
    PaymentFailed,
    PaymentInFlight,
    PaymentSettled,
)
from pylon.wire.bolt11 import decode
from tests.adapters.lightning.https_double import Asked, Reply
from tests.adapters.lightning.lnd_shapes import (
    EXISTS,
    NOT_FOUND,
    STATUS,
    UNKNOWN_CODE,
    Added,
    AddHold,
    AddInvoice,
    CancelInvoice,
    GrpcError,
    SendPayment,
    Sent,
    SettleHold,
    b64,
    body_of,
    from_base64url,
    from_hex,
    hash_of,
    shown_invoice,
    shown_payment,
)
from tests.adapters.wallet_contract import HOLD_SECONDS
from tests.macaroons import bake

BLOCK_SECONDS = 600
HEIGHT = 800_000  # when the town is made
GUARD_BLOCKS = 18  # invoices.holdexpirydelta
TERMS = Terms(hold_seconds=9 * BLOCK_SECONDS)  # as long as the adapter asks a hold to last
BAKED = ("info:read", "invoices:read", "invoices:write", "offchain:read", "offchain:write")


@define
class LndNode:
    """One node: its wallet in the ledger, and what lnd keeps beside."""

    wallet: LedgerWallet
    clock: MemoryClock
    nursery: trio.Nursery
    macaroon: bytes = field(factory=lambda: bake(*BAKED))
    allowed: tuple[str, ...] = BAKED
    locked: bool = False
    network: str = "regtest"
    lose_next: bool = False
    refuses: dict[str, tuple[int, str]] = field(factory=dict)  # by path: a code and a message
    built_with: tuple[str, ...] = ("invoicesrpc",)
    mute: bool = False  # its streams of invoices have nothing to say
    stopping: bool = False  # its streams end
    asked: list[Asked] = field(factory=list)
    invoices: dict[PaymentHash, Added] = field(factory=dict)
    payments: dict[PaymentHash, Sent] = field(factory=dict)
    settled: int = 0
    _cursor: int = 0
    _born: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._born = self.clock.now()

    @property
    def height(self) -> int:
        return self._height_at(self.clock.now())

    # --- HTTP

    async def answer(self, asked: Asked) -> Reply | None:
        self.asked.append(asked)
        try:
            self._check(asked)
            return await self._route(asked)
        except GrpcError as error:
            is_stream = "/subscribe" in asked.path or "/router/" in asked.path
            body = {"error": error.body} if is_stream else error.body
            return Reply(body, STATUS[error.code])

    def _check(self, asked: Asked) -> None:
        if asked.path in self.refuses:
            raise GrpcError(*self.refuses[asked.path])
        if self.locked:
            raise GrpcError(UNKNOWN_CODE, "wallet locked, unlock it to enable full RPC access")
        shown = asked.headers.get("grpc-metadata-macaroon")
        if shown is None:
            raise GrpcError(UNKNOWN_CODE, "expected 1 macaroon, got 0")
        if asked.path.startswith("/v2/invoices/") and "invoicesrpc" not in self.built_with:
            raise GrpcError(NOT_FOUND, "Not Found")
        if shown != self.macaroon.hex():
            raise GrpcError(
                UNKNOWN_CODE, "verification failed: signature mismatch after caveat verification"
            )

    def _permit(self, power: str) -> None:
        if power not in self.allowed:
            raise GrpcError(UNKNOWN_CODE, "permission denied")

    async def _route(self, asked: Asked) -> Reply | None:  # noqa: C901, PLR0911 - a table of paths
        match asked.method, asked.path.strip("/").split("/"):
            case "GET", ["v1", "getinfo"]:
                self._permit("info:read")
                return Reply(self._info())
            case "GET", ["v1", "balance", "channels"]:
                self._permit("offchain:read")
                return Reply(await self._balance())
            case "GET", ["v1", "invoices"]:
                self._permit("invoices:read")
                return Reply(await self._list(asked.query))
            case "GET", ["v1", "invoice", text]:
                self._permit("invoices:read")
                return Reply(await self._one(from_hex(text)))
            case "GET", ["v1", "invoices", "subscribe"]:
                self._permit("invoices:read")
                return Reply(lines=self._subscribe(int(asked.query.get("settle_index", "0"))))
            case "GET", ["v2", "invoices", "subscribe", text]:
                self._permit("invoices:read")
                return Reply(lines=self._subscribe_one(from_base64url(text)))
            case "GET", ["v1", "payments"]:
                self._permit("offchain:read")
                return Reply(self._payments(asked.query))
            case "GET", ["v2", "router", "track", text]:
                self._permit("offchain:read")
                sent = self.payments.get(from_base64url(text))
                if sent is None:
                    raise GrpcError(NOT_FOUND, "payment isn't initiated")
                quiet = asked.query.get("no_inflight_updates") == "true"
                return Reply(lines=self._track(sent, quiet=quiet))
            case "POST", ["v2", "router", "send"]:
                self._permit("offchain:write")
                return await self._send(body_of(asked, SendPayment))
            case "POST", ["v1", "invoices"]:
                self._permit("invoices:write")
                return Reply(await self._add(body_of(asked, AddInvoice)))
            case "POST", ["v2", "invoices", what]:
                self._permit("invoices:write")
                return Reply(await self._hold(what, asked))
        raise GrpcError(NOT_FOUND, "Not Found")

    # --- invoices

    async def _add(self, order: AddInvoice) -> dict[str, Any]:
        preimage = order.r_preimage.hex() or None
        made = await self._issue(
            order.value_msat,
            lambda: self.wallet.make_invoice(
                Msat(order.value_msat),
                description=order.memo,
                expiry_seconds=order.expiry,
                preimage=None if preimage is None else Preimage(preimage),
            ),
            None if preimage is None else hash_of(preimage),
        )
        row = await self._read(lambda db: rows.find(db, made))
        assert row is not None
        assert row.preimage is not None
        added = self._remember(row, order.cltv_expiry, order.memo, row.preimage)
        return {
            "r_hash": b64(made),
            "payment_request": row.bolt11,
            "add_index": str(added.add_index),
            "payment_addr": b64("00" * 32),
        }

    async def _hold(self, what: str, asked: Asked) -> dict[str, Any]:
        match what:
            case "hodl":
                return await self._add_hold(body_of(asked, AddHold))
            case "settle":
                return await self._settle(body_of(asked, SettleHold).preimage)
            case "cancel":
                return await self._cancel(body_of(asked, CancelInvoice).payment_hash)
        raise GrpcError(NOT_FOUND, "Not Found")

    async def _add_hold(self, order: AddHold) -> dict[str, Any]:
        payment_hash = PaymentHash(order.hash.hex())
        until_cancelled = (order.cltv_expiry - GUARD_BLOCKS) * BLOCK_SECONDS
        assert until_cancelled == TERMS.hold_seconds, "the ledger below holds for that long"
        await self._issue(
            order.value_msat,
            lambda: self.wallet.make_hold_invoice(
                payment_hash,
                Msat(order.value_msat),
                description=order.memo,
                expiry_seconds=order.expiry,
                hold_seconds=HOLD_SECONDS,
            ),
            payment_hash,
        )
        row = await self._read(lambda db: rows.find(db, payment_hash))
        assert row is not None
        added = self._remember(row, order.cltv_expiry, order.memo, "")
        return {"payment_request": row.bolt11, "add_index": str(added.add_index)}

    async def _issue(
        self,
        value: int,
        make: Callable[[], Awaitable[Any]],
        payment_hash: PaymentHash | None,
    ) -> PaymentHash:
        if payment_hash in self.invoices:
            raise GrpcError(UNKNOWN_CODE, "invoice with payment hash already exists")
        if not value:
            raise GrpcError(UNKNOWN_CODE, "amountless invoices are not for this double")
        try:
            made = await make()
        except Misconfigured:  # another node's: a real one could not know
            raise GrpcError(UNKNOWN_CODE, "invoice with payment hash already exists") from None
        return PaymentHash(made.payment_hash)

    def _remember(self, row: Any, cltv: int, memo: str, preimage: str) -> Added:
        added = Added(
            payment_hash=row.payment_hash,
            add_index=len(self.invoices) + 1,
            bolt11=row.bolt11,
            preimage=preimage,
            cltv_expiry=cltv,
            memo=memo,
            value=row.amount,
            created=row.created_at,
            expiry=row.expires_at - row.created_at,
        )
        self.invoices[added.payment_hash] = added
        return added

    async def _settle(self, preimage: bytes) -> dict[str, Any]:
        found = await self._find(hash_of(preimage.hex()))
        match found.state:
            case InvoiceState.OPEN:
                raise GrpcError(UNKNOWN_CODE, "invoice still open")
            case InvoiceState.CANCELLED | InvoiceState.EXPIRED:
                raise GrpcError(UNKNOWN_CODE, "invoice already canceled")
            case InvoiceState.ACCEPTED:
                await self.wallet.settle_hold(Preimage(preimage.hex()))
        return {}

    async def _cancel(self, payment_hash: bytes) -> dict[str, Any]:
        found = await self._find(PaymentHash(payment_hash.hex()))
        if found.state is InvoiceState.SETTLED:
            raise GrpcError(UNKNOWN_CODE, "invoice already settled")
        await self.wallet.cancel_invoice(found.payment_hash)
        return {}

    async def _find(self, payment_hash: PaymentHash) -> Added:
        await self._catch_up()
        found = self.invoices.get(payment_hash)
        if found is None:
            raise GrpcError(NOT_FOUND, "unable to locate invoice")
        return self._at_this_time(found)

    def _at_this_time(self, one: Added) -> Added:
        expired = self.clock.now() > one.created + one.expiry
        is_late = one.state is InvoiceState.OPEN and expired
        return evolve(one, state=InvoiceState.EXPIRED) if is_late else one

    async def _one(self, payment_hash: PaymentHash) -> dict[str, Any]:
        return self._shown(await self._find(payment_hash))

    async def _list(self, query: Any) -> dict[str, Any]:
        await self._catch_up()
        known = [self._at_this_time(one) for one in self.invoices.values()]
        if query.get("pending_only") == "true":
            known = [one for one in known if one.state in (InvoiceState.OPEN, "accepted")]
        since = int(query.get("creation_date_start", "0"))
        known = [one for one in known if one.created >= since]
        offset, limit = int(query.get("index_offset", "0")), int(query["num_max_invoices"])
        if query.get("reversed") == "true":
            known = [one for one in known if not offset or one.add_index < offset][-limit:]
        else:
            known = [one for one in known if one.add_index > offset][:limit]
        ends = (known[0].add_index, known[-1].add_index) if known else (0, 0)
        return {
            "invoices": [self._shown(one) for one in known],
            "first_index_offset": str(ends[0]),
            "last_index_offset": str(ends[1]),
        }

    def _shown(self, one: Added) -> dict[str, Any]:
        return shown_invoice(one, accept_height=self._height_at(one.accepted_at or 0))

    def _height_at(self, when: float) -> int:
        return HEIGHT + int(when - self._born) // BLOCK_SECONDS

    async def _subscribe(self, since: int) -> AsyncGenerator[dict[str, Any], None]:
        """Tell of what is added and settled, in order; no word of what is accepted or cancelled."""
        if self.mute:
            await trio.sleep_forever()
        await self._catch_up()
        told_settled = since or self.settled  # index 0: nothing of the past
        told_added = len(self.invoices)
        while not self.stopping:
            version = self.wallet._desk.version()
            await self._catch_up()
            for one in [one for one in self.invoices.values() if one.add_index > told_added]:
                told_added = one.add_index
                yield {"result": self._shown(evolve(one, state=InvoiceState.OPEN))}
            news = [one for one in self.invoices.values() if one.settle_index > told_settled]
            for one in sorted(news, key=lambda one: one.settle_index):
                told_settled = one.settle_index
                yield {"result": self._shown(one)}
            await self.wallet._desk.news(version)

    async def _subscribe_one(
        self, payment_hash: PaymentHash
    ) -> AsyncGenerator[dict[str, Any], None]:
        told: InvoiceState | None = None
        if self.mute:
            await trio.sleep_forever()
        while True:
            version = self.wallet._desk.version()
            one = await self._find(payment_hash)
            if one.state is not told:
                told = one.state
                yield {"result": self._shown(one)}
            await self.wallet._desk.news(version)

    async def _catch_up(self) -> None:
        """Number what was settled, in its order."""
        account = self.wallet._account
        for change in await self._read(lambda db: rows.changes(db, account, self._cursor, 10_000)):
            self._cursor = change.cursor
            one = self.invoices[change.payment_hash]
            if change.state is InvoiceState.ACCEPTED:
                assert change.settle_deadline is not None
                at = change.settle_deadline - TERMS.hold_seconds
                one = evolve(one, accepted_at=at)
            if change.state is InvoiceState.SETTLED:
                self.settled += 1
                one = evolve(one, settle_index=self.settled)
            self.invoices[one.payment_hash] = evolve(one, state=change.state)

    async def _read(self, work: Callable[[Any], Any]) -> Any:
        return await self.wallet._desk.read(work)

    # --- payments

    async def _balance(self) -> dict[str, Any]:
        msat = await self.wallet.balance()
        amount = {"sat": str(msat // 1000), "msat": str(msat)}
        return {"balance": str(msat // 1000), "local_balance": amount, "unsettled": "0"}

    async def _send(self, order: SendPayment) -> Reply | None:
        try:
            invoice = decode(order.payment_request)
        except BadInvoice as error:
            raise GrpcError(UNKNOWN_CODE, f"invalid invoice: {error}") from None
        if order.payment_request != order.payment_request.lower() or invoice.amount is None:
            raise GrpcError(UNKNOWN_CODE, "not what this double is for")
        if invoice.payee == (await self.wallet.info()).node_key:
            raise GrpcError(UNKNOWN_CODE, "self-payments not allowed")
        if self.clock.now() > invoice.expires_at:
            raise GrpcError(UNKNOWN_CODE, f"invoice expired. Valid until {invoice.expires_at}")
        earlier = self.payments.get(invoice.payment_hash)
        if earlier is not None and isinstance(earlier.result, PaymentInFlight):
            raise GrpcError(EXISTS, "payment is in transition")
        if earlier is not None and isinstance(earlier.result, PaymentSettled):
            raise GrpcError(EXISTS, "invoice is already paid")
        sent = Sent(
            order.payment_request,
            int(self.clock.now() * 10**9),
            PaymentInFlight(invoice.payment_hash),
            invoice.amount,
            TERMS.fee(invoice.amount),
        )
        self.payments[invoice.payment_hash] = sent
        self.nursery.start_soon(self._pay, sent, Msat(order.fee_limit_msat))
        if self.lose_next:
            self.lose_next = False
            await sent.changed.wait()
            return None
        return Reply(lines=self._track(sent, quiet=order.no_inflight_updates))

    async def _pay(self, sent: Sent, limit: Msat) -> None:
        sent.result = await self.wallet.pay(
            sent.bolt11, max_fee=limit, deadline_seconds=float("inf")
        )
        if isinstance(sent.result, PaymentFailed):
            sent.fee = 0
        sent.changed.set()

    async def _track(self, sent: Sent, *, quiet: bool) -> AsyncGenerator[dict[str, Any], None]:
        if isinstance(sent.result, PaymentInFlight):
            if not quiet:
                yield {"result": shown_payment(sent)}
            await sent.changed.wait()
        yield {"result": shown_payment(sent)}

    def _payments(self, query: Any) -> dict[str, Any]:
        assert query["include_incomplete"] == "true"
        newest = list(self.payments.values())[-int(query["max_payments"]) :]
        return {"payments": [shown_payment(sent) for sent in newest], "first_index_offset": "0"}

    def _info(self) -> dict[str, Any]:
        return {
            "version": "0.21.2-beta",
            "identity_pubkey": self.wallet._key.node_key,
            "alias": "double",
            "block_height": self.height,
            "synced_to_chain": True,
            "chains": [{"chain": "bitcoin", "network": self.network}],
        }
