"""Every command, with the line `pylon --help` shows for it; its module is imported when it is called."""

from attrs import frozen
from cyclopts import App, Group

MARKET, NODE, MODELS = (
    Group(name, sort_key=place)
    for place, name in enumerate(("Sell and buy", "This node", "Models and relays"))
)
OPTIONS = Group("Options", sort_key=7)


@frozen
class Command:
    """One command: where it is, and what is said about it. An alias is not shown."""

    name: str
    target: str  # module:attribute; an App or a function
    help: str
    group: Group
    show: bool = True


COMMANDS = (
    Command("demo", "pylon.cli.demo:demo", "One paid job on this machine, start to end.", MARKET),
    Command("run", "pylon.cli.running:run", "Sell answers in the foreground.", MARKET),
    Command("start", "pylon.cli.running:start", "The same, in the words of other tools.", MARKET),
    Command("earnings", "pylon.cli.earnings:earnings", "Show what was earned.", MARKET),
    Command(
        "job",
        "pylon.cli.job:app",
        'Ask, pay, receive.\n\n$ pylon job submit "What is 2+2?" --auto-pay\n$ pylon job list',
        MARKET,
    ),
    Command(
        "receipt",
        "pylon.cli.receipt:app",
        "Check what others show you.\n\n$ pylon receipt verify receipt.json",
        MARKET,
    ),
    Command("relay", "pylon.cli.relay:relay", "Serve a small Nostr relay.", MODELS),
    Command("init", "pylon.cli.init:init", "Make or import this node's identity.", NODE),
    Command(
        "wallet",
        "pylon.cli.wallet:app",
        "Choose it, get paid, pay, look back.\n\n$ pylon wallet status\n$ pylon wallet invoice 1,500",
        NODE,
    ),
    Command(
        "budget",
        "pylon.cli.budget:app",
        "Limit what is spent, or stop it.\n\n$ pylon budget show\n$ pylon budget pause",
        NODE,
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


def subcommands(name: str) -> App:
    """Make a command that has commands of its own."""
    return App(name=name, group_parameters=OPTIONS, group_arguments=OPTIONS)


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
