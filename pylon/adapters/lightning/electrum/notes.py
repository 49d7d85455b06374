"""What Electrum has no place for, kept in its labels: they are saved with the wallet.

A label's name is a word of ours and what it is about; people see labels of addresses and
transactions only.
"""

from collections.abc import Mapping

import trio
from attrs import define, field

from pylon.adapters.lightning.electrum.rpc import Rpc
from pylon.model.ids import PaymentHash

_KEY, _HOLD, _CANCELLED = "pylon:key:", "pylon:hold:", "pylon:cancelled:"


@define
class Notes:
    """Read once and then kept up: nobody else writes what this program looks for."""

    _rpc: Rpc
    _labels: dict[str, str] | None = field(default=None, init=False)
    _lock: trio.Lock = field(factory=trio.Lock, init=False)

    async def invoice_for(self, key: str) -> str | None:
        """Return the invoice that was made for an idempotency key."""
        return (await self._all()).get(_KEY + key)

    async def note_key(self, key: str, bolt11: str) -> None:
        await self._write(_KEY + key, bolt11)

    async def hold(self, payment_hash: PaymentHash) -> str | None:
        """Return the hold invoice of a payment hash."""
        return (await self._all()).get(_HOLD + payment_hash)

    async def holds(self) -> Mapping[PaymentHash, str]:
        """Return all hold invoices ever made."""
        return {PaymentHash(k): v for k, v in (await self._about(_HOLD)).items()}

    async def note_hold(self, payment_hash: PaymentHash, bolt11: str) -> None:
        await self._write(_HOLD + payment_hash, bolt11)

    async def cancelled(self) -> Mapping[PaymentHash, int]:
        """Return which invoices were to be withdrawn, and when (unix seconds)."""
        found = await self._about(_CANCELLED)
        return {PaymentHash(k): int(v) for k, v in found.items() if v.isdecimal()}

    async def note_cancelled(self, payment_hash: PaymentHash, at: int) -> None:
        await self._write(_CANCELLED + payment_hash, str(at))

    async def _about(self, word: str) -> dict[str, str]:
        labels = await self._all()
        return {k.removeprefix(word): v for k, v in labels.items() if k.startswith(word)}

    async def _all(self) -> dict[str, str]:
        async with self._lock:
            if self._labels is None:
                every = await self._rpc.find("get", dict[str, str], key="labels")
                self._labels = {k: v for k, v in (every or {}).items() if k.startswith("pylon:")}
        return self._labels

    async def _write(self, name: str, text: str) -> None:
        labels = await self._all()
        await self._rpc.do("setlabel", key=name, label=text)
        labels[name] = text
