"""`pylon model`."""

from pylon.cli.commands import subcommands
from pylon.cli.context import AsJson, InContext
from pylon.cli.output import byte_progress, emit, say, table

MEGABYTE = 1_000_000

app = subcommands("model")


@app.command
def pull(
    source: str = "smollm2-135m-instruct", /, *, json: AsJson = False, context: InContext
) -> None:
    """Fetch a model for the embedded backend, unless it is here already.

    $ pylon model pull
    $ pylon model pull https://example.com/qwen3-4b-q4.gguf#sha256=0f3c…
    $ pylon model pull ~/Downloads/llama-3.2-1b.gguf

    Parameters
    ----------
    source
        A known name (smollm2-135m-instruct), an address or a file. A download that was cut goes on
        where it was.
    """
    import trio

    from pylon.adapters.inference.pulling import pull as fetch

    folder = context.home().models
    with byte_progress(f"Fetching {source}") as show:
        model = trio.run(lambda: fetch(source, folder, progress=show))
    found = {"name": model.name, "path": str(model.path), "bytes": model.size}
    emit(found, as_json=json, text=str(model.path))
    chosen = context.config().backends.embedded_model == model.name
    setting = "" if chosen else f"PYLON_EMBEDDED_MODEL={model.name} "
    say(f"to use it: {setting}pylon infer --backend embedded --prompt Hello")


@app.command(name="list")
def list_(*, json: AsJson = False, context: InContext) -> None:
    """List the models on this machine.

    $ pylon model list
    """
    from pylon.adapters.inference.models import list_models

    found = list_models(context.home().models)
    if json:
        values = [{"name": m.name, "path": str(m.path), "bytes": m.size} for m in found]
        emit(values, as_json=True, text="")
    elif found:
        rows = [(m.name, f"{m.size / MEGABYTE:,.0f} MB", str(m.path)) for m in found]
        table(("NAME", "SIZE", "FILE"), rows)
    else:
        say("no models yet: pylon model pull")
