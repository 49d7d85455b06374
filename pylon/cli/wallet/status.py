"""`pylon wallet status`."""

from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from pylon.cli.context import AsJson, InContext
from pylon.cli.order_view import SHORT
from pylon.cli.output import emit, fields
from pylon.cli.wallet.history import LOOK_BACK, undecided
from pylon.cli.wallet.history import as_json as entry_as_json
from pylon.cli.wallet.invoice_view import span
from pylon.cli.wallet.opening import with_wallet
from pylon.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pylon.cli.context import Context
    from pylon.core.budget import Entry
    from pylon.model.ids import PaymentHash
    from pylon.model.money import Msat
    from pylon.model.wallet import Capabilities, HistoryEntry, WalletInfo
    from pylon.ports.wallet import Wallet

_WORDS = {
    "hold": "holds payments",
    "chosen_preimage": "takes a preimage of ours",
    "tells_preimage": "tells its preimages",
    "msat": "counts millisatoshi",
    "max_fee": "obeys a fee limit",
}


@frozen
class _Seen:
    info: "WalletInfo"
    balance: "Msat"
    pending: "list[HistoryEntry] | None"  # None: this wallet keeps no list
    set_aside: "dict[PaymentHash, Entry]"


def status(*, json: AsJson = False, context: InContext) -> None:
    """Show which wallet this is, what is in it, what it can do, and what is not decided yet.

    $ pylon wallet status
    $ pylon wallet status --json
    """
    from pylon.adapters.clock import SystemClock

    seen = with_wallet(context, partial(_look, context=context))
    info, now, path = seen.info, SystemClock().now(), _ledger_of(context)
    value = {
        **as_json(info, seen.balance),
        "pending": None if seen.pending is None else [_aged(entry, now) for entry in seen.pending],
        "set_aside": [_as_json(hash_, entry) for hash_, entry in seen.set_aside.items()],
        "path": path,
    }
    rows = [
        *as_rows(info, seen.balance),
        *([("ledger", path)] if path else []),
        *_waiting(seen.pending, now),
        *_reserved(seen),
    ]
    text = fields(rows)
    emit(value, as_json=json, text=f"{info.warning}\n{text}" if info.warning else text)


async def _look(wallet: "Wallet", context: "Context") -> _Seen:
    try:
        pending = undecided(await wallet.history(limit=LOOK_BACK))
    except Misconfigured:  # some services of NWC list nothing
        pending = None
    home, set_aside = context.home(), dict["PaymentHash", "Entry"]()
    if home.database.exists():
        async with context.store() as store:
            set_aside = await store.budget.reserved()
    return _Seen(await wallet.info(), await wallet.balance(), pending, set_aside)


def as_json(info: "WalletInfo", held: "Msat") -> dict[str, object]:
    """Lay a wallet out for programs."""
    from attrs import asdict

    from pylon.core.wallet_modes import selling_modes

    return {
        "backend": info.backend,
        "warning": info.warning,
        "network": info.network.value,
        "node_key": info.node_key,
        "balance_msat": held,
        "capabilities": asdict(info.capabilities),
        "selling_modes": [mode.value for mode in selling_modes(info.capabilities)],
    }


def as_rows(info: "WalletInfo", held: "Msat") -> list[tuple[str, str]]:
    """Lay a wallet out for people, its warning apart."""
    from pylon.core.wallet_modes import selling_modes
    from pylon.model.money import show_sats

    return [
        ("wallet", info.backend),
        ("network", info.network.value),
        *([("node key", str(info.node_key))] if info.node_key else []),
        ("balance", show_sats(held)),
        ("can", abilities(info.capabilities)),
        ("sells by", ", ".join(mode.value for mode in selling_modes(info.capabilities))),
    ]


def abilities(able: "Capabilities") -> str:
    """Name what a wallet can do beyond plain invoices."""
    from attrs import asdict

    said = [_WORDS.get(name, name) for name, can in asdict(able).items() if can]
    return ", ".join(said) or "plain invoices only"


def _waiting(pending: "Sequence[HistoryEntry] | None", now: float) -> list[tuple[str, str]]:
    from pylon.model.money import show_sats

    if pending is None:
        return [("pending", "this wallet lists no payments")]
    return [
        (
            entry.state,
            f"{entry.direction.value} {show_sats(entry.amount)}, {span(now - entry.at)} old: "
            + (entry.payment_hash or entry.description),
        )
        for entry in pending
    ]


def _reserved(seen: _Seen) -> list[tuple[str, str]]:
    """Lay out what the budget keeps for payments that the wallet does not list as pending."""
    from pylon.model.money import show_sats

    listed = {entry.payment_hash for entry in seen.pending or ()}
    return [
        (
            "set aside",
            f"{show_sats(entry.committed)} for {_purpose(entry)}: {payment_hash}",
        )
        for payment_hash, entry in seen.set_aside.items()
        if payment_hash not in listed
    ]


def _purpose(entry: "Entry") -> str:
    return f"job {entry.purpose.order[:SHORT]}" if entry.purpose.order else "an invoice"


def _aged(entry: "HistoryEntry", now: float) -> dict[str, object]:
    return {**entry_as_json(entry), "age_seconds": max(0, int(now - entry.at))}


def _as_json(payment_hash: str, entry: "Entry") -> dict[str, object]:
    return {
        "payment_hash": payment_hash,
        "amount_msat": entry.amount,
        "fee_msat": entry.fee,
        "job": entry.purpose.order,
    }


def _ledger_of(context: "Context") -> str | None:
    from pylon.app.wallet import ledger_path

    config = context.config()
    return str(ledger_path(context.home(), config)) if config.wallet.backend == "ledger" else None
