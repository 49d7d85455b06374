"""`pylon run` and `pylon start`."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from pylon.cli.context import AsJson, Context, InContext
from pylon.cli.exit_codes import ExitCode
from pylon.cli.job_feed import show_jobs
from pylon.cli.output import byte_progress, emit, say
from pylon.cli.signals import ENDING, no_interrupts

if TYPE_CHECKING:
    import trio

    from pylon.app.node import Opened, Serving

Mode = Literal["provider"]
RELAY_SECONDS = 3.0  # how long relays may take to answer before a person is told


def run(*, json: AsJson = False, context: InContext) -> int:
    """Sell answers in the foreground, until Ctrl-C.

    The first Ctrl-C takes no more jobs and finishes those in hand; a second one ends at once.
    What was cut off goes on at the next start.

    $ pylon run
    $ pylon --home ~/provider run
    $ pylon run --json

    With --json one document on stdout says when the node takes jobs.
    """
    return _run(context, json=json)


def start(
    *,
    foreground: Annotated[bool, Parameter(alias="-f", negative="")] = False,
    mode: Annotated[Mode, Parameter(alias="-m")] = "provider",
    json: AsJson = False,
    context: InContext,
) -> int:
    """Start this node in the foreground; `pylon run` by another name.

    $ pylon start -f -m provider

    Parameters
    ----------
    foreground
        Stay in the foreground. There is no other way yet.
    mode
        What the node does: provider sells answers.
    """
    del foreground, mode  # each has one value today; the options are there for those who type them
    return _run(context, json=json)


def _run(context: Context, *, json: bool) -> int:
    import trio

    from pylon.app.identity import unlock
    from pylon.app.node import system
    from pylon.cli import passphrase
    from pylon.model.money import Network

    config, home = context.config(), context.home()
    ask = partial(passphrase.current, context)
    identity = unlock(home, Network(config.node.network), ask_passphrase=ask)
    opened = system(home, config, identity, context.environ)
    with no_interrupts():
        return trio.run(_until_signal, opened, json)


async def _until_signal(opened: "Opened", json: bool) -> int:
    import trio

    from pylon.app.node import run_node

    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(_heed_signals, stop, nursery.cancel_scope)
        with byte_progress(f"downloading {opened.config.backends.embedded_model}") as download:
            node = partial(run_node, opened, stop=stop, download=download)
            serving = await nursery.start(_then_cancel, node, nursery.cancel_scope)
        _announce(opened, serving, json=json)
        nursery.start_soon(_complain, serving)
        if not json:
            nursery.start_soon(show_jobs, serving.jobs, serving.jobs_changed)
    return ExitCode.OK if stop.is_set() else ExitCode.FAILURE


async def _then_cancel(
    node: "partial[object]",
    everything: "trio.CancelScope",
    *,
    task_status: "trio.TaskStatus[Serving]",
) -> None:
    await node(task_status=task_status)  # type: ignore[misc]  # partial hides that it is async
    everything.cancel("the node has ended")


async def _heed_signals(
    stop: "trio.Event", everything: "trio.CancelScope", *, task_status: "trio.TaskStatus[None]"
) -> None:
    import trio

    with trio.open_signal_receiver(*ENDING) as signals:
        task_status.started()
        async for _ in signals:
            if stop.is_set():
                everything.cancel("asked twice")
            else:
                say("\nfinishing the jobs in hand; once more to stop at once")
            stop.set()


def _announce(opened: "Opened", serving: "Serving", *, json: bool) -> None:
    """Say that jobs are taken now, by whom and where."""
    identity = opened.identity
    ready = [health for health in serving.backends if health.available]
    models = [f"{health.backend}:{model}" for health in ready for model in health.models]
    if json:
        value = {
            "npub": identity.npub,
            "pubkey": identity.public_key,
            "network": str(identity.network),
            "relays": list(serving.relays),
            "bundled_relay": serving.bundled_relay,
            "models": models,
        }
        emit(value, as_json=True, text="")
        return
    say(f"Taking jobs on {identity.network}; Ctrl-C ends it.", style="bold")
    say(f"  npub   {identity.npub}")
    for relay in serving.relays:
        say(f"  relay  {relay}{' (served here)' if serving.bundled_relay else ''}")
    for model in models:
        say(f"  model  {model}")
    say("")


async def _complain(serving: "Serving") -> None:
    """Say which relays cannot be reached; they are tried again and again."""
    import trio

    await trio.sleep(RELAY_SECONDS)
    for relay in serving.relay_health():
        if not relay.connected:
            say(f"{relay.url} cannot be reached, still trying: {relay.detail}", style="yellow")
