"""`pylon wallet status`."""

from typing import TYPE_CHECKING

from pylon.cli.context import AsJson, InContext
from pylon.cli.output import emit, fields
from pylon.cli.wallet.history import LOOK_BACK, undecided
from pylon.cli.wallet.history import as_json as entry_as_json
from pylon.cli.wallet.invoice_view import span
from pylon.cli.wallet.opening import with_wallet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pylon.cli.context import Context
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


def status(*, json: AsJson = False, context: InContext) -> None:
    """Show which wallet this is, what is in it, what it can do, and what is not decided yet.

    $ pylon wallet status
    $ pylon wallet status --json
    """
    from pylon.adapters.clock import SystemClock

    async def look(wallet: "Wallet") -> "tuple[WalletInfo, Msat, list[HistoryEntry]]":
        entries = await wallet.history(limit=LOOK_BACK)
        return await wallet.info(), await wallet.balance(), undecided(entries)

    info, held, pending = with_wallet(context, look)
    now, path = SystemClock().now(), _ledger_of(context)
    value = {
        **as_json(info, held),
        "pending": [{**entry_as_json(e), "age_seconds": max(0, int(now - e.at))} for e in pending],
        "path": path,
    }
    rows = [*as_rows(info, held), *([("ledger", path)] if path else []), *_waiting(pending, now)]
    text = fields(rows)
    emit(value, as_json=json, text=f"{info.warning}\n{text}" if info.warning else text)


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


def _waiting(pending: "Sequence[HistoryEntry]", now: float) -> list[tuple[str, str]]:
    from pylon.model.money import show_sats

    return [
        (
            entry.state,
            f"{entry.direction.value} {show_sats(entry.amount)}, {span(now - entry.at)} old: "
            + (entry.payment_hash or entry.description),
        )
        for entry in pending
    ]


def _ledger_of(context: "Context") -> str | None:
    from pylon.app.wallet import ledger_path

    config = context.config()
    return str(ledger_path(context.home(), config)) if config.wallet.backend == "ledger" else None
