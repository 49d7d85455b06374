"""A wallet behind Nostr Wallet Connect, as a `Wallet`."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from attrs import define, field

from pylon.adapters.lightning.nwc.paying import Paying
from pylon.adapters.lightning.nwc.reading import (
    OUTGOING,
    hash_of,
    history_entry,
    invoice_status,
    network_of,
    our_invoice,
    refusal_error,
)
from pylon.adapters.lightning.nwc.session import Session
from pylon.adapters.lightning.nwc.watch import Book, Watch
from pylon.core.recent import Recent
from pylon.errors import BadInvoice, Misconfigured, WalletUnavailable
from pylon.model.ids import NodeKey, PaymentHash, Preimage
from pylon.model.money import Msat, Network
from pylon.model.wallet import (
    Capabilities,
    HistoryEntry,
    InvoiceState,
    InvoiceStatus,
    IssuedInvoice,
    PaymentResult,
    WalletInfo,
)
from pylon.ports.clock import Clock
from pylon.wire import hexes
from pylon.wire.nwc.payloads import (
    MOST_LISTED,
    Balance,
    CancelHoldInvoice,
    Done,
    ErrorCode,
    GetBalance,
    GetInfo,
    ListTransactions,
    LookupInvoice,
    MakeHoldInvoice,
    MakeInvoice,
    NodeInfo,
    Refusal,
    Request,
    SettleHoldInvoice,
    Transaction,
    Transactions,
)

T = TypeVar("T")

HOLD_METHODS = frozenset({"make_hold_invoice", "settle_hold_invoice", "cancel_hold_invoice"})
BLOCK_SECONDS = 600
FINAL_BLOCKS = 18  # that a payee needs at the end of a hold, on top of it
_KEYS = 4096  # idempotency keys whose invoices are remembered
_NODE_KEY_LENGTH = 33


@define(eq=False)
class NwcWallet:
    """See `ports.wallet.Wallet`. Fees are the wallet's own policy: `max_fee` does not reach it.

    NIP-47 has no idempotency key. The invoices of this process are remembered by theirs; where an
    answer was lost in a crash, the same key may make a second invoice. Only one of them is told to
    anybody, and the other one expires.
    """

    _session: Session
    _network: Network
    _clock: Clock
    _book: Book = field(factory=Book, init=False)
    _paying: Paying = field(init=False)
    _made: Recent[str, IssuedInvoice] = field(factory=lambda: Recent(_KEYS), init=False)

    def __attrs_post_init__(self) -> None:
        self._paying = Paying(self._session, self._network, self._clock)
        self._session.notified = self._book.notified
        self._session.resumed = self._book.resumed

    async def info(self) -> WalletInfo:
        able = await self._session.info()
        node = NodeInfo()
        if "get_info" in able.methods:
            node = await self._do(GetInfo(), NodeInfo)
        network = network_of(node.network or self._network)
        if network is not self._network:
            raise Misconfigured(
                f"the wallet is on {node.network}, and this node on {self._network}"
            )
        key = node.pubkey or ""
        methods = able.methods & set(node.methods) if node.methods else able.methods
        return WalletInfo(
            "nwc",
            network,
            NodeKey(key) if hexes.is_hex(key, _NODE_KEY_LENGTH) else None,
            Capabilities(hold=methods >= HOLD_METHODS, msat=True),
            _warning(methods),
        )

    async def balance(self) -> Msat:
        return Msat((await self._do(GetBalance(), Balance)).balance)

    async def make_invoice(
        self,
        amount: Msat,
        *,
        description: str,
        expiry_seconds: int,
        preimage: Preimage | None = None,
        idempotency_key: str | None = None,
    ) -> IssuedInvoice:
        if preimage is not None:
            raise Misconfigured("this wallet chooses the preimage of an ordinary invoice itself")
        _check_amount(amount)
        if idempotency_key is not None and (known := self._made.get(idempotency_key)):
            return known
        asked = MakeInvoice(amount, description=description, expiry=expiry_seconds)
        made = self._issued(await self._do(asked, Transaction), amount)
        if idempotency_key is not None:
            self._made.put(idempotency_key, made)
        return made

    async def make_hold_invoice(
        self,
        payment_hash: PaymentHash,
        amount: Msat,
        *,
        description: str,
        expiry_seconds: int,
        hold_seconds: int,
    ) -> IssuedInvoice:
        _check_amount(amount)
        await self._need_hold()
        asked = MakeHoldInvoice(
            amount,
            payment_hash,
            description=description,
            expiry=expiry_seconds,
            min_cltv_expiry_delta=FINAL_BLOCKS + -(-hold_seconds // BLOCK_SECONDS),
        )
        made = await self._session.call(asked, Transaction)
        if isinstance(made, Refusal):  # perhaps because it was made before
            known = await self._find(payment_hash)
            if known is None or known.amount != amount:
                raise refusal_error(made)
            made = known
        return self._issued(made, amount)

    async def settle_hold(self, preimage: Preimage) -> InvoiceStatus:
        await self._need_hold()
        return await self._end_hold(SettleHoldInvoice(preimage), hash_of(preimage))

    async def cancel_invoice(self, payment_hash: PaymentHash) -> InvoiceStatus:
        if "cancel_hold_invoice" not in (await self._session.info()).methods:
            raise Misconfigured("this wallet cannot withdraw an invoice: it expires by itself")
        return await self._end_hold(CancelHoldInvoice(payment_hash), payment_hash)

    async def lookup(self, payment_hash: PaymentHash) -> InvoiceStatus | None:
        found = await self._find(payment_hash)
        return None if found is None else await self._status(found)

    @asynccontextmanager
    async def watch(self, *, after: int) -> AsyncGenerator[AsyncIterator[InvoiceStatus], None]:
        watch = Watch(self._session, self._book, self._clock, self.lookup, self._status, after)
        with self._book.watched_by(watch):
            yield watch

    async def pay(self, bolt11: str, *, max_fee: Msat, deadline_seconds: float) -> PaymentResult:
        del max_fee  # not a capability of NIP-47's pay_invoice
        return await self._paying.pay(bolt11, deadline_seconds=deadline_seconds)

    async def payment(self, payment_hash: PaymentHash) -> PaymentResult | None:
        return await self._paying.outcome(payment_hash)

    async def history(self, *, limit: int) -> list[HistoryEntry]:
        entries = list[HistoryEntry]()
        while len(entries) < limit:
            page = ListTransactions(
                limit=min(MOST_LISTED, limit - len(entries)), offset=len(entries), unpaid=True
            )
            listed = (await self._do(page, Transactions)).transactions
            if not listed:
                break
            entries += [history_entry(tx, now=self._clock.now()) for tx in listed]
        return entries[:limit]

    async def _do(self, request: Request, wanted: type[T]) -> T:
        answer = await self._session.call(request, wanted)
        if isinstance(answer, Refusal):
            raise refusal_error(answer)
        return answer

    async def _need_hold(self) -> None:
        if not (await self._session.info()).methods >= HOLD_METHODS:
            raise Misconfigured("this wallet cannot hold payments")

    async def _find(self, payment_hash: PaymentHash) -> Transaction | None:
        """Look up an invoice of ours."""
        asked = LookupInvoice(payment_hash=payment_hash)
        found = await self._session.call(asked, Transaction)
        if isinstance(found, Refusal):
            if found.error is ErrorCode.NOT_FOUND:
                return None
            raise refusal_error(found)
        return None if found.type == OUTGOING or found.payment_hash != payment_hash else found

    async def _end_hold(self, request: Request, payment_hash: PaymentHash) -> InvoiceStatus:
        """Settle or cancel; where that is refused, what the invoice has come to is the answer."""
        refused = await self._session.call(request, Done)
        found = await self._find(payment_hash)
        if found is None:
            known = refusal_error(refused) if isinstance(refused, Refusal) else None
            raise known or Misconfigured("this wallet never made that invoice")
        status = await self._status(found)
        if isinstance(refused, Refusal) and status.state is InvoiceState.ACCEPTED:
            raise WalletUnavailable(str(refusal_error(refused)))
        return status

    def _issued(self, tx: Transaction, amount: Msat) -> IssuedInvoice:
        invoice = our_invoice(tx, amount, self._network)
        self._book.made(invoice.payment_hash, invoice.expires_at)
        return IssuedInvoice(
            bolt11=tx.invoice or "",
            payment_hash=invoice.payment_hash,
            amount=amount,
            created_at=invoice.created_at,
            expires_at=invoice.expires_at,
        )

    async def _status(self, tx: Transaction) -> InvoiceStatus:
        deadline = self._book.deadlines.get(PaymentHash(tx.payment_hash))
        if deadline is None and tx.settle_by is None and tx.settle_deadline is not None:
            deadline = await self._note_deadline(tx, tx.settle_deadline)
        return invoice_status(tx, now=self._clock.now(), deadline=deadline)

    async def _note_deadline(self, tx: Transaction, at_height: int) -> int | None:
        """Turn a block height into a time: an early one, for blocks may come quickly."""
        height = (await self._do(GetInfo(), NodeInfo)).block_height
        if height is None:
            return None
        seconds = max(0, at_height - height) * BLOCK_SECONDS // 2
        return self._book.note_deadline(tx, int(self._clock.now()) + seconds)


def _check_amount(amount: Msat) -> None:
    if amount <= 0:
        raise BadInvoice("an invoice asks for more than nothing")


def _warning(methods: frozenset[str]) -> str:
    if "list_transactions" in methods:
        return ""
    return (
        "this wallet lists no transactions: payments that come while the node is down stay unseen"
    )
