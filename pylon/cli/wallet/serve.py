"""`pylon wallet serve`."""

import signal
from functools import partial
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from pylon.cli.context import AsJson, InContext
from pylon.cli.exit_codes import ExitCode
from pylon.cli.output import emit, say
from pylon.cli.signals import ENDING, no_interrupts
from pylon.cli.wallet.opening import unlocked
from pylon.errors import Malformed, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pylon.app.wallet_service import ServedWallet


RELAY_SECONDS = 3.0  # how long relays may take to answer before a person is told


def serve(
    *,
    nwc: Annotated[bool, Parameter(negative="")] = False,
    budget: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    relay: tuple[str, ...] = (),
    json: AsJson = False,
    context: InContext,
) -> int:
    """Let another program use this wallet, until Ctrl-C.

    It prints a connection string. Whoever has it spends from the wallet, within the budget: hand it
    to one program, and to nobody else. It stays the same from one start to the next.

    $ pylon wallet serve --nwc --budget 5000
    $ pylon wallet serve --nwc --relay wss://relay.example.com

    Parameters
    ----------
    nwc
        By Nostr Wallet Connect (NIP-47). There is no other way yet.
    budget
        All that may ever be spent through it, in satoshi (default: what the node's budget allows).
    relay
        Where to be asked (default: the relays of this node).
    """
    import trio

    from pylon.app.node import system
    from pylon.app.wallet_service import serve_wallet
    from pylon.model.money import from_sats
    from pylon.wire.relay_url import normalise

    if not nwc:
        raise Misconfigured("say how: pylon wallet serve --nwc")
    config = context.config()
    try:
        urls = tuple(dict.fromkeys(map(normalise, relay)))
    except Malformed as error:
        raise Misconfigured(f"--relay: {error}") from error
    opened = system(context.home(), config, unlocked(context), context.environ)
    limit = None if budget is None else from_sats(budget)
    task = partial(serve_wallet, opened, relays=urls or None, budget=limit)
    with no_interrupts():
        return trio.run(_until_signal, task, partial(_announce, json=json))


async def _until_signal(
    serve: "Callable[..., Awaitable[None]]", announce: "Callable[[ServedWallet], None]"
) -> int:
    import trio

    with trio.open_signal_receiver(*ENDING) as signals:
        async with trio.open_nursery() as nursery:
            served = await nursery.start(serve)
            announce(served)
            nursery.start_soon(_complain, served)
            number = await anext(signals)
            nursery.cancel_scope.cancel("asked to stop")
    return ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.OK


def _announce(served: "ServedWallet", *, json: bool) -> None:
    relays = [health.url for health in served.relay_health()]
    say(f"Serving this wallet on {', '.join(relays)}; Ctrl-C ends it.", style="bold")
    say("Whoever has this connection string spends from it:")
    emit({"uri": served.uri, "relays": relays}, as_json=json, text=served.uri)


async def _complain(served: "ServedWallet") -> None:
    """Say which relays cannot be reached; they are tried again and again."""
    import trio

    await trio.sleep(RELAY_SECONDS)
    for relay in served.relay_health():
        if not relay.connected:
            say(f"{relay.url} cannot be reached, still trying: {relay.detail}", style="yellow")
