"""A budget that lives as long as the process."""

from collections import defaultdict

import trio
from attrs import define, field

from pylon.core import budget as core
from pylon.core.budget import Entry, Limits, Span, Standing, Usage, Used
from pylon.model.budget import NODE, Purpose, Scope
from pylon.model.ids import PaymentHash
from pylon.model.money import Msat


@define(eq=False)
class MemoryBudget:
    """A `Budget` in dicts."""

    _entries: dict[PaymentHash, Entry] = field(factory=dict, init=False)
    _totals: dict[tuple[Scope, Span, str], Used] = field(
        factory=lambda: defaultdict(Used), init=False
    )
    _pauses: dict[Scope, int] = field(factory=dict, init=False)

    async def reserve(
        self,
        payment_hash: PaymentHash,
        purpose: Purpose,
        *,
        amount: Msat,
        fee: Msat,
        limits: Limits,
        now: int,
    ) -> str | None:
        await trio.lowlevel.checkpoint()
        new = Entry(purpose, Standing.RESERVED, amount, fee, now)
        known = self._entries.get(payment_hash)
        if known is not None:
            refusal = core.objection(known, new)
            if refusal is not None or known.standing is Standing.RESERVED:
                return refusal
        refusal = core.refusal(new, self._usage(purpose, now), limits, self._pauses)
        if refusal is None:
            self._put(payment_hash, new)
        return refusal

    async def veto(self, payment_hash: PaymentHash) -> str | None:
        await trio.lowlevel.checkpoint()
        return core.veto(self._entries.get(payment_hash), self._pauses)

    async def spend(self, payment_hash: PaymentHash, *, amount: Msat, fee: Msat, now: int) -> None:
        await trio.lowlevel.checkpoint()
        known = self._entries.get(payment_hash)
        self._put(payment_hash, core.spent(known, amount=amount, fee=fee, now=now))

    async def release(self, payment_hash: PaymentHash) -> None:
        await trio.lowlevel.checkpoint()
        self._put(payment_hash, core.released(self._entries.get(payment_hash)))

    async def pause(self, *, now: int, scope: Scope = NODE) -> None:
        await trio.lowlevel.checkpoint()
        self._pauses.setdefault(scope, now)

    async def resume(self, *, scope: Scope = NODE) -> None:
        await trio.lowlevel.checkpoint()
        self._pauses.pop(scope, None)

    async def paused(self, scope: Scope = NODE) -> int | None:
        await trio.lowlevel.checkpoint()
        return self._pauses.get(scope)

    async def usage(self, purpose: Purpose, *, now: int) -> dict[Scope, Usage]:
        await trio.lowlevel.checkpoint()
        return self._usage(purpose, now)

    async def most(self, span: Span, *, scope: Scope = NODE) -> tuple[str, Used] | None:
        await trio.lowlevel.checkpoint()
        found = [
            (key, used) for (s, n, key), used in self._totals.items() if (s, n) == (scope, span)
        ]
        return min(found, key=lambda item: (-item[1].committed, item[0]), default=None)

    async def reserved(self) -> dict[PaymentHash, Entry]:
        await trio.lowlevel.checkpoint()
        found = [
            (entry.at, payment_hash)
            for payment_hash, entry in self._entries.items()
            if entry.standing is Standing.RESERVED
        ]
        return {payment_hash: self._entries[payment_hash] for _, payment_hash in sorted(found)}

    async def committed(self) -> Msat:
        await trio.lowlevel.checkpoint()
        return self._usage(Purpose(), 0)[NODE][Span.TOTAL].committed

    def _put(self, payment_hash: PaymentHash, new: Entry | None) -> None:
        if new is None:
            return
        for change in core.postings(self._entries.get(payment_hash), new):
            account = (change.scope, change.span, change.key)
            used = self._totals[account]
            self._totals[account] = Used(
                Msat(used.spent + change.spent), Msat(used.reserved + change.reserved)
            )
        self._entries[payment_hash] = new

    def _usage(self, purpose: Purpose, now: int) -> dict[Scope, Usage]:
        accounts = core.accounts(purpose, now)
        return {
            scope: core.usage(
                {
                    span: self._totals.get((scope, span, key), Used())
                    for span, key in accounts.items()
                }
            )
            for scope in purpose.scopes
        }
