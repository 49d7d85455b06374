"""`pylon init`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from pylon.cli import passphrase
from pylon.cli.context import AsJson, Context, InContext
from pylon.cli.output import ask, ask_secret, emit, fields, is_interactive, say
from pylon.errors import Misconfigured

if TYPE_CHECKING:
    from pylon.adapters.home import Home
    from pylon.config import Config

_TRIES = 3
_WORDS_IN_A_ROW = 4


def init(
    *,
    import_: Annotated[bool, Parameter(name="--import", negative="", show_default=False)] = False,
    words: Literal[12, 24] = 12,
    network: Literal["regtest", "signet", "testnet", "mainnet"] | None = None,
    force: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    json: AsJson = False,
    context: InContext,
) -> None:
    """Make this node's identity and its commented config.toml.

    The words are shown once, on stderr; on a terminal they are asked for
    again. They are kept encrypted in identity.enc, under a passphrase, or on
    regtest under a key file beside it.

    $ pylon init
    $ pylon --home ~/b init --words 24
    $ pylon --passphrase-file pass.txt init --network signet
    $ pylon init --import < words.txt

    Parameters
    ----------
    import_
        Read the words of an identity you have, from a prompt or stdin.
    words
        How many words to make.
    network
        Which money (default: what config.toml says, or regtest).
    force
        Replace the identity that is here; the old one is kept as a dated backup.
    """
    from pylon.adapters import identity_file
    from pylon.app import identity
    from pylon.model.money import Network

    home = context.home()
    home.create()
    with home.lock("node"):
        if identity_file.exists(home) and not force:
            raise Misconfigured(
                f"{home.root} has an identity: `pylon whoami` shows it, --force replaces it"
            )
        config = _with_network(home, context, network)
        mnemonic = _imported() if import_ else identity.new_words(words)
        made = identity.from_words(mnemonic, Network(config.node.network))
        secret = _passphrase_for(made.network, context)
        if not import_:
            _show(mnemonic)
        _save_config(home, config)
        kept = identity.store(home, mnemonic, passphrase=secret, now=datetime.now(UTC))

    for backup in kept:
        say(f"The old identity is kept as {backup}.")
    emit(
        {
            "home": str(home.root),
            "npub": made.npub,
            "pubkey": made.public_key,
            "node_key": made.node_key,
            "network": made.network.value,
            "encrypted_with": "keyfile" if secret is None else "passphrase",
            "backups": [str(path) for path in kept],
        },
        as_json=json,
        text=fields(
            [("npub", made.npub), ("network", made.network.value), ("home", str(home.root))]
        ),
    )
    if made.network is not Network.REGTEST:
        say(f"next, a wallet for {made.network}: {home.command} wallet use --help", as_is=True)
    elif not json:
        say(f"next: {home.command} wallet fund", style="dim", as_is=True)


def _with_network(home: "Home", context: Context, network: str | None) -> "Config":
    """Take the configuration that is there, on the network asked for."""
    from attrs import evolve

    config = context.config()
    if network in (None, config.node.network):
        return config
    if home.config_file.exists():
        raise Misconfigured(
            f"{home.config_file} is for {config.node.network}: "
            f'write network = "{network}" there, or choose another home'
        )
    return evolve(config, node=evolve(config.node, network=network))


def _save_config(home: "Home", config: "Config") -> None:
    from attrs import evolve

    from pylon.adapters.config_file import save_config
    from pylon.config import Config, NodeConfig

    if not home.config_file.exists():
        # What the environment overrides today is not written down for tomorrow.
        save_config(home, evolve(Config(), node=NodeConfig(network=config.node.network)))


def _passphrase_for(network: str, context: Context) -> str | None:
    secret = passphrase.chosen(context)
    if secret is not None:
        return secret
    if network != "regtest":
        raise Misconfigured(
            f"on {network} the identity needs a passphrase: "
            "give --passphrase-file or PYLON_PASSPHRASE"
        )
    say("No passphrase: a key file beside the identity opens it. For play money only.")
    return None


def _imported() -> str:
    from pylon.wire import mnemonic

    if is_interactive():
        return mnemonic.check(ask_secret("The words, with spaces between (not shown):"))
    return mnemonic.check(ask("The words, with spaces between:"))


def _show(words: str) -> None:
    """Show the words this once, and see to it that a person has written them down."""
    say("Write these words down: they are this identity, and they are shown only now.\n")
    if not is_interactive():
        say(f"    {words}\n")
        return
    say(f"{_numbered(words.split())}\n", style="bold")
    for _ in range(_TRIES):
        if wrong := _first_difference(words, ask("Type them again:")):
            say(f"Not the same: look at word {wrong}.")
        else:
            return
    raise Misconfigured("the words were not repeated; nothing was written")


def _numbered(words: list[str]) -> str:
    """Lay words out as they are written down: four in a row, each with its number."""
    cells = [f"{number:>4} {word:<8}" for number, word in enumerate(words, start=1)]
    rows = [
        cells[start : start + _WORDS_IN_A_ROW] for start in range(0, len(cells), _WORDS_IN_A_ROW)
    ]
    return "\n".join("  ".join(row).rstrip() for row in rows)


def _first_difference(words: str, repeated: str) -> int | None:
    """Return the position, from 1, of the first word that differs."""
    wanted, typed = words.split(), repeated.lower().split()
    pairs = zip(wanted, (*typed, *[""] * len(wanted)), strict=False)
    differing = [place for place, (one, other) in enumerate(pairs, start=1) if one != other]
    if differing:
        return differing[0]
    return len(typed) if len(typed) > len(wanted) else None
