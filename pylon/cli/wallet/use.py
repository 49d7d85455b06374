"""`pylon wallet use`."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pylon.cli.commands import subcommands
from pylon.cli.context import AsJson, Context, InContext
from pylon.cli.output import emit, fields, say
from pylon.cli.wallet.given_secret import given_secret
from pylon.cli.wallet.opening import run_with, unlocked
from pylon.cli.wallet.status import as_json, as_rows
from pylon.errors import Misconfigured, PeerFault, WalletUnavailable

if TYPE_CHECKING:
    from pylon.app.identity import Identity
    from pylon.app.wallet_choice import Choice
    from pylon.config import Config
    from pylon.model.money import Msat
    from pylon.model.wallet import WalletInfo
    from pylon.ports.wallet import Wallet

Force = Annotated[
    bool,
    Parameter(
        help="Even if it does not answer, a provider runs, or jobs and payments are open: the new "
        "wallet knows nothing of them."
    ),
]
SecretFile = Annotated[
    Path | None,
    Parameter(
        allow_leading_hyphen=True,
        help="A file, 0600, with the secret; - is stdin (default: a prompt, else stdin).",
    ),
]

use = subcommands("use")
use.help = """\
Choose the wallet of this node: it is tried once, and config.toml is changed.

$ pylon wallet use ledger
$ pylon wallet use nwc --secret-file connection.txt
$ pylon wallet use electrum
$ pylon wallet use lnd --macaroon invoices.macaroon --tls-cert tls.cert
$ pylon wallet use spark
"""


@use.command
def ledger(*, force: Force = False, json: AsJson = False, context: InContext) -> None:
    """Use the play money of this machine; regtest only.

    $ pylon wallet use ledger
    """
    from pylon.app.wallet_choice import Choice

    _change(context, Choice({"backend": "ledger"}), force=force, json=json)


@use.command
def nwc(
    *,
    secret_file: SecretFile = None,
    force: Force = False,
    json: AsJson = False,
    context: InContext,
) -> None:
    """Use any wallet that speaks Nostr Wallet Connect (NIP-47).

    The secret is its connection string, nostr+walletconnect://…, with which money can be spent: it
    is kept in secrets/nwc.uri, 0600.

    $ pylon wallet use nwc
    $ pylon wallet use nwc --secret-file connection.txt
    """
    from pylon.adapters.wallet_secrets import WalletSecret
    from pylon.app.wallet_choice import Choice

    which, what = WalletSecret.NWC_URI, "the connection string of the wallet"
    secret = given_secret(context.home(), which, what, file=secret_file)
    _change(context, Choice({"backend": "nwc"}, {which: secret}), force=force, json=json)


@use.command
def electrum(
    *,
    url: str | None = None,
    secret_file: SecretFile = None,
    force: Force = False,
    json: AsJson = False,
    context: InContext,
) -> None:
    """Use an Electrum daemon with Lightning channels, 4.3 or later.

    The secret is user:password, as `electrum getconfig rpcuser` and rpcpassword say; it is kept in
    secrets/electrum.password, 0600.

    $ pylon wallet use electrum
    $ pylon wallet use electrum --url http://127.0.0.1:7777 --secret-file rpc.txt

    Parameters
    ----------
    url
        Where the daemon answers (default: wallet.electrum_url).
    """
    from pylon.adapters.wallet_secrets import WalletSecret
    from pylon.app.wallet_choice import Choice

    which, what = WalletSecret.ELECTRUM_PASSWORD, "user:password of Electrum's daemon"
    secret = given_secret(context.home(), which, what, file=secret_file)
    if not all(secret.partition(":")):
        raise Misconfigured("the secret is not user:password")
    keys = {"backend": "electrum", **({"electrum_url": url} if url else {})}
    _change(context, Choice(keys, {which: secret}), force=force, json=json)


@use.command
def lnd(
    *,
    url: str | None = None,
    macaroon: Path | None = None,
    tls_cert: Path | None = None,
    force: Force = False,
    json: AsJson = False,
    context: InContext,
) -> None:
    """Use an lnd node, by its REST interface.

    Bake it a macaroon that can do no more than is needed, with `lncli bakemacaroon`: info:read
    invoices:read invoices:write offchain:read offchain:write.

    $ pylon wallet use lnd --macaroon invoices.macaroon --tls-cert ~/.lnd/tls.cert
    $ pylon wallet use lnd --url https://127.0.0.1:8080

    Parameters
    ----------
    url
        Where lnd answers (default: wallet.lnd_url).
    macaroon
        The macaroon's file, 0600 (default: wallet.lnd_macaroon).
    tls_cert
        The only certificate to trust (default: wallet.lnd_tls_cert).
    """
    from pylon.app.wallet_choice import Choice

    given = {
        "lnd_url": url,
        "lnd_macaroon": macaroon and str(macaroon.expanduser().absolute()),
        "lnd_tls_cert": tls_cert and str(tls_cert.expanduser().absolute()),
    }
    keys = {"backend": "lnd", **{key: value for key, value in given.items() if value}}
    _change(context, Choice(keys), force=force, json=json)


@use.command
def spark(
    *,
    secret_file: SecretFile = None,
    force: Force = False,
    json: AsJson = False,
    context: InContext,
) -> None:
    """Use a Spark wallet made of this node's own words.

    It needs `pip install 'pylon[spark]'`. On mainnet it needs the key of the Spark service too: that
    secret is kept in secrets/spark.key, 0600.

    $ pylon wallet use spark
    """
    from pylon.adapters.wallet_secrets import WalletSecret
    from pylon.app.wallet_choice import Choice

    which, secrets = WalletSecret.SPARK_KEY, {}
    if secret_file or context.config().node.network == "mainnet":
        what = "the key of the Spark service"
        secrets[which] = given_secret(context.home(), which, what, file=secret_file)
    _change(context, Choice({"backend": "spark"}, secrets), force=force, json=json)


def _change(context: Context, choice: "Choice", *, force: bool, json: bool) -> None:
    """Try the wallet and write it down; what goes wrong leaves the old one in place."""
    import trio

    from pylon.app.node import system
    from pylon.app.wallet_choice import nobody_uses, refuse_open_work

    home, config = context.home(), context.config()
    wanted, identity = choice.applied(config), unlocked(context)
    with nullcontext() if force else nobody_uses(home):
        if not force:
            trio.run(refuse_open_work, system(home, config, identity, context.environ))
        found = _try(context, wanted, identity, choice, force=force)
        choice.keep(home)
    _report(context, choice, found, json=json)


def _try(
    context: Context, config: "Config", identity: "Identity", choice: "Choice", *, force: bool
) -> "tuple[WalletInfo, Msat] | None":
    """Ask the wallet who it is and what it holds; None if it does not answer and need not."""
    from pylon.adapters.clock import SystemClock
    from pylon.app.wallet import open_wallet

    async def look(wallet: "Wallet") -> "tuple[WalletInfo, Msat]":
        return await wallet.info(), await wallet.balance()

    opened = open_wallet(
        context.home(), config, identity, clock=SystemClock(), secrets=choice.secrets
    )
    try:
        info, held = run_with(opened, look)
    except WalletUnavailable as exc:
        if force:
            say(f"It does not answer now: {exc}", style="yellow")
            return None
        raise WalletUnavailable(f"{exc}; nothing was changed (--force changes it even so)") from exc
    except PeerFault as exc:
        raise Misconfigured(f"{exc}; nothing was changed") from exc
    if info.network is not identity.network:
        raise Misconfigured(
            f"that wallet is on {info.network}, and this node on {identity.network}; "
            "nothing was changed"
        )
    return info, held


def _report(
    context: Context, choice: "Choice", found: "tuple[WalletInfo, Msat] | None", *, json: bool
) -> None:
    home, now = context.home(), context.config().wallet
    value = {"config": str(home.config_file), "backend": choice.keys["backend"], "answered": False}
    rows = [("wallet", choice.keys["backend"])]
    if found:
        value |= {"answered": True, **as_json(*found)}
        rows = as_rows(*found)
    emit(value, as_json=json, text=fields(rows))
    if found and found[0].warning:
        say(f"Mind: {found[0].warning}", style="yellow")
    for key, wanted in choice.keys.items():
        if getattr(now, key) != wanted:
            say(f"Mind: the environment overrides wallet.{key} = {wanted}", style="yellow")
