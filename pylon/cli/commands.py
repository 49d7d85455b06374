"""Every command, with the line `pylon --help` shows for it; its module is imported when it is called."""

from attrs import frozen
from cyclopts import App, Group

SELLING, BUYING, WALLET, RELAYS, MODELS, NODE = (
    Group(name, sort_key=place)
    for place, name in enumerate(("Selling", "Buying", "Wallet", "Relays", "Models", "Node"))
)


@frozen
class Command:
    """One command: where it is, and what is said about it. An alias is not shown."""

    name: str
    target: str  # module:attribute; an App or a function
    help: str
    group: Group
    show: bool = True


COMMANDS = (
    Command("demo", "pylon.cli.demo:demo", "One paid job on this machine, start to end.", NODE),
    Command("run", "pylon.cli.running:run", "Sell answers in the foreground.", SELLING),
    Command("start", "pylon.cli.running:start", "The same, in the words of other tools.", SELLING),
    Command("earnings", "pylon.cli.earnings:earnings", "Show what was earned.", SELLING),
    Command(
        "job",
        "pylon.cli.job:app",
        'Ask, pay, receive.\n\n$ pylon job submit "What is 2+2?" --auto-pay\n$ pylon job list',
        BUYING,
    ),
    Command("relay", "pylon.cli.relay:relay", "Serve a small Nostr relay.", RELAYS),
    Command("init", "pylon.cli.init:init", "Make or import this node's identity.", NODE),
    Command(
        "wallet",
        "pylon.cli.wallet:app",
        "Fund it, get paid, pay, look back.\n\n$ pylon wallet fund\n$ pylon wallet balance",
        WALLET,
    ),
    Command("whoami", "pylon.cli.whoami:whoami", "Show who this node is.", NODE),
    Command(
        "config",
        "pylon.cli.config:app",
        "Show the configuration and where it is.\n\n$ pylon config show",
        NODE,
    ),
    Command("infer", "pylon.cli.infer:infer", "Ask a model on this machine.", MODELS),
    Command(
        "model",
        "pylon.cli.model:app",
        "Fetch and list models for the embedded backend.\n\n$ pylon model pull",
        MODELS,
    ),
    Command("completion", "pylon.cli.completion:completion", "Complete commands with Tab.", NODE),
    Command("version", "pylon.cli.version:version", "Show the version.", NODE),
)


def register(app: App) -> None:
    """Give `app` every command, without importing any."""
    for command in COMMANDS:
        app.command(
            command.target,
            name=command.name,
            help=command.help,
            group=command.group,
            show=command.show,
        )
