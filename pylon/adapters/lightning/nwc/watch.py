"""Telling what becomes of our invoices: notifications at once, and polling for what they miss."""

from collections import deque
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

from attrs import define, field

from pylon.adapters.lightning.nwc.reading import OUTGOING, refusal_error
from pylon.adapters.lightning.nwc.session import Session
from pylon.core.recent import Recent
from pylon.model.ids import PaymentHash
from pylon.model.wallet import InvoiceState, InvoiceStatus
from pylon.ports.channels import Hint
from pylon.ports.clock import Clock
from pylon.wire.nwc.payloads import (
    MOST_LISTED,
    ListTransactions,
    Notification,
    NotificationType,
    Refusal,
    Transaction,
    Transactions,
)

POLL_SECONDS = 3.0
NOTIFIED_POLL_SECONDS = 30.0  # where the wallet tells by itself, and a relay may lose what it tells
LIFE_SECONDS = 86_400  # an invoice may be paid so long after it was made
OVERLAP_SECONDS = 3_600  # what was settled so long before the cursor is told again
LATE_SECONDS = 3_600  # an open invoice is looked at so long after it has expired
_AT_ONCE = 1024
_STALE_PAGES = 4  # with nothing new: this wallet shows the same page whatever it is asked for
_HEARD = (NotificationType.PAYMENT_RECEIVED, NotificationType.HOLD_ACCEPTED)
_OPEN = (InvoiceState.OPEN, InvoiceState.ACCEPTED)


@define(eq=False)
class Book:
    """Our invoices that may still change, and by when a hold of ours must be decided."""

    open: dict[PaymentHash, int] = field(factory=dict)  # when each expires, in unix seconds
    deadlines: dict[PaymentHash, int] = field(factory=dict)  # unix seconds
    _watches: "list[Watch]" = field(factory=list)

    def made(self, payment_hash: PaymentHash, expires_at: int) -> None:
        """Look at an invoice from now on."""
        self.open[payment_hash] = expires_at

    def closed(self, payment_hash: PaymentHash) -> None:
        """Look at it no more."""
        self.open.pop(payment_hash, None)
        self.deadlines.pop(payment_hash, None)

    def note_deadline(self, tx: Transaction, when: int) -> int:
        """Remember by when a hold must be decided: what was said first holds."""
        return self.deadlines.setdefault(PaymentHash(tx.payment_hash), when)

    @contextmanager
    def watched_by(self, watch: "Watch") -> Generator[None]:
        """Tell `watch` what happens until the block is left."""
        self._watches.append(watch)
        try:
            yield
        finally:
            self._watches.remove(watch)

    def notified(self, notification: Notification) -> None:
        """Pass on what the wallet tells of an invoice."""
        if notification.notification_type in _HEARD:
            for watch in self._watches:
                watch.tell(notification.notification)

    def resumed(self) -> None:
        """Notifications may have been missed: let everybody look."""
        for watch in self._watches:
            watch.look()


@define(eq=False)
class Watch:
    """Every change of our invoices since a cursor (unix seconds), perhaps more than once.

    First the wallet's list is read, back to a day before the cursor: an invoice of then may have
    been paid since. Afterwards only what is open is looked up.
    """

    _session: Session
    _book: Book
    _clock: Clock
    _lookup: Callable[[PaymentHash], Awaitable[InvoiceStatus | None]]
    _status: Callable[[Transaction], Awaitable[InvoiceStatus]]
    _after: int
    _offset: int | None = field(default=0, init=False)  # in the wallet's list; None: it is read
    _listed: set[str] = field(factory=set, init=False)
    _stale: int = field(default=0, init=False)  # pages in a row with nothing new
    _notified: deque[Transaction] = field(factory=lambda: deque(maxlen=_AT_ONCE), init=False)
    _hint: Hint = field(factory=Hint, init=False)
    _poll_at: float = field(default=0.0, init=False)
    _to_poll: list[PaymentHash] = field(factory=list, init=False)
    _told: Recent[PaymentHash, InvoiceState] = field(factory=lambda: Recent(_AT_ONCE), init=False)
    _ready: deque[InvoiceStatus] = field(factory=deque, init=False)

    def tell(self, tx: Transaction) -> None:
        """Take note of what the wallet tells by itself."""
        if tx.type != OUTGOING:
            self._notified.append(tx)
            self._hint.poke()

    def look(self) -> None:
        """Look now."""
        self._poll_at = 0.0
        self._hint.poke()

    def __aiter__(self) -> "Watch":
        return self

    async def __anext__(self) -> InvoiceStatus:
        while not self._ready:
            if self._notified:
                self._note(await self._status(self._notified[0]))
                self._notified.popleft()
            elif self._offset is not None:
                await self._read_page(self._offset)
            elif self._to_poll:
                await self._poll_one(self._to_poll[-1])
            elif self._clock.now() >= self._poll_at:
                await self._plan_poll()
            else:
                await self._hint.wait_until(self._poll_at, self._clock)
        return self._ready.popleft()

    async def _read_page(self, offset: int) -> None:
        """Read a page of the wallet's list. Some wallets give less than was asked for."""
        if "list_transactions" not in (await self._session.info()).methods:
            self._offset = None
            return
        since = max(0, self._after - LIFE_SECONDS)
        page = ListTransactions(
            since=since, limit=MOST_LISTED, offset=offset, unpaid=True, type="incoming"
        )
        answer = await self._session.call(page, Transactions)
        if isinstance(answer, Refusal):
            raise refusal_error(answer)
        new = [tx for tx in answer.transactions if tx.payment_hash not in self._listed]
        for tx in new:
            await self._note_listed(tx)
        self._listed.update(tx.payment_hash for tx in new)
        # What comes in while we read pushes the list on, so that a page may be one we have read.
        self._stale = 0 if new else self._stale + 1
        ended = not answer.transactions or self._stale == _STALE_PAGES
        self._offset = None if ended else offset + len(answer.transactions)

    async def _note_listed(self, tx: Transaction) -> None:
        status = await self._status(tx)
        if tx.type == OUTGOING:
            return
        if status.state in _OPEN:
            self._book.made(status.payment_hash, tx.expires_at or int(self._clock.now()))
        if tx.settled_at is None or tx.settled_at >= self._after - OVERLAP_SECONDS:
            self._note(status)

    async def _plan_poll(self) -> None:
        """Plan to look at everything that is open, but not at what is long past."""
        info = await self._session.info()
        now = self._clock.now()
        held = {h for h in self._book.open if self._told.get(h) is InvoiceState.ACCEPTED}
        for payment_hash, expires_at in list(self._book.open.items()):
            if now > expires_at + LATE_SECONDS and payment_hash not in held:
                self._book.closed(payment_hash)
        self._to_poll = list(self._book.open)
        # That a hold was given back no wallet tells by itself.
        tells = info.notifications.issuperset(_HEARD) and not held
        self._poll_at = now + (NOTIFIED_POLL_SECONDS if tells else POLL_SECONDS)

    async def _poll_one(self, payment_hash: PaymentHash) -> None:
        status = await self._lookup(payment_hash)
        self._to_poll.remove(payment_hash)
        if status is None:
            self._book.closed(payment_hash)
        else:
            self._note(status)

    def _note(self, status: InvoiceStatus) -> None:
        """Tell of a change, unless it was the last told of this invoice."""
        if status.state not in _OPEN:
            self._book.closed(status.payment_hash)
        if status.state in (InvoiceState.OPEN, InvoiceState.EXPIRED):
            return
        if self._told.get(status.payment_hash) is not status.state:
            self._told.put(status.payment_hash, status.state)
            self._ready.append(status)
