"""`pylon config`."""

from pylon.cli.commands import subcommands
from pylon.cli.context import AsJson, InContext
from pylon.cli.output import data, emit

app = subcommands("config")


@app.command
def path(*, json: AsJson = False, context: InContext) -> None:
    """Show where the configuration is read from.

    $ pylon config path
    $ pylon --home ~/a config path
    """
    file = context.home().config_file
    emit({"path": str(file), "exists": file.exists()}, as_json=json, text=str(file))


@app.command
def show(*, json: AsJson = False, context: InContext) -> None:
    """Show the configuration in force: the environment over the file over the defaults.

    What keeps its default is commented out.

    $ pylon config show
    $ PYLON_PORT=7778 pylon config show --json
    """
    from attrs import asdict

    from pylon.config.writing import render

    config = context.config()
    if json:
        emit(asdict(config), as_json=True, text="")
    else:
        data(render(config).rstrip())
