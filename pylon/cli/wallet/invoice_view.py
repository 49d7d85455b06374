"""An invoice as people and programs read it."""

from typing import TYPE_CHECKING

from pylon.cli.output import when
from pylon.errors import BadInvoice, Misconfigured

if TYPE_CHECKING:
    from pylon.model.invoice import Invoice, RouteHop


def read_invoice(bolt11: str) -> "Invoice":
    """Read an invoice; raise `Misconfigured` for what is none."""
    from pylon.wire.bolt11 import decode as read

    try:
        return read(bolt11.strip())
    except BadInvoice as exc:
        raise Misconfigured(f"this is no invoice: {exc}") from exc


def summary(asked: "Invoice", now: float) -> list[tuple[str, str]]:
    """Lay out what a payer looks at."""
    from pylon.model.money import show_sats

    shown = "any: the payer chooses" if asked.amount is None else show_sats(asked.amount)
    about = asked.description
    return [
        ("amount", shown),
        ("for", repr(about) if about else "nothing in particular" if about == "" else "(a hash)"),
        ("network", asked.network.value),
        ("payee", asked.payee),
        ("expires", f"{when(asked.expires_at)}, {left(asked, now)}"),
        ("payment hash", asked.payment_hash),
    ]


def left(asked: "Invoice", now: float) -> str:
    """Say how long an invoice can still be paid, or since when not."""
    seconds = int(asked.expires_at - now)
    return f"in {span(seconds)}" if seconds > 0 else f"{span(-seconds)} ago"


def span(seconds: float) -> str:
    """Show a length of time in its largest unit."""
    whole = max(0, int(seconds))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if whole >= 2 * length:
            return f"{whole // length} {unit}"
    return f"{whole} s"


def as_json(asked: "Invoice", now: float) -> dict[str, object]:
    """Lay an invoice out for programs; every key is always there."""
    return {
        "network": asked.network.value,
        "amount_msat": asked.amount,
        "description": asked.description,
        "description_hash": asked.description_hash,
        "payee": asked.payee,
        "payment_hash": asked.payment_hash,
        "payment_secret": asked.payment_secret,
        "created_at": asked.created_at,
        "expires_at": asked.expires_at,
        "expired": now >= asked.expires_at,
        "min_final_cltv": asked.min_final_cltv,
        "features": sorted(asked.features),
        "metadata": None if asked.metadata is None else asked.metadata.hex(),
        "fallbacks": [
            {"version": fallback.version, "program": fallback.program.hex()}
            for fallback in asked.fallbacks
        ],
        "routes": [[_hop(hop) for hop in route] for route in asked.routes],
    }


def _hop(hop: "RouteHop") -> dict[str, object]:
    return {
        "node_key": hop.node_key,
        "short_channel_id": _channel(hop.short_channel_id),
        "fee_base_msat": hop.fee_base,
        "fee_ppm": hop.fee_ppm,
        "cltv_delta": hop.cltv_delta,
    }


def _channel(number: int) -> str:
    """Write a channel id as block x transaction x output (BOLT-7)."""
    return f"{number >> 40}x{number >> 16 & 0xFFFFFF}x{number & 0xFFFF}"


def details(asked: "Invoice") -> list[tuple[str, str]]:
    """Lay out the rest of what an invoice says."""
    rows = [
        ("made", when(asked.created_at)),
        ("description hash", asked.description_hash or ""),
        ("payment secret", asked.payment_secret),
        ("final cltv", f"{asked.min_final_cltv} blocks"),
        ("features", ", ".join(str(bit) for bit in sorted(asked.features))),
        ("metadata", "" if asked.metadata is None else asked.metadata.hex()),
    ]
    rows += [("fallback", f"v{f.version} {f.program.hex()}") for f in asked.fallbacks]
    rows += [
        ("route", ", then ".join(f"{_channel(h.short_channel_id)} of {h.node_key}" for h in route))
        for route in asked.routes
    ]
    return [(label, text) for label, text in rows if text]
