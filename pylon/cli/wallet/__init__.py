"""`pylon wallet`."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from pylon.cli.commands import subcommands
from pylon.cli.context import AsJson, InContext
from pylon.cli.exit_codes import ExitCode
from pylon.cli.output import emit, fields, say, table, when
from pylon.cli.wallet.fault import fault
from pylon.cli.wallet.opening import with_ledger
from pylon.cli.wallet.pay import pay
from pylon.cli.whoami import whoami

if TYPE_CHECKING:
    from pylon.ports.wallet import Wallet

_POSITIVE = Parameter(validator=Number(gte=1))

app = subcommands("wallet")
app.command(whoami)
app.command(pay)
app.command(fault, show=False)  # for tests and drills


@app.command
def fund(
    sats: Annotated[int, _POSITIVE] = 10_000, /, *, json: AsJson = False, context: InContext
) -> None:
    """Take play money from the faucet of the embedded ledger.

    $ pylon wallet fund
    $ pylon wallet fund 500 --json

    Parameters
    ----------
    sats
        How much, in satoshi.
    """
    from pylon.model.money import from_sats, show_sats

    balance = with_ledger(context, lambda wallet: wallet.fund(from_sats(sats)))
    emit({"balance_msat": balance}, as_json=json, text=show_sats(balance))


@app.command
def balance(*, json: AsJson = False, context: InContext) -> None:
    """Show what can be spent now.

    $ pylon wallet balance
    """
    from pylon.model.money import show_sats

    held = with_ledger(context, lambda wallet: wallet.balance())
    emit({"balance_msat": held}, as_json=json, text=show_sats(held))


@app.command
def invoice(
    sats: Annotated[int, _POSITIVE],
    /,
    *,
    memo: str = "",
    expiry: Annotated[int, _POSITIVE] = 3600,
    json: AsJson = False,
    context: InContext,
) -> None:
    """Make an invoice for others to pay.

    $ pylon wallet invoice 100
    $ pylon wallet invoice 100 --memo "for coffee" --json

    Parameters
    ----------
    sats
        How much, in satoshi.
    memo
        What it is for; the payer reads it.
    expiry
        Seconds until it can be paid no more.
    """
    from pylon.model.money import from_sats

    made = with_ledger(
        context,
        lambda wallet: wallet.make_invoice(
            from_sats(sats), description=memo, expiry_seconds=expiry
        ),
    )
    value = {
        "bolt11": made.bolt11,
        "payment_hash": made.payment_hash,
        "amount_msat": made.amount,
        "expires_at": made.expires_at,
    }
    emit(value, as_json=json, text=made.bolt11)


@app.command
def history(
    *, limit: Annotated[int, _POSITIVE] = 20, json: AsJson = False, context: InContext
) -> None:
    """Show what came in and went out, newest first.

    $ pylon wallet history
    $ pylon wallet history --limit 100 --json

    Parameters
    ----------
    limit
        How many lines.
    """
    from pylon.model.money import show_sats

    entries = with_ledger(context, lambda wallet: wallet.history(limit=limit))
    if json:
        rows = [
            {
                "at": entry.at,
                "direction": entry.direction.value,
                "state": entry.state,
                "amount_msat": entry.amount,
                "fee_msat": entry.fee,
                "payment_hash": entry.payment_hash,
                "description": entry.description,
            }
            for entry in entries
        ]
        emit(rows, as_json=True, text="")
        return
    if not entries:
        say(f"nothing yet: {context.home().command} wallet fund")
        return
    table(
        ("WHEN", "WAY", "STATE", "AMOUNT", "FEE", "WHAT"),
        [
            (
                when(entry.at),
                entry.direction.value,
                entry.state,
                show_sats(entry.amount),
                show_sats(entry.fee),
                entry.description,
            )
            for entry in entries
        ],
    )


@app.command
def audit(*, json: AsJson = False, context: InContext) -> ExitCode:
    """Check the books of the whole ledger: sums, settlements, preimages.

    Exit status: 0 sound, 1 not.

    $ pylon wallet audit
    """
    faults = with_ledger(context, lambda wallet: wallet.audit())
    text = "\n".join(faults) if faults else "the books are sound"
    emit({"sound": not faults, "faults": faults}, as_json=json, text=text)
    return ExitCode.FAILURE if faults else ExitCode.OK


@app.command
def status(*, json: AsJson = False, context: InContext) -> None:
    """Say which wallet this is, and what its money is worth.

    $ pylon wallet status
    """
    from attrs import asdict

    from pylon.app.wallet import ledger_path
    from pylon.model.money import show_sats

    async def look(wallet: "Wallet") -> tuple[dict[str, object], str]:
        info, held = await wallet.info(), await wallet.balance()
        value: dict[str, object] = {
            "backend": info.backend,
            "warning": info.warning,
            "network": info.network.value,
            "node_key": info.node_key,
            "balance_msat": held,
            "capabilities": asdict(info.capabilities),
        }
        return value, show_sats(held)

    value, held = with_ledger(context, look)
    path = str(ledger_path(context.home(), context.config()))
    shown = {"network": value["network"], "node key": value["node_key"], "balance": held}
    rows = [(label, str(text)) for label, text in {**shown, "ledger": path}.items()]
    emit({**value, "path": path}, as_json=json, text=f"{value['warning']}\n{fields(rows)}")
